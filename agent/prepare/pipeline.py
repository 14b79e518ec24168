"""`prepare`: one diagnosis text in, its diagnoses out, in time linear in the length of the text.

    prepare("NSCLC re. OL, pT2a; Z.n. Mamma-Ca li. 2011").diagnoses

The way: clean the characters; set aside what is no diagnosis wording; cut the text into statements; read
certainty, side and relation from each; expand its words; join statements that speak of one diagnosis.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace
from itertools import pairwise

from agent.prepare import component, context, focus, measured, operations, patterns, split, words
from agent.prepare.casing import recased
from agent.prepare.drafts import Draft
from agent.prepare.known_words import names_known_place
from agent.prepare.normalise import CleanText, normalise
from agent.prepare.records import MAX_CHARACTERS, MetastasisContext, Prepared, Segment
from agent.prepare.rules import pattern
from agent.prepare.tidy import Word

_INSTRUCTION = tuple(map(pattern, ("instruction", "instruction_speaker", "instruction_hint")))
_SIDES_SPELLED = dict.fromkeys(("li", "li.", "lks", "lks."), "links") | dict.fromkeys(
    ("re", "re.", "rts", "rts."), "rechts"
)
_DISEASES = tuple(map(pattern, ("comorbidity", "disease")))
# What recognition does not hear.
_UNHEARD = ("remarks", "comorbidity", "person")
_T_CATEGORY = re.compile(r"Tis|[pcu]T[a1-4]")
_NOT_INVASIVE = re.compile(r"T(?:is|a)(?![a-z])")
_REMOVED = re.compile(r"\(?(?:Z|St\.|Status)", re.I)
_OF_A = re.compile(r" (?:eine[srn]|des|der|von)\b")
_ITEM_OR_FIELD = re.compile(r"\d{1,2}[.)] |[\w. -]{2,25}: ")
_LINE = 12  # letters, as few as a line of a list has on average
_NARROWEST = 12  # letters of the widest line of a field
# What begins a line of its own, and what no entry of a list ends in.
_NEW_LINE = re.compile(rf"[-*>+] |\d{{1,2}}[.)] |{split.FIELD.pattern}")
_NARROW = 60  # characters of a line in a field that breaks phrases
_FORMULA = re.compile(r"[a-z]{1,3}[TNM][0-4Xi]")
_CANNOT_END = re.compile(r"(?:,|-|\(\w*|(?<![\w-])[a-zäöüß][\w-]*(?:e|er|es|em|ig|isch|al|är))\Z")
_ENDS = " \n.,;:()"
_EDGES = " \n;,|"
_MARKS_LEFT = re.compile(r"[ ,;]*[,;][ ,;]*")
_CAPITALISED = re.compile(r"[A-ZÄÖÜ][\w.-]+")


def prepare(text: str) -> Prepared:
    """Cleans a diagnosis text and splits it into its diagnoses. Takes any `str`, raises nothing.

    Example:
        >>> prepare("Mamma-Ca li. oben außen, G2").diagnoses[0].core
        'Mammakarzinom oberer äußerer Quadrant'
    """
    truncated = len(text) > MAX_CHARACTERS
    clean = normalise(text[:MAX_CHARACTERS])
    line = line_of(clean)
    has_letters = any(map(str.isalpha, line))
    empty = not line.strip()
    drafts, only_code, overflow = ([], False, False) if empty else _read(line)
    flags = {
        "empty": empty,
        "truncated": truncated,
        "no_letters": not has_letters and not empty,
        "only_code": only_code,
        "refers_elsewhere": pattern("refers_elsewhere").fullmatch(line.strip(_ENDS)) is not None,
        "control_characters": clean.had_controls,
        "many_diagnoses": overflow,
        "instruction": "<|" in line or any(words.search(line) for words in _INSTRUCTION),
    }
    raised = tuple(name for name, holds in flags.items() if holds)
    return Prepared(text, _segments(text, clean, drafts), empty, truncated, has_letters, only_code, raised)


def line_of(clean: CleanText) -> str:
    """A cleaned text as it is read: line breaks and letters as they would be elsewhere, none added or lost."""
    return recased(_with_line_breaks(clean.text))


def _read(line: str) -> tuple[list[Draft], bool, bool]:
    """A draft per diagnosis of a line, whether it holds nothing but codes, and whether there were too many."""
    items, masked = patterns.set_aside(line)
    drafts, overflow = _drafts(line, masked, items)
    if not any(draft.words for draft in drafts):
        # Nothing but attributes: let the models read them rather than nothing. Codes stay out.
        items, masked = patterns.set_aside(line, only_codes=True)
        drafts, overflow = _drafts(line, masked, items)
    only_code = not any(draft.words for draft in drafts) and any(item.kind == "codes" for item in items)
    return [_with_tumour(draft, line) for draft in _join(drafts)], only_code, overflow


def _with_line_breaks(text: str) -> str:
    """Slashes between the lines of a list that was put on one line become line breaks again, and the breaks of a
    narrow field that cut through a phrase become blanks. No character is added or lost."""
    parts = text.split(" / ")
    is_list = len(parts) > 2 or (len(parts) == 2 and _ITEM_OR_FIELD.match(parts[1]))
    beside = all(map(_names_disease, parts[1:]))
    if is_list and (beside or sum(map(len, parts)) >= _LINE * len(parts)):
        return " \n ".join(parts)
    return " ".join(text.split("\n")) if _is_wrapped(text) else text


def _is_wrapped(text: str) -> bool:
    """Whether lines break where the next word did not fit, and at least one break cannot end an entry."""
    lines = text.split("\n")
    if len(lines) < 2 or any(not line.strip() or line != line.strip() for line in lines):
        return False
    with_next = [len(line) + 1 + len(following.split(maxsplit=1)[0]) for line, following in pairwise(lines)]
    longest = max(map(len, lines))
    return (
        _NARROWEST <= longest < min(with_next)
        and not any(_NEW_LINE.match(line) for line in lines[1:])
        and not any(map(_names_disease, lines))
        and any(
            _CANNOT_END.search(line) or _goes_on(following, longest) for line, following in pairwise(lines)
        )
    )


def _drafts(line: str, masked: str, items: list[patterns.AsideSpan]) -> tuple[list[Draft], bool]:
    pieces, overflow = split.fragments(line, masked)
    starts = [item.start for item in items]
    own = [items[bisect_left(starts, piece.lead) : bisect_left(starts, piece.end)] for piece in pieces]
    return [_draft(line, masked, piece, aside) for piece, aside in zip(pieces, own, strict=True)], overflow


def _draft(line: str, masked: str, piece: split.Fragment, items: list[patterns.AsideSpan]) -> Draft:
    start, end = piece.start, piece.end
    own = masked[start:end]
    kept_items = list(items)
    if piece.start > piece.lead and piece.after in ("heading", "field"):
        kept_items.append(patterns.AsideSpan("headings", piece.lead, piece.start))
    if piece.field == "therapy":
        if own.strip():
            kept_items.append(patterns.AsideSpan("therapy", start, end))
        return Draft(piece, [], "gesichert", None, False, kept_items, False, {"therapy"}, end)
    certainty, spans = context.find_certainty(own)
    kept_items += [
        patterns.AsideSpan("remarks", start + secured.start(), start + secured.end())
        for secured in pattern("secured").finditer(own)
    ]
    for item in items:
        if item.kind == "codes" and line[item.end - 1] in "AVZ":
            certainty = context.MARK_MEANS[line[item.end - 1]]
        # "Z.n. Resektion eines Kolonkarzinoms": the tumour is gone with the organ.
        removed = item.kind == "therapy" and _REMOVED.match(line, item.start) and _OF_A.match(line, item.end)
        if removed and certainty == "gesichert":
            certainty = "Zustand nach"
    family = context.find_family(own)
    spans += family
    side, side_spans = context.find_side(own if piece.field != "side" else line[piece.lead : end])
    if piece.field == "side":
        side_spans = []
        spans.append((0, len(own)))
    elif side is None:
        treated = (context.find_side(line[i.start : i.end])[0] for i in items if i.kind == "therapy")
        side = next(filter(None, treated), None)
    kept_sides: set[int] = set()
    if context.side_decides(own):
        kept_sides, side_spans = {place for place, _ in side_spans}, []
    own = patterns.blanked(own, spans + side_spans)
    content = words.by_the_clock(
        words.without_codes(words.read_words(own, 0, len(own), line[piece.lead : end])), side
    )
    content = [
        word._replace(
            text=_SIDES_SPELLED.get(word.text.lower(), word.text) if word.start in kept_sides else word.text,
            start=word.start + start,
            end=word.end + start,
        )
        for word in content
    ]
    content, beside = focus.focused(content)
    if not any(item.kind == "tnm" and _NOT_INVASIVE.search(line, item.start, item.end) for item in items):
        content, in_situ = component.invasive_part(content)
        beside += in_situ
    if beside:
        content = words.tidy(content)
        kept_items += [
            patterns.AsideSpan("remarks", word.start, word.end) for word in beside if not word.mark
        ]
    content = operations.with_organ(content, line[piece.lead : end], piece.lead, start - piece.lead)
    content = measured.with_place(content, line[piece.lead : end], piece.lead, side)
    starts_small = line[start:end].lstrip()[:1].islower()
    fields = {piece.field} if piece.field else set()
    return Draft(piece, content, certainty, side, bool(family), kept_items, starts_small, fields, end)


def _with_tumour(draft: Draft, line: str) -> Draft:
    """The draft with "Tumor" where only a T category says that a place has one: "Blase: pTaG1"."""
    staged = next(
        (i for i in draft.set_aside if i.kind == "tnm" and _T_CATEGORY.search(line, i.start, i.end)), None
    )
    if staged is None or draft.names(context.TUMOUR) or any(draft.names(one) for one in _DISEASES):
        return draft
    names = _CAPITALISED.findall(draft.core)
    if names and all(map(_names_place, names)):
        draft.join([Word("Tumor", staged.start, staged.end, True)], comma=False)
    return draft


def _join(drafts: list[Draft]) -> list[Draft]:
    """One draft per diagnosis: attributes go to the diagnosis before them (or after, at the beginning)."""
    joined: list[Draft] = []
    for draft in drafts:
        before = joined[-1] if joined else None
        if before is None:
            joined.append(draft)
        elif not draft.words and draft.certainty == "gesichert":
            _merge(before, draft, comma=False)
        elif _takes_back(before, draft):
            before.certainty = draft.certainty
            _merge(before, replace(draft, words=[]), comma=False)
        elif not before.words and (len(joined) == 1 or before.fragment.after in ("heading", "item")):
            # Only attributes, or a lone heading, stood before.
            draft.set_aside = [*before.set_aside, *draft.set_aside]
            # Other ailments before it are no part of the diagnosis.
            if not any(item.kind == "comorbidity" for item in before.set_aside):
                draft.fragment = draft.fragment._replace(lead=before.fragment.lead)
            draft.side = draft.side or before.side
            draft.fields |= before.fields
            if before.certainty != "gesichert" and draft.certainty == "gesichert":
                draft.certainty = before.certainty
            draft.family = draft.family or before.family
            joined[-1] = draft
        elif _belongs(before, draft):
            _merge(before, draft, comma=not (draft.fragment.after == "line" and draft.starts_small))
        else:
            joined.append(draft)
    return joined


def _takes_back(before: Draft, draft: Draft) -> bool:
    """Whether a draft rules out what was suspected before it: "Dieser konnte ausgeschlossen werden"."""
    return (
        before.certainty == "Verdacht"
        and draft.certainty == "ausgeschlossen"
        and bool(draft.words)
        and pattern("pointing").fullmatch(draft.words[0].text) is not None
        and not context.names_definite_tumour(draft.core)
    )


def _merge(before: Draft, draft: Draft, *, comma: bool) -> None:
    if draft.words:
        before.join(draft.words, comma=comma)
    before.set_aside += draft.set_aside
    before.side = before.side or draft.side
    before.fields |= draft.fields
    before.end = draft.end
    if before.certainty == "gesichert":
        before.certainty = draft.certainty


def _belongs(before: Draft, draft: Draft) -> bool:
    """Whether a draft after a soft cut speaks of the diagnosis before it."""
    if before.fields and before.fields <= {"site", "side"} and context.names_tumour(draft.core):
        # "Organ: Schilddrüse, Diagnose: Karzinom"
        return not draft.fields & before.fields and draft.family == before.family
    if draft.fragment.hard or draft.family != before.family:
        return False
    if draft.certainty != before.certainty and draft.certainty != "gesichert":
        return False
    core = draft.core
    if draft.fields & {"site", "histology", "behaviour", "other", "tumour", "side"}:
        return not (draft.fields & before.fields)
    tumour, tumour_before = context.names_tumour(core), before.names(context.TUMOUR)
    if draft.fragment.after == "line" and draft.starts_small and not tumour and _tells_more(core):
        return True
    if context.METASTASIS.search(core):
        return False
    place = _names_place(core)
    place_before = before.names(context.TOPOGRAPHY) and not any(before.names(one) for one in _DISEASES)
    if tumour_before and not tumour:
        return (
            place
            and not _names_disease(core)
            and pattern("done").search(core) is None
            and all(map(_names_place, _CAPITALISED.findall(core)))
        )
    if not tumour_before and tumour:
        # "Oberlippenhaut; Porom": a short phrase before a semicolon is the place, known to us or not.
        placed = place_before or (draft.fragment.after == "semicolon" and _is_a_place(before.core))
        return placed and not place
    if tumour_before and tumour:
        return place_before and not place and context.HISTOLOGY.search(core) is not None
    return False


def _goes_on(line: str, longest: int) -> bool:
    """Whether a line is no entry of its own: it begins with a small letter, and in fields that are not narrow says more
    of what stands before it."""
    return line[0].islower() and (longest <= _NARROW or _FORMULA.match(line) is not None or _tells_more(line))


def _tells_more(phrase: str) -> bool:
    """Whether a phrase may say more of a diagnosis, unlike "lebt im Heim, Pflegegrad 2"."""
    return (
        _names_place(phrase)
        or context.HISTOLOGY.search(phrase) is not None
        or context.METASTATIC.search(phrase) is not None
        or not any(word[0].isupper() for word in phrase.split())
    )


def _is_a_place(phrase: str) -> bool:
    return len(phrase.split(maxsplit=3)) <= 3 and not _names_disease(phrase)


def _names_place(phrase: str) -> bool:
    return context.TOPOGRAPHY.search(phrase) is not None or names_known_place(phrase)


def _names_disease(phrase: str) -> bool:
    return any(one.search(phrase) for one in _DISEASES)


def _heard(text: str, start: int, end: int, aside: list[patterns.AsideSpan]) -> str:
    """A stretch of the text without its remarks."""
    unheard = [(item.start, item.end) for item in aside if item.kind in _UNHEARD]
    inside = [(max(a, start) - start, min(b, end) - start) for a, b in unheard if a < end and b > start]
    said = patterns.blanked(text[start:end], inside).replace(patterns.MASK, "")
    return _MARKS_LEFT.sub(", ", said).strip(_EDGES) if unheard else said


def _segments(text: str, clean: CleanText, drafts: list[Draft]) -> tuple[Segment, ...]:
    metastatic = [context.METASTASIS.search(draft.core) is not None for draft in drafts]
    some_metastasis = any(
        found and draft.certainty != "ausgeschlossen" and not draft.family
        for found, draft in zip(metastatic, drafts, strict=True)
    )
    segments: list[Segment] = []
    for draft, metastasis in zip(drafts, metastatic, strict=True):
        core = draft.core
        said = clean.text[draft.fragment.lead : draft.end].lstrip(_EDGES)
        start = draft.end - len(said)
        end = start + len(said.rstrip(_EDGES))
        aside: dict[str, list[str]] = {}
        m1 = False
        for item in draft.set_aside:
            a, b = clean.original_span(item.start, item.end)
            aside.setdefault(item.kind, []).append(text[a:b].strip())
            m1 = m1 or (item.kind == "tnm" and "M1" in text[a:b].upper())
        metastasis_context: MetastasisContext | None = None
        if metastasis and not context.names_primary_first(core):
            metastasis_context = "metastasis"
        elif (
            metastasis
            or context.METASTATIC.search(core)
            or m1
            or (some_metastasis and context.names_tumour(core))
        ):
            metastasis_context = "primary"
        segments.append(
            Segment(
                span=clean.original_span(start, end),
                core=core,
                certainty=draft.certainty,
                side=draft.side,
                negated=draft.certainty == "ausgeschlossen",
                family=draft.family,
                metastasis_context=metastasis_context,
                set_aside={kind: tuple(values) for kind, values in aside.items()},
                words=tuple(
                    (word.text, *clean.original_span(word.start, word.end))
                    for word in draft.words
                    if not word.mark
                ),
                wording=_heard(clean.text, max(start, draft.fragment.start), end, draft.set_aside),
            )
        )
    return tuple(segments)
