"""From mentions to tumours: which mentions speak of one tumour, and the phrase that names it.

    found = assemble(text, mentions, same)
    found[0].phrases[0].text, found[0].certainty, found[0].side, found[0].spread
    # ('Adenokarzinom, rechter Oberlappen', 'gesichert', 'rechts', (Spread('Hirnmetastasen', ...),))

Mentions that are somebody else's, or excluded, are left out. The others are joined by how likely two of them speak of
one tumour (average linkage). What a phrase means is the coder's business: it reads the phrase as an entry.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.prepare.context import TOPOGRAPHY, find_side
from agent.prepare.records import Certainty, Side
from agent.reading.labels import ASSERTED
from agent.reading.layout import ANCHORS, named_on_line, words_of
from agent.reading.mentions import Mention

Same = Callable[[Sequence[Mention]], np.ndarray]
"""The log-odds (n, n) that two of n mentions speak of one tumour."""

# The first that some mention says holds.
_CERTAINTY: dict[str, Certainty] = {"now": "gesichert", "past": "Zustand nach", "suspected": "Verdacht"}
# Their words name nothing that is there for sure.
_DENIED = {"no_metastasis", "no_nodes", "no_recurrence", "possible_spread"}
_SIDED = ("side", *ANCHORS)
_SPREADS = ("metastasis", "metastasis_place", "nodes")
_WORDINGS = 6
_ON_LINE = 5.0  # log-odds that what stands behind a tumour's name on one line is of that tumour
# What may stand between two mentions of one sentence or entry.
_TOGETHER = re.compile(r"(?:(?!(?<=[a-zäöüß]{4})[.;!?]\s)[^\n]){0,40}")
# A formula's category of the primary: Ta and Tis say that it does not invade, which its name may leave open.
_T_CATEGORY = re.compile(r"(?<![A-Za-z])[acpruy]{0,3}T(is|a|[0-4X])", re.ASCII)
# Whose name says best what the tumour is.
_BEST_NAMES = ("histology", "diagnosis", "recurrence", "past", "tnm", "therapy", "suspicion")


@dataclass(frozen=True, slots=True)
class Spread:
    """A metastasis as the document tells it: the phrase to be coded, and where it stands."""

    phrase: str
    mention: Mention


@dataclass(frozen=True, slots=True)
class Phrase:
    """What the coder reads of a tumour, and where each of its characters stands in the document."""

    text: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TumourFacts:
    """One tumour of a document. `phrases` name it, the fullest first, none where only its metastases are told; `statement`
    is what the best statement says by itself, where it tells a place; `formulas` are its TNM formulas;
    `mentions` all that speaks of it."""

    phrases: tuple[Phrase, ...]
    certainty: Certainty
    side: Side | None
    spread: tuple[Spread, ...]
    formulas: tuple[tuple[str, Mention], ...]
    mentions: tuple[Mention, ...]
    statement: Phrase | None = None

    @property
    def told_by(self) -> tuple[Mention, ...]:
        """The names and places; of metastases without a primary, all mentions."""
        return tuple(one for one in self.mentions if one.role in ANCHORS) or self.mentions


def assemble(text: str, mentions: Sequence[Mention], same: Same) -> list[TumourFacts]:
    """The tumours of a document, in the order in which it names them."""
    kept = [m for m in mentions if ASSERTED.get(m.move, "now") != "absent" and m.move not in _DENIED]
    anchors = [n for n, m in enumerate(kept) if m.role in ANCHORS]
    if not anchors:
        return _of_no_primary(text, kept)
    odds = same(kept)
    of_anchor = _groups(odds[np.ix_(anchors, anchors)])
    together = [
        [anchors[n] for n in np.flatnonzero(of_anchor == group)] for group in range(of_anchor.max() + 1)
    ]
    groups = [group for group in together if _is_named([kept[n] for n in group])]
    if not groups:
        return _of_no_primary(text, kept)
    # What is no name and no place goes to the group that it rather speaks of, most of all on the line of its name.
    line = named_on_line(text, kept)
    near = np.stack(
        [odds[:, group].mean(1) + _ON_LINE * np.isin(line, group) for group in groups], axis=1
    ).argmax(1)
    found = []
    for number, group in enumerate(groups):
        others = [n for n, m in enumerate(kept) if m.role not in ANCHORS and near[n] == number]
        found.append(_facts(text, [kept[n] for n in sorted((*group, *others))]))
    return sorted(found, key=lambda facts: facts.mentions[0].start)


def _of_no_primary(text: str, kept: Sequence[Mention]) -> list[TumourFacts]:
    """Metastases whose primary the document does not name: one tumour without a phrase."""
    spread = [m for m in kept if m.role in _SPREADS and m.move in _SPREADS]
    return [_facts(text, spread)] if any(m.role == "metastasis" for m in spread) else []


def _is_named(group: Sequence[Mention]) -> bool:
    """Whether a group of names and places says of a tumour that it is there: a lesion that nobody names is a finding."""
    return any(m.role == "name" or (m.move in ASSERTED and m.move != "lesion") for m in group)


def _groups(odds: np.ndarray) -> np.ndarray:
    """The number of each mention's group: two groups become one while their mentions on average rather speak of one
    tumour than not (average linkage)."""
    if len(odds) == 1:
        return np.zeros(1, dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    highest = float(odds.max())
    apart = highest - (odds + odds.T) / 2
    np.fill_diagonal(apart, 0)
    return fcluster(linkage(squareform(apart), "average"), t=highest, criterion="distance") - 1


def _facts(text: str, group: Sequence[Mention]) -> TumourFacts:
    names = [m for m in group if m.role == "name"]
    places = [m for m in group if m.role == "place"]
    asserted = {ASSERTED[m.move] for m in (names or places) if m.move in ASSERTED}
    certainty: Certainty = next((_CERTAINTY[kind] for kind in _CERTAINTY if kind in asserted), "gesichert")
    sides = Counter(
        side for m in group if m.role in _SIDED for side in [find_side(words_of(text, m))[0]] if side
    )
    spread = [
        one
        for unit in _said_together(text, [m for m in group if m.role in _SPREADS and not _is_removed(m)])
        for one in _spread(text, unit)
    ]
    formulas = [m for m in group if m.role == "formula"]
    not_invasive = _not_invasive(text, formulas)
    units = _said_together(text, (*names, *places))
    named = _named(units)
    statement = _phrase(text, (*named[0], *not_invasive)) if named else None
    return TumourFacts(
        tuple(dict.fromkeys(_phrase(text, (*parts, *not_invasive)) for parts in _wordings(units, named))),
        certainty,
        sides.most_common(1)[0][0] if sides else None,
        tuple(spread),
        tuple((words_of(text, m), m) for m in formulas),
        tuple(group),
        statement if statement is not None and TOPOGRAPHY.search(statement.text) else None,
    )


def _is_removed(mention: Mention) -> bool:
    """Whether nodes are named as taken out, which says nothing of what is in them."""
    return mention.role == "nodes" and mention.move == "therapy"


def _not_invasive(text: str, formulas: Sequence[Mention]) -> tuple[Mention, ...]:
    """The category of the first formula, where no formula has another one than Ta or Tis."""
    found = [(one, match) for one in formulas if (match := _T_CATEGORY.search(text, one.start, one.end))]
    if not found or any(match[1] not in ("is", "a") for _, match in found):
        return ()
    one, match = found[0]
    return (replace(one, start=match.start(), end=match.end()),)


def _phrase(text: str, parts: Sequence[Mention]) -> Phrase:
    """The words of mentions in a row, parted by commas where the text has more than a blank between them."""
    characters: list[str] = []
    places: list[int] = []
    last = 0
    for part in parts:
        if characters:
            between = " " if part.start >= last and not text[last : part.start].strip() else ", "
            characters += between
            places += [places[-1]] * len(between)
        for place in range(part.start, part.end):
            blank = text[place].isspace()
            if not (blank and characters[-1:] == [" "]):
                characters.append(" " if blank else text[place])
                places.append(place)
        last = part.end
    return Phrase("".join(characters), tuple(places))


_Unit = tuple[Mention, ...]


def _said_together(text: str, mentions: Iterable[Mention]) -> list[_Unit]:
    """Mentions in the order of the text, those of one sentence or entry together."""
    units: list[_Unit] = []
    for mention in sorted(mentions, key=lambda m: m.start):
        last = units[-1][-1] if units else None
        if (
            last is not None
            and last.move == mention.move
            and _TOGETHER.fullmatch(text, last.end, mention.start)
        ):
            units[-1] = (*units[-1], mention)
        else:
            units.append((mention,))
    return units


def _wordings(units: Sequence[_Unit], named: Sequence[_Unit]) -> list[tuple[Mention, ...]]:
    """Ways to name a tumour, the fullest first: the best of the statements that are `named` that names it with what a diagnosis adds and the
    fullest place, then with less, then other places and names."""
    placed = sorted((unit for unit in units if unit not in named), key=_length, reverse=True)
    if not named:
        return placed[:_WORDINGS]
    best = named[0]
    place = placed[0] if placed else ()
    # A diagnosis may name the organ that the histology leaves to it.
    adds = next(
        (u for u in named[1:] if u[0].move in ("diagnosis", "past") and u[0].move != best[0].move), ()
    )
    found = [(*best, *adds, *place), (*best, *place), *((*best, *other) for other in placed[1:]), best]
    return list(dict.fromkeys([*found, *((*unit, *place) for unit in named[1:])]))[:_WORDINGS]


def _named(units: Sequence[_Unit]) -> list[_Unit]:
    """The statements that name a tumour, the best first."""
    rank = {move: number for number, move in enumerate(_BEST_NAMES)}
    named = [unit for unit in units if any(m.role == "name" for m in unit)]
    return sorted(named, key=lambda unit: (rank.get(unit[0].move, len(rank)), -_length(unit)))


def _length(unit: _Unit) -> int:
    return sum(m.end - m.start for m in unit)


def _spread(text: str, unit: _Unit) -> list[Spread]:
    """The metastases of a statement: a word for them with the one place beside it, else each by itself."""
    if sorted(m.role for m in unit) == ["metastasis", "metastasis_place"]:
        word, place = sorted(unit, key=lambda m: m.role)
        return [Spread(f"{words_of(text, word)} {words_of(text, place)}", word)]
    before = {"metastasis": "", "metastasis_place": "Metastase ", "nodes": "Lymphknotenmetastase "}
    return [Spread(before[m.role] + words_of(text, m), m) for m in unit]
