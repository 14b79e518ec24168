"""The words before a tumour that say nothing of it: "Wir berichten über die Vorstellung bei", "Stat. 4, Zimmer 2:".

text = "Arbeitsunfähig durch Granulosazelltumor"
lead_in(text, 0, text.index("tumor"))            # 21: the statement begins behind "durch "

The words up to the first one that may belong to a tumour (a name, a place, a histology, a doubt) are led in by a verb, a
pronoun or a preposition, or tell an act, a person or another disease. They end behind the last preposition,
article, conjunction, comma or colon among them, so that what stands directly before the tumour stays with it, known to us or not.
"""

from __future__ import annotations

import re
from collections import deque

from agent.prepare.abbreviations import ABBREVIATIONS, CONTEXTUAL
from agent.prepare.context import EXCLUDED, FAMILY_STATEMENT, HISTOLOGY, METASTASIS, TOPOGRAPHY, TUMOUR
from agent.prepare.known_words import known_place, names_known_word
from agent.prepare.rules import pattern, source

_FARTHEST = 400  # characters that lead in, at most
_NEAR = 80
# What may belong to the tumour, or says that there is none.
_TELLING = (
    TUMOUR, TOPOGRAPHY, METASTASIS, HISTOLOGY, EXCLUDED, FAMILY_STATEMENT,
    *map(pattern, ("generic", "of_it", "left", "right", "both_sides", "suspected", "former", "doubting")),
)  # fmt: skip
_PLACES = (TOPOGRAPHY, pattern("generic"))
_OTHER = tuple(map(pattern, ("act", "comorbidity", "person", "disease")))
_LEADS = re.compile(rf"(?<![\w-])(?:{source('leads')}|{source('connects')}) |(?<=\w):\s|(?<=\x1f) |, ")
_STRONGLY = pattern("leads")
_STRONG_LEAD = re.compile(rf"(?<![\w-]){source('reason_lead')} ")
_WORD = re.compile(r"[^\W\d_][\w-]*")
_BORDER = re.compile(r"[,;:\n]| (?:und|sowie|u\.|bei|mit) ")
_AFTER_HYPHEN = re.compile(r"- \Z")


def lead_in(text: str, start: int, tumour: int) -> int:
    """Where the lead-in of the statement that begins at `start` ends; `tumour` is where it first names one."""
    begin = max(start, tumour - _FARTHEST)
    first = _first_telling(text, begin, tumour)
    last = last_match(_LEADS, text, begin, first)
    if last is None or _AFTER_HYPHEN.search(text, begin, last.start()):
        return start
    led = text[begin : last.end()]
    leads = _STRONGLY.search(led) or any(one.search(led) for one in _OTHER) or led.rstrip().endswith(":")
    return last.end() if leads else start


def lead_to_name(text: str, start: int, end: int) -> int:
    """The same for a statement that names no tumour that we know: the last "bei" or "wegen" before a known word."""
    last = last_match(_STRONG_LEAD, text, start, end)
    if last is None or _first_telling(text, max(start, last.end() - _FARTHEST), last.end()) < last.end():
        return start
    return last.end() if names_known_word(text[last.end() : min(end, last.end() + _NEAR)]) else start


def last_match(wanted: re.Pattern[str], text: str, start: int, end: int) -> re.Match[str] | None:
    """The last match within `start` to `end`."""
    found = deque(wanted.finditer(text, start, end), maxlen=1)
    return found[0] if found else None


def _first_telling(text: str, start: int, end: int) -> int:
    """Where the first word begins that may belong to the tumour; `end` if none does. A place in a clause that tells an
    act or another disease ("Infekt der oberen Atemwege, ...") is none of the tumour's."""
    for word in _WORD.finditer(text, start, end):
        named = word.group() in ABBREVIATIONS or word.group() in CONTEXTUAL
        if named or (known_place(word.group()) and not _of_another(text, start, word.start())):
            end = word.start()
            break
    for one in _TELLING:
        for match in one.finditer(text, start, end):
            if one in _PLACES and _of_another(text, start, match.start()):
                continue
            end = match.start()
            while end > start and (text[end - 1].isalnum() or text[end - 1] == "-"):
                end -= 1
            break
    return end


def _of_another(text: str, start: int, place: int) -> bool:
    """Whether the clause around a place tells of something else than a tumour."""
    border = last_match(_BORDER, text, max(start, place - _FARTHEST), place)
    begin = border.end() if border else start
    following = _BORDER.search(text, place, place + _FARTHEST)
    clause = text[begin : following.start() if following else place + _FARTHEST]
    return TUMOUR.search(clause) is None and any(one.search(clause) for one in _OTHER)
