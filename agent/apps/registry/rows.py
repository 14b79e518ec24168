"""From a coded tumour to the rows of the report, and which elements are to be filled.

for row, fillings in rows_of("a.xml", "M1", coded, context): ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.apps.registry.coding import NO_TEXT, CodedTumour, Proposal
from agent.apps.registry.compare import Edition, Verdict, as_code, edition_of, verdict
from agent.apps.registry.records import Gap, Leaf, Slot, Tumour
from agent.apps.registry.report import ReportRow
from agent.apps.wording import AXIS_NAMES
from index.catalogue.layouts.source import year_of
from index.catalogue.lexicon import EDITION, YEAR
from index.icd import is_secondary
from index.records import CodeSystem

if TYPE_CHECKING:
    from agent.agent import CodingAgent

# Of ICD-10-GM and ICD-O-3, as both schemas list them.
_VERSION = re.compile(r"|[0-9]{1,2}(?: [0-9]{4} (?:GM|WHO))?|bb|Sonstige")
# ICD-O-3 in German: first edition, first and second revision, as both schemas number them.
_ICDO_VERSIONS = ((2019, "33"), (2014, "32"), (2003, "31"))
NO_ELEMENT = "kein Code-Element in der Meldung"
_METASTASIS = "der Text nennt eine Metastase, das Element fragt nach dem Primärtumor."
# The version that goes beside a code of an edition (None: the catalogue's), and whether there is such a code.
VersionOf = Callable[[CodeSystem, str, str | None], str | None]


# An empty element and what is to be written into it, or an absent one with its code and version.
Filling = tuple[Leaf, str] | tuple[Gap, str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run wants: whether it fills at all, from which confidence on, the version of a code, and whether elements
    that are not there are added."""

    write: bool
    min_confidence: float
    version_of: VersionOf
    add_missing: bool = False


def rows_of(
    file: str, meldung_id: str, coded: CodedTumour, rules: Rules
) -> Iterator[tuple[ReportRow, list[Filling]]]:
    """One row per code element, and one per axis that has a text but no element."""
    tumour = coded.tumour
    base: dict[str, Any] = {"file": file, "meldung_id": shown_id(meldung_id)}
    base["tumour_id"] = shown_id(tumour.tumour_id)
    single = {
        CodeSystem.ICD10GM: coded.icd10gm,
        CodeSystem.TOPOGRAPHY: coded.topography,
        CodeSystem.MORPHOLOGY: coded.morphology,
    }
    groups: list[tuple[tuple[Slot, ...], Proposal]]
    groups = [((slot,), single[slot.system]) for slot in tumour.slots]
    groups += [(h.slots, p) for h, p in zip(tumour.histologies, coded.histologies, strict=True)]
    secondary = is_secondary(coded.icd10gm.code or "")
    rows = [
        _row(base, slot, slots, proposal, rules, secondary) for slots, proposal in groups for slot in slots
    ]
    rows += _without_element(base, coded, single, rules, secondary)
    if not rows:
        axis, reason = AXIS_NAMES[CodeSystem.ICD10GM], f"{NO_ELEMENT}; {NO_TEXT}"
        rows = [(ReportRow(**base, line=tumour.line, axis=axis, verdict=Verdict.NEITHER, reason=reason), [])]
    yield from sorted(rows, key=lambda found: found[0].line or 0)


