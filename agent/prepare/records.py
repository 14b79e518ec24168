"""What the preparation of a diagnosis text gives: the diagnoses that it lists, cleaned, with their place in it.

prepared = prepare("V.a. Mamma-Ca li., pT2 pN1 (3/14) M0, ED 03/2019")
segment = prepared.diagnoses[0]
segment.core, segment.certainty, segment.side      # ('Mammakarzinom', 'Verdacht', 'links')
segment.set_aside["tnm"]                           # ('pT2 pN1 (3/14) M0',)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Certainty = Literal["gesichert", "Verdacht", "Zustand nach", "ausgeschlossen"]
Side = Literal["links", "rechts", "beidseits"]
MAX_CHARACTERS = 20_000
"""How much of a text is read: no diagnosis entry is as long."""
MetastasisContext = Literal["metastasis", "primary"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One diagnosis of a text.

    `span` and the offsets in `words` are half-open and count characters of the original text. `core` is
    the phrase that retrieval and the language model read. `words` holds the words of `core` in order with
    the place that each came from; the words of one expanded abbreviation share that place.
    `metastasis_context` is `metastasis` where the segment itself is a metastasis, `primary` where it is a
    tumour of which the text names metastases, None otherwise. `set_aside` maps a kind (`tnm`, `stage`,
    `grade`, `dates`, `receptors`, `psa`, `sizes`, `depth`, `therapy`, `person`, `codes`, `headings`, `unknown_primary`, `remarks`) to
    the original wording of what was taken out of `core`. `wording` is the stretch without remarks and other diseases,
    which recognition reads.
    """

    span: tuple[int, int]
    core: str
    certainty: Certainty = "gesichert"
    side: Side | None = None
    negated: bool = False
    family: bool = False
    metastasis_context: MetastasisContext | None = None
    set_aside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    words: tuple[tuple[str, int, int], ...] = ()
    wording: str = ""

    @property
    def denied(self) -> bool:
        """Whether the text names the diagnosis without the patient having it."""
        return self.negated or self.family


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text with its diagnoses in the order in which it names them.

    There is at least one diagnosis unless `empty`; its `core` is empty where the text holds nothing that
    the models should read (`only_code`: nothing but codes). `flags` names what deserves a look:
    `empty`, `truncated`, `no_letters`, `only_code`, `control_characters`, `many_diagnoses` (later ones
    were left in one segment), `instruction` (the text addresses a language model).
    """

    text: str
    diagnoses: tuple[Segment, ...]
    empty: bool
    truncated: bool
    has_letters: bool
    only_code: bool
    flags: tuple[str, ...]
