"""What is set aside from a diagnosis text, and the patterns that find it.

    found, masked = set_aside("Mammakarzinom pT2 N0, ED 03/2019")
    [(item.kind, item.start, item.end) for item in found]       # [('tnm', 14, 20), ('dates', 22, 32)]

Every repetition in a pattern is bounded or followed by nothing that could fail, so that no input takes
more than linear time. No pattern crosses a line break.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.prepare.context import METASTASIS, TOPOGRAPHY, names_tumour
from agent.prepare.rules import pattern, source


class AsideSpan(NamedTuple):
    """A stretch of the normalised text that no model reads as part of the diagnosis."""

    kind: str
    start: int
    end: int


_I = re.IGNORECASE

# A code in any spelling that a person or a practice system would write. Codes of the tumour chapters are
# recognised without their point; those of other chapters (B12, L05) only with it.
CODE = re.compile(
    r"(?:\b(?:antworte?|antwort|answer|output|kode|code|codes|kodiert?|schlüssel)\b[ :=]{0,3}(?:mit |als |nur )?)?"
    r"(?:\b(?:ICD(?:[- ]?O)?(?:[- ]?(?:10|3))?(?:[- ]?GM)?(?: ?20\d\d)?|OPS)\b[ :=-]{0,3})?"
    r"(?<![\w.])(?:"
    r"[CDcd][ -]?\d\d(?:[.,][\dxX]{1,2}|[.,]-)[+*!]?"
    r"|[CD]\d\d(?![\w/])[+*!]?"
    r"|[A-TV-Z]\d\d\.(?:\d{1,2}|-)[+*!]?"
    r"|M?-?[89]\d\d\d ?/ ?\d\d?"
    r"|[1-9]-\d[0-9a-z]{2}\.[0-9a-z]{1,2}"
    r")(?: ?[GVAZ](?!\w)| ?(?<=\d)[GVAZ](?!\w))?(?: [LRB](?![\w.]))?(?!\w)"
)
# The same as one plain check, for the promise that no code is left in `core`.
CODE_LEFT = re.compile(
    r"(?<![\w.])(?:[CDcd][ -]?\d\d[.,]\d{1,2}|[CD]\d\d(?![\w/])|[A-TV-Z]\d\d\.\d{1,2})(?!\w)"
)

_PREFIX = r"(?:[aycrpu]{1,3})?"
_GAP = r"[ ,;/]{0,3}"
_IN_BRACKETS = r"(?: ?\([^()\n]{1,24}\)){0,3}"
# A word may not go on after a category, but the next category may follow without a blank.
_ENDS = r"(?!\d)(?![a-zäöü]{2}(?<!yp)(?<!yc)(?<!rp))"
_T = r"T(?:is|[axX]|[0-4][a-d]?\d?)"
# A letter may end a category ("T1c") or begin the next one ("cN0"): it ends this one, except before a small n, which
# needs it. So each category is read in one way only, `(?>...)`; a row of them would otherwise be tried in all ways.
# No formula has more categories.
_C = r"c(?!n[0-3x])"
_TNM_REST = (
    rf"(?:(?>{_GAP}(?:"
    rf"{_PREFIX}T(?:is|[axX]|[0-4](?:[abd]|{_C})?\d?)|{_PREFIX}N(?:[xX+]|[0-3](?:[ab]|{_C})?\d?(?:mi)?)|[pc]{{1,2}}n[0-3x](?:[ab]|{_C})?"
    rf"|{_PREFIX}[Mm](?:[xX]|[01](?:[abd]|{_C})?)|L[01xX]|V[0-2xX]|Pn[01xX]|R[0-2xX]|G[1-4xX](?:[-/]G?[1-4](?![A-ZÄÖÜ][a-zäöüß]{{2}}))?[ab]?|[HL]G|S[0-3xX]|sn)"
    rf"{_ENDS}){_IN_BRACKETS}){{0,40}}"
)
TNM = re.compile(
    r"(?<![\w/.;-])(?<!\w\()(?:(?:TNM|Tumorformel)(?:-Klassifikation)?[ :=]{0,3})?(?:"
    rf"(?:{_PREFIX}{_T}|[pcyr]{{1,2}}t(?:is|[ax0-4][a-d]?)|[aycrp]{{1,3}}N(?:[xX+]|[0-3][a-c]?)|[aycrp]{{1,3}}M(?:[xX]|[01][a-d]?))"
    rf"{_ENDS}(?!-?Z|-[A-Za-zäöü]){_IN_BRACKETS}{_TNM_REST}"
    rf"|(?:N(?:[xX+]|[0-3][a-c]?)|R[0-2xX]|L[01xX]|V[0-2xX]|Pn[01xX]|M[01][a-d]?)(?![\w-]){_IN_BRACKETS}{_TNM_REST}"
    r")(?!\w)"
)
_NODE_COUNT = re.compile(
    r"(?<![\w/])\(?\d{1,3} ?(?:/|von) ?\d{1,3} ?(?:LK|Lymphknoten|Lk|SLN|Sentinel\w{0,20})(?:\b)(?: befallen| positiv)?\)?"
)
_GRADE_IN_TNM = re.compile(r"(?<!\w)G[1-4xX](?:[-/]G?[1-4])?[ab]?")

_ROMAN = r"(?:[IVX]{1,4}|[0-4])"
_SYSTEM = source("staging_system")
_STAGE = re.compile(
    rf"\(?(?:{_SYSTEM}(?:[ -]?(?:{_SYSTEM}|nach {_SYSTEM}|20\d\d|[:=])){{0,3}}[ :-]{{0,3}}(?:{_ROMAN}(?:[ -]?[A-Ea-e]\d?)?(?:[ -]?[ES]{{1,2}}\b)?|[A-D]\d?)"
    rf"(?:[ -]?\(?(?:nach )?{_SYSTEM}\)?)?|(?<=, ){_ROMAN}[A-C]? ?\({_SYSTEM}\))(?!\w)\)?"
)
_GRADE = re.compile(
    r"(?<![\w-])\(?(?:"
    r"(?:Grading|Differenzierungsgrad|Malignitätsgrad|Grade)[ :=]{0,3}(?:G ?)?(?:[1-4](?:[-/][1-4])?|I{1,3}|IV)"
    r"|(?:(?:WHO|ISUP|Fuhrman|Elston[ -](?:und )?Ellis)[ -])?(?:Grad|Grade|Gruppe)[ :]{0,2}(?:[1-4][ab]?(?:[-/][1-4])?|I{1,3}[ab]?(?:[-/]I{1,3}[ab]?)?|IV)"
    r"|(?:ISUP|WHO°|WHO)[ :-]{0,2}(?:[1-5]|I{1,3}|IV)(?![\d.])"
    r"|G[1-4](?:[ab])?(?: ?[-/] ?G?[1-4])?"
    r"|Gleason(?:[ -]?(?:Score|Summe|Grad|Sc\.))?[ :=]{0,3}(?:[1-5] ?[ab]? ?\+ ?[1-5] ?[ab]?)?(?: ?=? ?(?:10|[2-9])[ab]?)?(?: ?\([1-5] ?\+ ?[1-5]\))?"
    r"|(?:Gl\.?|GS)[ :=]{0,2}(?:[1-5][ab]? ?\+ ?[1-5][ab]?(?: ?=? ?(?:10|[2-9])[ab]?)?|(?:10|[6-9])[ab]?)(?![.,]\d)"
    r"|(?:Nottingham|NPI|BRE|Elston)(?:[ -]?Score|[ -]?Grad)?[ :=]{0,3}\d(?:[.,]\d)?"
    r")(?![\w-])\)?"
)
_DATE = re.compile(
    rf"(?:{source('date_lead')}[ :]{{1,3}}){{0,4}}"
    r"\(?(?<![\w.,/-])(?:"
    r"(?:0?[1-9]|[12]\d|3[01])\. ?(?:0?[1-9]|1[0-2])\. ?(?:(?:19|20)\d\d|\d\d)"
    r"|(?:0?[1-9]|1[0-2])[./-](?:19|20)\d\d"
    r"|(?:0?[1-9]|1[0-2])/\d\d"
    r"|(?:19|20)\d\d-(?:0[1-9]|1[0-2])(?:-\d\d)?"
    rf"|{source('month')} (?:19|20)\d\d"
    r"|(?:19|20)\d\d(?:/(?:0?[1-9]|1[0-2]))?"
    r")(?![\w/]|[.,-]\d| ?(?:mg|ml|ng|µg|Gy|%|g)\b)\)?"
)
_DATE_WORD = re.compile(rf"{source('date_word')}(?=[ :,]{{0,4}}(?:$|\n|[,;)]))")
_MARKER = source("marker")
_VALUE = (
    rf"(?:[ :=-]{{0,3}}(?:{source('marker_value')}|[<>~]?=? ?\d{{1,5}}(?:[.,]\d{{1,3}})?(?:-\d{{1,3}})? ?(?:%|U/ml|ng/ml|IU/ml|/12)?|/12"
    r"|\+{1,3}|-(?![\w])|[0-3]\+))"
)
_RECEPTOR = re.compile(
    rf"(?<![\w-])\(?(?:{_MARKER}(?:(?: ?[/,+&] ?| ){_MARKER}){{0,4}}{_VALUE}{{1,5}}|{source('receptor_status')})(?!\w)\)?",
    _I,
)
_PSA = re.compile(
    r"(?<!\w)\(?(?:i|initial(?:e[rs]?)? )?PSA(?:-Wert|-Anstieg|-Rezidiv| initial| aktuell)?[ :=]{0,3}(?:bei |auf |von |initial |aktuell |ca\. ){0,2}[<>]? ?\d{1,5}(?:[.,]\d{1,3})?(?: ?(?:ng/ml|µg/l|ng/dl|ng))?(?!\w)\)?",
    _I,
)
_DEPTH = re.compile(
    r"(?<!\w)\(?(?:(?:Tumordicke|TD|Invasionstiefe|Eindringtiefe|(?:nach )?Breslow(?:-Index)?)(?: nach Breslow)?[ :=]{0,3}(?:von |ca\. ){0,2}[<>]? ?\d{1,3}(?:[.,]\d{1,3})? ?(?:mm|cm)?"
    r"|(?:Clark(?:[ -]Level)?|Level(?: nach Clark)?|CL)[ :=]{0,3}(?:IV|V|I{1,3}|[1-5])(?: nach Clark)?)(?!\w)\)?",
    _I,
)
_SIZE = re.compile(
    r"(?:\b(?:(?-i:ca\.?)|max\.?|bis|bis zu|von|mit|Größe|Durchmesser|Tumorgröße|DM|größter|maximal|etwa)[ :]{1,2}|Ø ?){0,3}(?<![\w.,])\(?"
    r"\d{1,4}(?:[.,]\d{1,2})?(?: ?(?:mm|cm))?(?: ?[x*] ?\d{1,4}(?:[.,]\d{1,2})?(?: ?(?:mm|cm))?){0,2} ?(?:mm|cm)(?!\w)(?: (?:groß|großer|großes|große|Durchmesser|messend|ab ano|ab ACL|ab Anokutanlinie))?\)?",
    _I,
)
# Volumes of the prostate and of what stays in the bladder.
_VOLUME = re.compile(
    r"(?<![\w-])\(?(?:PV|PVol|Prostatavolumen|Vol(?:umen|\.)|RH|Restharn)[ :=]{1,3}(?:(?:von|bei|ca\.) ?){0,2}[<>]? ?\d{1,4}(?:[.,]\d)?(?: ?(?:ml|ccm|cc|cm³|g))?(?!\w)\)?"
)
_PERSON = re.compile(
    rf"(?:{source('person_age')}(?: {source('person')})?|{source('person')}(?= mit))(?: hat)?(?!\w)"
)
_SIDE = f"(?:{source('left')}|{source('right')}|{source('both_sides')})"
_TREATED = rf"\w{{0,20}}(?:{source('treatment')}|{source('drug')})"
_AND_TREATED = rf"{_TREATED}(?!\w)"
_THERAPY = re.compile(
    rf"(?<![\w-])\(?(?:(?:(?:{source('state_after')}|{source('therapy_lead')})(?: {source('therapy_kind')}){{0,3}}|{source('therapy_aim')}) "
    rf"{_TREATED}(?:(?: und | \+ |, |/| mit | u\. )(?:{source('therapy_kind')} )?{_AND_TREATED}){{0,5}}(?: {_SIDE})?"
    rf"|(?<=, ){_TREATED}(?:(?: und | \+ |/| mit ){_AND_TREATED}){{0,5}}(?: {source('therapy_state')})?(?=$|[ \x1f]{{0,64}}[,;.)\n]|[ \x1f]{{1,64}}(?:\d|\x1f))"
    r")(?!\w)\)?"
)
# "Z.n. Exstirpation und Nachexzision eines Melanoms": whatever stands between is what was done to the tumour.
_MEASURE_OF = re.compile(rf"{source('state_after')}(?:[ ,]{{1,2}}[\w.-]{{2,30}}){{1,5}}(?= eine[sr]\b)")
# "ossär und hepatisch metastasiertes": where the metastases are does not say where the tumour is.
_SPREAD = re.compile(
    r"(?<![\w-])(?:[a-zäöüß]{3,20}(?:al|är|isch|gen|ell)(?:,| und| u\.| ?/| sowie)? ?){1,4}(?<= )(?=metastasiert|metast\.|filial?isiert|filiarisiert)",
    _I,
)
# "metast. HEP+PER": the registries' short names of the same.
_SITE = source("spread_code")
_SPREAD_TO = re.compile(
    rf"(?:(?<=metast\. )|(?<=metastasiert )|(?<=metastasiertes )|(?<=[MV]1 )){_SITE}(?>[ ,+/&]{{1,3}}{_SITE})*"
)
# What was looked at and found free.
_SPARED = re.compile(
    r"(?<=,) (?:[\w-]{2,30} ){1,3}(?:nicht (?:befallen|infiltriert)|tumorfrei|frei von Tumor)(?!\w)", _I
)
_RISK = re.compile(rf"(?<!-){source('risk')}[ -]?(?=[A-ZÄÖÜa-zäöü])")
_PRIMARY, _UNKNOWN = source("primary_word"), source("unknown")
_UNKNOWN_PRIMARY = re.compile(
    rf"(?:,? ?\b(?i:bei|mit|b\.|eines|einem) )?(?:{_UNKNOWN} {_PRIMARY}|{_PRIMARY} ?:? ?(?:(?i:derzeit|noch|bisher|weiter) )?{_UNKNOWN})"
)
# "Primarius Harnblase", "Adenokarzinom der Harnblase (Primarius)": the word names nothing.
_PRIMARY_IS = re.compile(rf"\(?{_PRIMARY}(?![\w-])\)?(?! ?[:?])")
_STATEMENT_END = re.compile(r"[;\n]")
_NO_PRIMARY = re.compile(rf"(?<!\w)(?:(?i:ohne|kein(?:e[nmr])?)|{_UNKNOWN})(?!\w)")
# A metastasis with its place, and a melanoma, have a code of their own, whether the primary is known or not.
_PLACED = re.compile(
    r"melanom|(?:leber|hepat|lunge|pulmo|hirn|zerebr|knochen|oss|skelett|wirbel|lymph|\blk|pleura|haut|kutan|nebennier|peritone|axill|inguin|zervik)[\w-]{0,24}[ -]?(?:metast|filia|mets?\b)"
    r"|(?:metast|filia)\w{0,8} (?:[\w.]{1,4} )?(?:in |im |am |der |des |an )?(?:leber|lunge|hirn|knochen|pleura|haut|nebennier|\blk|lymph|axill|leiste|hals|[lbh]wk|wirbel)",
    _I,
)
_UNSPECIFIED = re.compile(rf"(?<!\.)\(?{source('unspecified')}\)?")
# What speaks to a machine and not of a patient, up to the end of its sentence.
_INSTRUCTION = re.compile(
    r"<\|[^|>\n]{0,60}\|>|\b(?i:bitte)\b[^.\n;:]{0,60}\b(?i:[kc]odieren?)\b ?:?"
    rf"|(?:#{{2,4}} ?)?(?:{source('instruction')}|{source('instruction_speaker')})[^.\n;]{{0,200}}"
)
_LISTED = re.compile(r"(?m)(?<=,)[^,;\n]{3,60}(?=[,;]|$)|^[^,;\n]{3,60}(?=,)")
_CLAUSE = re.compile(r"[^,;:()\[\]\n]+")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_NUMBERED = re.compile(r"\d[.)] ")
_AFTER_NOTHING_ELSE = re.compile(
    r"(?:AML|leuk[äe]mie|FAB|BWK|LWK|HWK|Wirbelkörper|Wirbel|Höhe|Th|Segment|Metastasen?)[ -]{0,2}(?:Typ |nach |mit )?$",
    _I,
)

_DIGIT = re.compile(r"\d")
MASK = "\x1f"


def set_aside(text: str, *, only_codes: bool = False) -> tuple[list[AsideSpan], str]:
    """What is set aside in a normalised `text`, in order and without overlaps (only a grade lies within its TNM formula), and the text with each
    such character replaced by `MASK` (a blank for every pattern that follows)."""
    items: list[AsideSpan] = []
    has_digit = _DIGIT.search(text) is not None
    if has_digit:
        text = _take(text, items, CODE, "codes")
    if only_codes:
        return items, text
    text = _take(text, items, _INSTRUCTION, "instruction")
    text = _take(text, items, pattern("companion"), "person")
    if pattern("relative").search(text):
        text = _take(text, items, _CLAUSE, "person", keep=_is_no_company)
    if has_digit:
        # "PV 60 ml" is no polycythaemia.
        text = _take(text, items, _VOLUME, "findings")
    if "," in text:
        text = _take(text, items, _SPARED, "findings")
        if names_tumour(text):
            text = _take(text, items, _LISTED, "comorbidity", keep=_is_no_comorbidity)
    text = _take(text, items, _UNSPECIFIED, "unspecified")
    if "Prim" in text or "PT" in text:
        text = _take(text, items, _UNKNOWN_PRIMARY, "unknown_primary", keep=_is_of_no_place)
        text = _take(text, items, _PRIMARY_IS, "headings", keep=_speaks_of_primary)
    if "urvatur" in text and pattern("stomach_part").search(text):
        text = _take(text, items, pattern("stomach_curvature"), "places")
    text = _take(text, items, _RISK, "stage")
    if has_digit:
        text = _take(text, items, _PSA, "psa")
        text = _take(text, items, _NODE_COUNT, "tnm")
    marker_kept = pattern("marker_decides").search(text) is not None
    if not marker_kept:
        text = _take(text, items, _RECEPTOR, "receptors")
    text = _take_tnm(text, items, has_digit)
    text = _take(text, items, _STAGE, "stage")
    if has_digit or "Gleason" in text or "Grad" in text or "WHO" in text:
        kept = pattern("grade_decides").search(text) is not None
        text = _take(text, items, _GRADE, "grade", keep=_line_decides if kept else None)
    if has_digit:
        text = _take(text, items, _DEPTH, "depth")
        text = _take(text, items, _SIZE, "sizes")
        text = _take(text, items, _DATE, "dates")
    elif "Clark" in text or "Level" in text:
        text = _take(text, items, _DEPTH, "depth")
    text = _take(text, items, _DATE_WORD, "dates")
    text = _take(text, items, _PERSON, "person")
    if pattern("therapy_decides").search(text) is None:
        text = _take(text, items, _THERAPY, "therapy")
        text = _take(text, items, _MEASURE_OF, "therapy", keep=names_tumour)
    text = _take(text, items, _SPREAD, "spread")
    text = _take(text, items, _SPREAD_TO, "spread")
    items.sort(key=lambda item: item.start)
    return items, text


def _take(
    text: str,
    items: list[AsideSpan],
    stretch: re.Pattern[str],
    kind: str,
    keep: Callable[[str, int, int], bool] | None = None,
) -> str:
    """Moves every match of `stretch` to `items` and masks it, except where `keep(text, start, end)` holds."""
    found: list[AsideSpan] = []
    for match in stretch.finditer(text):
        start, end = match.span()
        # One bracket without its partner belongs to the text around it.
        if text[start] == "(" and text[end - 1] != ")":
            start += 1
        elif text[end - 1] == ")" and text.count("(", start, end) < text.count(")", start, end):
            end -= 1
        while end > start and text[start] in " \x1f":
            start += 1
        if start >= end or (keep is not None and keep(text, start, end)):
            continue
        found.append(AsideSpan(kind, start, end))
    items += found
    return blanked(text, [(item.start, item.end) for item in found])


def blanked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with `MASK` for each character of the spans, which may overlap."""
    if not spans:
        return text
    parts: list[str] = []
    last = 0
    for start, end in sorted(spans):
        if end > last:
            start = max(start, last)
            parts += text[last:start], MASK * (end - start)
            last = end
    return "".join((*parts, text[last:]))


