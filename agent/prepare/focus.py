"""The clauses of a statement that speak of the tumour: what else a note says beside it is set aside.

    kept, dropped = focused(read_words("Harnblasenkarzinom, Port-Anlage geplant, Pat. informiert", 0, 56))
    render(kept)                    # 'Harnblasenkarzinom'

A clause (between commas) that names the tumour stays, and so does one that names a place or a histology, unless
it tells what is done, found or planned. What a tumour grows into, presses on or leads to is no place of it.
"""

from __future__ import annotations

import re
from itertools import pairwise

from agent.prepare import context
from agent.prepare.tidy import Word, render

_I = re.IGNORECASE
# What a clause does that tells of acts, findings, people, times and amounts.
_ACT = re.compile(
    r"\d|\bpCR\b|ektomie|skopie|gra(?:ph|f)ie\b|therap|resektion|resez|operation|operier|punktion|punktier|biops|anlage\b|\bOP\b|\bTUR|stanz|\bport\b|chemo|radiatio|bestrahl|\bR?C?T[Xx]\b|\bRCT\b"
    r"|stent|katheter|drain|transfus|schiene|\bDJ\b|\bCT\b|\bMRT|\bPET|\bsono|szinti|röntgen|labor\b|marker\b|\bPSA|\w(?:mab|nib|platin|taxel)\b|konferenz|board|konsil|präparat|resektat|exzid|entfernt|rekonstrukt|plasti[ek]\b|versorgung|deckung"
    r"|geplant|erfolgt|empf|beantrag|begonnen|wünscht|abgelehnt|besproch|liegt|bitte|folgt|ausst|termin|vorgestellt|vorstell|informiert|abgeschl|aufkl|erhalten|verord|kontroll|nachsorge|befund\b|zufall"
    r"|itis\b|opsie\b|pathie\b|nekrose|embolie|laser|rauche|sprechstunde|ambulanz|substitution|erhaltung|induktion|instill|zykl(?:us|en)\b|wunsch"
    r"|kompliz|kompl\.|\bPat\b|\bPat\.|patient|\bFrau\b|\bHerr\b|hausarzt|klinik|\bWo\b|\bMon\b|\bseit\b|\btgl|\bvor\b|danach|\bdann\b|bisher|unter\b"
    r"|\bkein|\bnicht\b|\bohne\b|\bo\. ?B|unauff|reizlos|\bfrei\b|\bneg\b|normal|stabil|gut\b|schmerz|fieber|müde|gewicht|beschwerde|dyspnoe|blutung|hämaturie|ikterus|husten",
    _I,
)  # fmt: skip
_DECIDES = re.compile(
    r"zellig|invasiv|in situ|verhornend|differenziert|glandulär|zirrh|szirrh|kribri|komedo|nodul|spreit|lentig|sklero|pigment|quadrant|drittel|wand\b|segment|lappen|flexur|kurvatur|rand\b"
    r"|unklar|dignität|maligne|benigne|bösartig|gutartig|borderline|rezidiv|remission|blasten|typ\b|grad\b|phase|variante|rezeptor|triple|kappa|lambda|mutiert|positiv|pos\.|translok|komponente|anteil|übergreif|überlapp|multip|mehrere",
    _I,
)  # fmt: skip
# What a tumour grows into or leads to; in blood and lymph it may be where the disease is.
_REACHED = re.compile(
    r"(?:infiltration|infiltriert|befall(?:en)?|beteiligung|einbruch|penetration|perforation|kompression|fiste(?:l|ln)|thromb(?:us|ose)|zapfen|erguss|ödem|stenose|verschluss|ileus|stau(?:ung)?"
    r"|zirrhose|hepatitis|steatose)\b",
    _I,
)
_PHRASE = re.compile(
    r"(?:(?<=\s)|\A)(?:mit|m\.|bei|b\.|durch|wegen|wg\.|unter|sowie|und|\+) (?:[\w.°-]+ ){0,3}[\w-]{0,30}"
    rf"(?:{_REACHED.pattern})(?: (?:von|des|der|in|im|am|die|das|den)(?: [\w-]+){{1,2}})?",
    _I,
)
# Where metastases are, by an adjective: "jetzt ossär u. hepatisch", and in brackets: "(Metastasierung 2021 BWS)". An
# ending stops where the next stem begins ("Skelettmetastasen"), so that a row of stems is read in one way only.
_E = r"(?:(?!oss|skelett|hepat|pulm|lymphonod|zerebr|periton|pleural|adrenal|kutan|metast)\w)"
_SPREAD = re.compile(
    rf"(?>(?:jetzt|nun|aktuell|auch|primär|synchron|ED|u\.|und|sowie|/|\+|oss{_E}{{0,5}}|skelett{_E}{{0,5}}|hepat{_E}{{0,5}}|pulm{_E}{{0,6}}|lymphonod{_E}{{0,4}}|zerebr{_E}{{0,4}}|periton{_E}{{0,6}}"
    rf"|pleural|adrenal|kutan|metast{_E}{{0,10}})[., ]{{0,2}}){{1,8}}\Z",
    _I,
)
_OF_METASTASES = re.compile(r"\([^()]{0,60}(?:metast|filia|\bmets\b)[^()]{0,60}\)", _I)
# Shares of a mixed tumour are no diagnosis of their own.
_SHARES = re.compile(r"(?<=tumor )\([^()]{0,120}\d ?%[^()]{0,60}\)", _I)
_MIXED = re.compile(r"gemischt|mischtumor|kombiniert", _I)
_DASHES = ("-", "–", "=", "->")
_REACHED_FIRST = re.compile(
    rf"\A[\w-]{{0,30}}{_REACHED.pattern}(?: [\w.-]+){{0,4}} (?:durch|bei|infolge) (?=\w)", _I
)