def _without_element(
    base: dict[str, Any],
    coded: CodedTumour,
    single: dict[CodeSystem, Proposal],
    rules: Rules,
    secondary: bool,
) -> Iterator[tuple[ReportRow, list[Filling]]]:
    tumour = coded.tumour
    there = {slot.system for slot in tumour.slots} | {s.system for h in tumour.histologies for s in h.slots}
    gaps = {gap.system: gap for gap in reversed(tumour.gaps)}
    silent: list[tuple[CodeSystem, int, str, Proposal, Gap | None]] = [
        (system, tumour.line, "", proposal, gaps.get(system))
        for system, proposal in single.items()
        if system not in there and proposal.text
    ]
    told = [
        (CodeSystem.MORPHOLOGY, histology.line, histology.section, proposal, histology.gap)
        for histology, proposal in zip(tumour.histologies, coded.histologies, strict=True)
        if histology.text and not histology.slots
    ]
    if CodeSystem.MORPHOLOGY in there:
        # Some histologies have their element and this one, which has a text, has none.
        silent += told
    elif told:
        # The first one's place for the morphology of the tumour.
        silent = [(*one[:4], told[0][4]) if one[0] is CodeSystem.MORPHOLOGY else one for one in silent]
    for system, line, section, proposal, gap in silent:
        reason, fillings = _added(gap, system, proposal, rules, secondary)
        reasons = " ".join(filter(None, (reason, proposal.reason)))
        found = _proposed(system, proposal) | {"line": line, "section": section, "reason": reasons}
        yield (
            ReportRow(**base, **found, verdict=verdict(system, "", proposal.code), filled=bool(fillings)),
            fillings,
        )


def _added(
    gap: Gap | None, system: CodeSystem, proposal: Proposal, rules: Rules, secondary: bool
) -> tuple[str, list[Filling]]:
    """What a row says of an element that is not there, and what is added."""
    if not (rules.write and rules.add_missing) or proposal.code is None:
        return f"{NO_ELEMENT}.", []
    version = rules.version_of(system, proposal.code, proposal.edition)
    if gap is None:
        return f"{NO_ELEMENT}; auch der Abschnitt fehlt, in dem es stünde.", []
    if secondary and system is not CodeSystem.MORPHOLOGY:
        return f"{NO_ELEMENT}. Nicht ergänzt: {_METASTASIS}", []
    if proposal.confidence < rules.min_confidence:
        return f"{NO_ELEMENT}. Nicht ergänzt: {_unsure(proposal, rules)}", []
    if version is None:
        return f"{NO_ELEMENT}. Nicht ergänzt: das Schema kennt für die Ausgabe keine Version.", []
    return f"Element {gap.names[0]} ergänzt.", [(gap, proposal.code, version)]


def _proposed(system: CodeSystem, proposal: Proposal) -> dict[str, Any]:
    """What a row says of the proposal."""
    return {
        "axis": AXIS_NAMES[system],
        "proposed": proposal.code or "",
        "confidence": proposal.confidence if proposal.code else None,
        "text": proposal.text,
    }


def _row(
    base: dict[str, Any],
    slot: Slot,
    group: tuple[Slot, ...],
    proposal: Proposal,
    rules: Rules,
    secondary: bool,
) -> tuple[ReportRow, list[Filling]]:
    system, written = slot.system, slot.code.text
    code = as_code(system, written) if written else ""
    edition = edition_of(slot.version.text if slot.version else "")
    judged = verdict(system, written, proposal.code, edition)
    reasons = [proposal.reason] if proposal.reason else []
    others = [other for other in group if other is not slot]
    if judged is Verdict.CONTRADICT and any(
        as_code(system, other.code.text) == proposal.code for other in others
    ):
        judged = Verdict.ONLY_MESSAGE
        reasons.insert(0, "Weiterer Kode derselben Histologie; der Vorschlag bestätigt den anderen.")
    if judged is Verdict.NO_CODE:
        reasons.insert(0, "Der Inhalt des Elements ist kein Kode dieser Klassifikation und bleibt stehen.")
    elif judged is Verdict.NOT_COMPARED:
        reasons.insert(0, "Der Kode ist laut Version aus einer anderen Klassifikation als der ICD-10-GM.")
    elif code and system is CodeSystem.ICD10GM and edition is Edition.WHO:
        reasons.insert(0, "Kode der ICD-10 der WHO, bis zur vierten Stelle verglichen.")
    elif code and system is CodeSystem.ICD10GM and rules.version_of(system, code, None) is None:
        reasons.insert(0, f"{code} steht nicht in der benutzten ICD-10-GM.")
    fillings: list[Filling] = []
    if judged is Verdict.ONLY_PROPOSED and proposal.code:
        obstacle = _obstacle(slot, others, proposal, rules)
        if secondary and system is not CodeSystem.MORPHOLOGY:
            # C77 to C79 and the place of a metastasis say nothing of the primary tumour, which the element asks for.
            obstacle = f"Nicht gefüllt: {_METASTASIS}"
        if obstacle:
            reasons.insert(0, obstacle)
        elif rules.write:
            fillings = _fillings(
                slot, proposal.code, rules.version_of(slot.system, proposal.code, proposal.edition)
            )
    row = ReportRow(
        **base,
        line=slot.code.place.line,
        section=slot.section,
        element=slot.code.name,
        written="" if code is None else code,
        version=_plain_version(slot.version),
        verdict=judged,
        filled=bool(fillings),
        reason=" ".join(reasons),
        **_proposed(system, proposal),
    )
    return row, fillings