def _take_tnm(text: str, items: list[AsideSpan], has_digit: bool) -> str:
    if not has_digit and not re.search(r"T(?:is|[aXx])\b|[NMRLV][Xx+]", text):
        return text
    before = len(items)
    text_after = _take(
        text,
        items,
        TNM,
        "tnm",
        keep=lambda t, start, _: _AFTER_NOTHING_ELSE.search(t, max(0, start - 24), start) is not None,
    )
    for item in items[before:]:
        for grade in _GRADE_IN_TNM.finditer(text, item.start, item.end):
            items.append(AsideSpan("grade", *grade.span()))
    return text_after


def _is_no_comorbidity(text: str, start: int, end: int) -> bool:
    return (
        pattern("comorbidity").search(text, start, end) is None
        or names_tumour(text, start, end)
        or _NUMBERED.search(text, start, end) is not None
    )


def _is_no_company(text: str, start: int, end: int) -> bool:
    """Whether a clause names no relative, or says of one that he has a tumour: "Mutter mit 40 erkrankt". "Tochter in
    Kanada" tells who lives with the patient."""
    clause = text[start:end]
    who = pattern("relative").sub(" ", clause)
    return (
        who == clause
        or names_tumour(clause)
        or pattern("ill_relative").search(clause) is not None
        or _LONG_WORD.search(pattern("of_relative").sub(" ", who)) is None
    )


def _begin_of_statement(text: str, start: int, reach: int) -> int:
    """Where the statement begins that `start` stands in, at most `reach` characters before."""
    near = max(0, start - reach)
    return max(text.rfind("\n", near, start) + 1, text.rfind(";", near, start) + 1, near)


def _speaks_of_primary(text: str, start: int, end: int) -> bool:
    """Whether the word for a primary says what nothing else of its statement does: that there is a tumour, or none that
    has a place."""
    far = end + 200
    stop = _STATEMENT_END.search(text, end, far)
    before = text[_begin_of_statement(text, start, 200) : start]
    beside = f"{before} {text[end : stop.start() if stop else far]}"
    return (
        _NO_PRIMARY.search(beside) is not None
        or not names_tumour(beside)
        or TOPOGRAPHY.search(METASTASIS.sub(" ", beside)) is None
    )


def _is_of_no_place(text: str, start: int, end: int) -> bool:
    return _PLACED.search(text, _begin_of_statement(text, start, 100), start) is None


def _line_decides(text: str, start: int, end: int) -> bool:
    begin = _begin_of_statement(text, start, 200)
    return pattern("grade_decides").search(text, begin, start + 60) is not None
