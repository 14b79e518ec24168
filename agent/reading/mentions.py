"""From the labels of pieces to mentions: what is named where, and what the sentence around it does.

for mention in mentions_of(labels): mention.start, mention.end, mention.role, mention.move
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from agent.prepare.context import FAMILY_STATEMENT
from agent.prepare.rules import pattern
from agent.reading.labels import ASSERTED, MOVES, ROLES, TAGS, Labels

# Words that lead on to something and name nothing.
_LINKS = frozenset((
    "mit", "und", "an", "am", "im", "in", "der", "die", "das", "den", "dem", "des", "ein", "eine",
    "einen", "einem", "eines", "einer", "zur", "zum", "bei", "von", "vom", "ca", "cm", "mm", "ab", "ano",
    "nach", "als", "so", "wie", "auch", "sowie", "durch", "für",
))  # fmt: skip
# Moves that do not speak of somebody else's tumour, or of one that is not there.
_OF_THE_PATIENT = np.array([ASSERTED.get(move, "now") != "absent" for move in MOVES])
_PRIMARY_WORD = pattern("primary_word")
_WORD = re.compile(r"[^\W\d_]+")
_INSIDE = re.compile(r"[\w-]")
_LEADS = re.compile(r"[\s,.;:)\]/–-]*")
_TRAILS = re.compile(rf"(?:[\s,;:(\[/–-]++(?:(?:{'|'.join(sorted(_LINKS))}|ca\.)(?!\w))?+)++\Z")
_GRADE = re.compile(r"[ ,(]{1,3}(?:WHO[- ]?)?(?:Grad|Grade|G)[ .]?(?:[1-4]|I{1,3}|IV)[ab]?(?!\w|\.\d)\)?")


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of a document that names something; `start` and `end` count its characters. `role` is one of
    `labels.ROLES`, `move` one of `labels.MOVES`; `probability` is that of the role, `presence` that the sentence speaks
    of a tumour that the patient has or had. `link` is near that of other mentions of the same tumour."""

    start: int
    end: int
    role: str
    move: str
    probability: float = 1.0
    presence: float = 1.0
    link: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)


def mentions_of(labels: Labels, formulas: Sequence[tuple[int, int]] = ()) -> list[Mention]:
    """The mentions of a text, in order. A word has one role, that of its pieces together; one that goes on with a role
    that the word before has not begins a mention. `formulas` are the places of TNM formulas, a closed format that
    needs no reader: the roles of their pieces do not count."""
    found: list[Mention] = []
    firsts = np.flatnonzero(np.diff(labels.words, prepend=-1))
    if not len(firsts):
        return found
    lasts = np.append(firsts[1:], len(labels.words)) - 1
    starts, ends = labels.offsets[firsts, 0], labels.offsets[lasts, 1]
    counts = (lasts - firsts + 1)[:, None]
    tags = np.add.reduceat(_roles(labels.tags), firsts, axis=0) / counts
    best = tags.argmax(1)
    best[best == 1 + ROLES.index("formula")] = 0
    for start, end in formulas:
        inside = slice(int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(starts, end)))
        best[inside] = 0
        if inside.start < inside.stop:
            piece, after = int(firsts[inside.start]), int(lasts[inside.stop - 1]) + 1
            move, presence = _said(labels, piece, after)
            found.append(Mention(start, end, "formula", move, 1.0, presence, labels.links[piece]))
    begins = labels.tags[firsts]
    word = 0
    while word < len(best):
        if not best[word]:
            word += 1
            continue
        role = ROLES[best[word] - 1]
        begin, go_on = TAGS.index(f"B-{role}"), TAGS.index(f"I-{role}")
        last = word + 1
        while last < len(best) and best[last] == best[word] and begins[last, go_on] >= begins[last, begin]:
            last += 1
        first_piece, last_piece = int(firsts[word]), int(lasts[last - 1])
        probability = float(np.exp(tags[np.arange(word, last), best[word]].mean()))
        move, presence = _said(labels, first_piece, last_piece + 1)
        start, end = int(labels.offsets[first_piece, 0]), int(labels.offsets[last_piece, 1])
        found.append(Mention(start, end, role, move, probability, presence, labels.links[first_piece]))
        word = last
    return sorted(found, key=lambda mention: mention.start)


def trimmed(text: str, mention: Mention) -> Mention | None:
    """The mention without marks at its ends and words that lead on to what is no part of it, a name with the grade
    behind it, and of a relative's where its sentence says so; None where nothing is left that names anything."""
    start, end = _whole_words(text, mention.start, mention.end)
    start += len(_LEADS.match(text, start, end).group())  # type: ignore[union-attr]
    tail = _TRAILS.search(text, start, end)
    end = tail.start() if tail is not None else end
    if all(word.casefold() in _LINKS for word in _WORD.findall(text, start, end)):
        return None
    if mention.role == "name" and _PRIMARY_WORD.fullmatch(text, start, end):
        return None
    if mention.role == "name" and (grade := _GRADE.match(text, end)):
        end = grade.end()
    # Who is named outright as the one who has it, has it.
    sentence = max(text.rfind(mark, 0, start) for mark in ".;\n") + 1
    relative = FAMILY_STATEMENT.search(text, sentence, start) is not None
    return replace(mention, start=start, end=end, move="family" if relative else mention.move)


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch with all of the words that it begins and ends in: `Endometrium` of "Endometrium-Ca"."""
    while start and _INSIDE.match(text, start - 1) and _INSIDE.match(text, start):
        start -= 1
    while end < len(text) and _INSIDE.match(text, end) and _INSIDE.match(text, end - 1):
        end += 1
    return start, end


def _said(labels: Labels, first: int, last: int) -> tuple[str, float]:
    """What the sentence of some pieces does, as they say it together, and the probability that it speaks of a tumour of
    the patient. Whether it does is decided first, and then which of the moves that do, or do not, it is."""
    scores = labels.moves[first:last].mean(0)
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    presence = float(shares[_OF_THE_PATIENT].sum())
    possible = _OF_THE_PATIENT if presence >= 0.5 else ~_OF_THE_PATIENT
    return MOVES[int(np.where(possible, shares, -1).argmax())], presence


def _roles(tags: np.ndarray) -> np.ndarray:
    """Log-probabilities (n, 1 + roles) of being outside and of each role, begun or going on."""
    both = np.logaddexp(tags[:, 1::2], tags[:, 2::2])
    return np.concatenate([tags[:, :1], both], axis=1)