# What goes from the clauses that are kept, in this order, and whether it may name a tumour itself.
_ASIDE = ((_REACHED_FIRST, False), (_PHRASE, False), (_OF_METASTASES, True), (_SHARES, True))


def focused(words: list[Word]) -> tuple[list[Word], list[Word]]:
    """The words of the clauses that speak of the tumour, and the others. Without a tumour, all words are kept."""
    whole = render(words)
    if len(words) < 2 or not context.names_tumour(whole):
        return words, []
    kept: list[Word] = []
    dropped: list[Word] = []
    has_place = context.TOPOGRAPHY.search(whole) is not None
    for clause in _clauses(words):
        said = render(clause)
        spread = has_place and _SPREAD.match(said) is not None
        (kept if _speaks(said) and not spread else dropped).extend(clause)
    if dropped and not context.names_tumour(render(kept)):
        return words, []
    for pattern, holds_tumours in _ASIDE:
        if pattern is _SHARES and not _MIXED.search(render(kept)):
            continue
        kept, aside = _without(kept, pattern, holds_tumours)
        dropped += aside
    return kept, sorted(dropped, key=lambda word: word.start)


def _clauses(words: list[Word]) -> list[list[Word]]:
    """The words between commas or dashes that stand in no bracket; the comma belongs to the clause before it. A colon
    parts them where it follows the tumour; before it, it may follow its place."""
    depth, borders = 0, [0]
    named = not any(word.mark and word.text == ":" for word in words)  # asked of a colon only
    for place, word in enumerate(words):
        named = named or context.names_tumour(word.text)
        if word.mark:
            depth += (word.text in "([") - (word.text in ")]")
            if (word.text == "," or (word.text == ":" and named)) and depth <= 0:
                borders.append(place + 1)
        elif word.text in _DASHES and depth <= 0:
            borders.append(place + 1)
    return [words[a:b] for a, b in pairwise([*borders, len(words)]) if b > a]


def _speaks(clause: str) -> bool:
    if context.names_tumour(clause) or _DECIDES.search(clause) or context.HISTOLOGY.search(clause):
        return True
    if _ACT.search(clause) or _REACHED.search(clause):
        return False
    # A word or two that nobody knows may be a type or a place.
    return context.TOPOGRAPHY.search(clause) is not None or len(clause.split()) <= 2


def _without(
    words: list[Word], pattern: re.Pattern[str], holds_tumours: bool
) -> tuple[list[Word], list[Word]]:
    """The words without those of the pattern's first match, if a tumour is still named without them; a match that
    names one itself goes only where `holds_tumours` says that the pattern is made for it."""
    text = render(words)
    match = pattern.search(text)
    if (
        match is None
        or (not holds_tumours and context.names_tumour(match.group()))
        or re.search(r"lymphom|leuk|myel", text, _I)
    ):
        return words, []
    rest: list[Word] = []
    taken: list[Word] = []
    place = 0
    for word in words:
        place = text.index(word.text, place)
        (taken if match.start() <= place < match.end() else rest).append(word)
        place += len(word.text)
    return (rest, taken) if context.names_tumour(render(rest)) else (words, [])
