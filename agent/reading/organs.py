"""Whether two mentions can be of one tumour, by the organs and the tissues that they name: catalogue lines as the arbiter.

odds_of_names(resources, ["Urothelkarzinom der Blase", "Prostatalappen"])     # [[2., -12.], [-12., 2.]]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from agent.decide.scores import retrieve
from agent.resources import Resources
from index.records import CodeSystem

# From this share on words name an organ, or a tissue.
_SURE = 0.9
# Log-odds. Two organs, or a carcinoma and a lymphoma, are hardly one tumour's, whatever the reader says. A carcinoma may
# have two kinds of tissue.
_SAME, _OTHER, _OTHER_CARCINOMA = 2.0, -12.0, -4.0
# Parts of one region that one tumour is told by; blood, marrow and lymph nodes may be anywhere.
_REGIONS = (
    ("C18", "C19", "C20"), ("C53", "C54", "C55"), ("C56", "C57", "C48"), ("C64", "C65"), ("C44", "C49", "C76"),
    ("C00", "C01", "C02", "C03", "C04", "C05", "C06", "C09", "C10"), ("C33", "C34"), ("C22", "C23", "C24"),
    ("C70", "C71", "C72"), ("C40", "C41", "C49"), ("C51", "C52"), ("C67", "C68"), ("C12", "C13"),
)  # fmt: skip
_ANYWHERE = ("C42", "C77", "C80", "C76")


# The first histology of each tissue, up to that of the next; what is unspecified, or of several, is "".
_TISSUES = (
    (8000, ""), (8050, "squamous"), (8090, "basal"), (8120, "urothelial"), (8140, "glandular"), (8560, ""), (8580, "thymus"),
    (8590, "gonad"), (8680, "paraganglion"), (8720, "melanoma"), (8800, "soft tissue"), (8935, ""), (9040, "soft tissue"),
    (9050, "mesothelium"), (9060, "germ cell"), (9110, ""), (9120, "soft tissue"), (9180, "bone"), (9260, ""), (9350, "brain"),
    (9530, "meninges"), (9540, "nerve sheath"), (9590, "blood"),
)  # fmt: skip
_CARCINOMAS = ("squamous", "basal", "urothelial", "glandular")


def odds_of_names(resources: Resources, phrases: Sequence[str]) -> np.ndarray:
    """What the organs and tissues that phrases name add to the log-odds (n, n) that two of them speak of one tumour;
    zero where one of them names none."""
    odds = np.zeros((len(phrases), len(phrases)))
    if not phrases:
        return odds
    found = retrieve(resources, list(phrases), (CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY))
    for axis, kind, between in (
        (CodeSystem.TOPOGRAPHY, _organ, _between_organs),
        (CodeSystem.MORPHOLOGY, _tissue, _between_tissues),
    ):
        odds += _odds(found[axis].codes, found[axis].log_shares, kind, between)
    return odds


def _odds(
    codes: Sequence[str],
    log_shares: np.ndarray,
    kind: Callable[[str], str],
    between: Callable[[str, str], float],
) -> np.ndarray:
    of_code = [kind(code) for code in codes]
    kinds = sorted(set(of_code))
    place = np.array([kinds.index(one) for one in of_code])
    shares = np.zeros((len(log_shares), len(kinds)))
    np.add.at(shares.T, place, np.exp(log_shares).T)
    best = shares.argmax(1)
    sure = (shares.max(1) >= _SURE) & (np.array(kinds)[best] != "")
    # The few kinds that the phrases name, of all that there are.
    named, which = np.unique(best, return_inverse=True)
    table = np.array([[between(kinds[a], kinds[b]) for b in named] for a in named])
    return np.where(sure[:, None] & sure[None], table[np.ix_(which, which)], 0.0)


def _organ(topography: str) -> str:
    return "" if topography.startswith(_ANYWHERE) else topography[:3]


def _between_organs(one: str, other: str) -> float:
    near = one == other or any(one in region and other in region for region in _REGIONS)
    return _SAME if near else _OTHER


@cache
def _tissue(morphology: str) -> str:
    return next(name for first, name in reversed(_TISSUES) if int(morphology[:4]) >= first)


def _between_tissues(one: str, other: str) -> float:
    if one == other:
        return 0.0
    return _OTHER_CARCINOMA if one in _CARCINOMAS and other in _CARCINOMAS else _OTHER
