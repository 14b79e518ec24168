"""Which organs mentions name, and whether two of them can be of one tumour: catalogue lines as the arbiter.

organ_odds(resources, ["Urothelkarzinom der Blase", "Prostatalappen"])     # [[2., -12.], [-12., 2.]]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.decide.scores import retrieve
from agent.resources import Resources
from index.records import CodeSystem

# From this share on of a topography's three characters, words name an organ.
_SURE = 0.9
_SAME, _OTHER = 2.0, -12.0  # log-odds: two organs are not one tumour's, whatever the reader says
# Parts of one region that one tumour is told by; blood, marrow and lymph nodes may be anywhere.
_REGIONS = (
    ("C18", "C19", "C20"), ("C53", "C54", "C55"), ("C56", "C57", "C48"), ("C64", "C65"), ("C44", "C49", "C76"),
    ("C00", "C01", "C02", "C03", "C04", "C05", "C06", "C09", "C10"), ("C33", "C34"), ("C22", "C23", "C24"),
    ("C70", "C71", "C72"), ("C40", "C41", "C49"), ("C51", "C52"), ("C67", "C68"), ("C12", "C13"),
)  # fmt: skip
_ANYWHERE = ("C42", "C77", "C80", "C76")


def organ_odds(resources: Resources, phrases: Sequence[str]) -> np.ndarray:
    """What the organs that phrases name add to the log-odds (n, n) that two of them speak of one tumour; zero where one
    of them names none."""
    odds = np.zeros((len(phrases), len(phrases)))
    if not phrases:
        return odds
    found = retrieve(resources, list(phrases))[CodeSystem.TOPOGRAPHY]
    organs = sorted({code[:3] for code in found.codes})
    place = np.array([organs.index(code[:3]) for code in found.codes])
    shares = np.zeros((len(phrases), len(organs)))
    np.add.at(shares.T, place, np.exp(found.log_shares).T)
    sure = (shares.max(1) >= _SURE) & ~np.isin(
        shares.argmax(1), [organs.index(o) for o in _ANYWHERE if o in organs]
    )
    near = _near(organs)[np.ix_(shares.argmax(1), shares.argmax(1))]
    both = sure[:, None] & sure[None]
    odds[both & near] = _SAME
    odds[both & ~near] = _OTHER
    return odds


def _near(organs: Sequence[str]) -> np.ndarray:
    """Whether two organs are the same or of one region."""
    return np.array(
        [[a == b or any(a in region and b in region for region in _REGIONS) for b in organs] for a in organs]
    )