def _obstacle(slot: Slot, others: list[Slot], proposal: Proposal, rules: Rules) -> str:
    """Why an empty element is not filled, "" where nothing is in the way."""
    assert proposal.code is not None
    if not slot.code.fillable:
        return "Nicht gefüllt: das Element ist als leer ausgewiesen (xsi:nil) oder enthält andere Elemente."
    if any(other.code.text or other.code.place.start < slot.code.place.start for other in others):
        return "Nicht gefüllt: die Histologie hat schon einen anderen Kode."
    if proposal.confidence < rules.min_confidence:
        return f"Nicht gefüllt: {_unsure(proposal, rules)}"
    version = rules.version_of(slot.system, proposal.code, proposal.edition)
    there = slot.version.text if slot.version else ""
    if there and there != version:
        return (
            f"Nicht gefüllt: daneben steht die Version {_plain_version(slot.version)}, der Vorschlag folgt "
            f"{version or 'einer Ausgabe ohne Jahr'}; Version leeren oder mit --edition in ihr kodieren."
        )
    return ""


def _unsure(proposal: Proposal, rules: Rules) -> str:
    return f"Konfidenz {proposal.confidence:.2f} unter {rules.min_confidence:.2f}."


def _fillings(slot: Slot, code: str, version: str | None) -> list[Filling]:
    fillings: list[Filling] = [(slot.code, code)]
    if slot.version is not None and slot.version.fillable and not slot.version.text and version:
        fillings.append((slot.version, version))
    return fillings


def _plain_version(leaf: Leaf | None) -> str:
    """The version element if it is one of the schemas'; an element may hold anything, then it is `?`."""
    text = leaf.text if leaf else ""
    return text if _VERSION.fullmatch(text) else "?"


def version_of(agent: CodingAgent, system: CodeSystem, code: str, edition: str | None = None) -> str | None:
    """The edition that a code is of, as the registry schemas write it: `10 2024 GM`; of ICD-O-3 `33`, 2019. `edition` is
    that of an answer's ICD-10-GM codes.

    None where the edition has no year or the schemas no number.
    """
    found = agent.resources.catalogue.code(system, code)
    if found is None:
        return None
    year = YEAR[system] if found.edition == EDITION else year_of(found.edition)
    if system is CodeSystem.ICD10GM and edition is not None:
        year = year_of(edition)
    if system is CodeSystem.ICD10GM:
        return f"10 {year} GM" if year else None
    return next((number for first, number in _ICDO_VERSIONS if (year or 0) >= first), None)


def shown_id(identifier: str) -> str:
    """A Meldung_ID or Tumor_ID as reports show it; what has white space is more likely a text, and is `?`."""
    return "?" if len(identifier.split()) > 1 else identifier


def texts_of(tumour: Tumour) -> str:
    """All texts of a tumour, for `--with-text`."""
    parts = [tumour.diagnosis, tumour.place, *(histology.text for histology in tumour.histologies)]
    parts.append(tumour.histology_elsewhere)
    return " | ".join(dict.fromkeys(part for part in parts if part))
