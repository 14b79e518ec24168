"""Which text answers for which axis, and how message and proposal are compared."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from agent.apps.registry.coding import NO_TEXT, code_tumours, joined
from agent.apps.registry.compare import Verdict, as_code, verdict
from agent.apps.registry.records import Histology, Tumour
from agent.prepare import Case
from index.records import CodeSystem
from tests.agent.tiny_agent import embedded_agent

ICD, PLACE, MORPHOLOGY = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY


def _tumour(diagnosis: str, place: str = "", histology: str = "", section: str = "Diagnose") -> Tumour:
    return Tumour("1", 1, diagnosis, place, (Histology(section, 1, histology, ()),), ())


def test_the_joined_text_codes_our_own_messages() -> None:
    with (Path(__file__).parent / "own_messages.tsv").open(encoding="utf-8") as stream:
        cases = list(csv.DictReader(stream, delimiter="\t"))
    tumours = [_tumour(case["diagnosis"], case["place"], case["histology"]) for case in cases]
    right = dict.fromkeys(("icd10gm", "topography", "morphology"), 0)
    for case, coded in zip(cases, code_tumours(embedded_agent(), tumours), strict=True):
        for axis in right:
            right[axis] += getattr(coded, axis).code == case[axis]
    assert right["icd10gm"] >= 29 and right["topography"] >= 29 and right["morphology"] >= 28


def test_each_text_is_said_once() -> None:
    assert joined("Rektumkarzinom", "", "Adenokarzinom") == Case("Rektumkarzinom", histology="Adenokarzinom")
    assert joined("Karzinom im Oberlappen", "Oberlappen", "") == "Karzinom im Oberlappen"
    assert joined("", "Rektum", "") == Case(site="Rektum", tumour=True)


def test_a_semicolon_in_a_field_parts_no_diagnosis() -> None:
    tumour = _tumour("Mammakarzinom", "oberer äußerer Quadrant; links", "invasiv-duktal; G2")
    (coded,) = code_tumours(embedded_agent(), [tumour])
    assert (coded.icd10gm.code, coded.topography.code, coded.morphology.code) == ("C50.4", "C50.4", "8500/3")
    assert "\n" not in coded.icd10gm.text


def test_a_site_alone_is_a_tumour() -> None:
    (coded,) = code_tumours(embedded_agent(), [_tumour("", "Unterlappen der Lunge")])
    assert coded.topography.code == "C34.3"


def test_without_a_text_nothing_is_proposed() -> None:
    (coded,) = code_tumours(embedded_agent(), [_tumour("")])
    assert coded.icd10gm.code is None and coded.icd10gm.reason == NO_TEXT
    assert coded.histologies[0].reason == NO_TEXT


def test_a_finding_without_tumour_does_not_borrow_the_diagnosis() -> None:
    tumour = _tumour("Rektumkarzinom", "", "Kein Anhalt für Malignität", "OP")
    (coded,) = code_tumours(embedded_agent(), [tumour])
    assert coded.icd10gm.code == "C20"
    assert coded.histologies[0].code is None and coded.histologies[0].reason


def test_the_diagnosis_speaks_for_a_histology_without_text_only_if_no_other_does() -> None:
    silent = Histology("Diagnose", 1, "", ())
    written = Histology("Diagnose", 2, "Siegelringzellkarzinom", ())
    alone = Tumour("1", 1, "Adenokarzinom des Rektums", "", (silent,), ())
    beside = Tumour("1", 1, "Adenokarzinom des Rektums", "", (silent, written), ())
    operation = Tumour("1", 1, "Adenokarzinom des Rektums", "", (Histology("OP", 1, "", ()),), ())
    first, second, third = code_tumours(embedded_agent(), [alone, beside, operation])
    assert first.histologies[0].code == "8140/3"
    assert [p.code for p in second.histologies] == [None, "8490/3"]
    assert third.histologies[0].code is None


@pytest.mark.parametrize(
    ("system", "written", "proposed", "said"),
    [
        (ICD, "C34.1", "C34.1", Verdict.AGREE),
        (ICD, " c34.1 ", "C34.1", Verdict.AGREE),
        (ICD, "C34.-", "C34.1", Verdict.PROPOSAL_FINER),
        (ICD, "C34.9", "C34.1", Verdict.PROPOSAL_FINER),
        (ICD, "C34.1", "C34.9", Verdict.MESSAGE_FINER),
        (ICD, "C90.0", "C90.00", Verdict.PROPOSAL_FINER),
        (ICD, "C34.1", "C34.3", Verdict.CONTRADICT),
        (ICD, "C34.9", "C50.4", Verdict.CONTRADICT),
        (ICD, "C34.1", None, Verdict.ONLY_MESSAGE),
        (ICD, "", "C34.1", Verdict.ONLY_PROPOSED),
        (ICD, "", None, Verdict.NEITHER),
        (ICD, "Beispielmann", "C34.1", Verdict.NO_CODE),
        (PLACE, "C61", "C61.9", Verdict.PROPOSAL_FINER),
        (PLACE, "C50.4", "C50.9", Verdict.MESSAGE_FINER),
        (MORPHOLOGY, "8140/3", "8140/3", Verdict.AGREE),
        (MORPHOLOGY, "M8140/3", "8140/3", Verdict.AGREE),
        (MORPHOLOGY, "8140", "8140/3", Verdict.PROPOSAL_FINER),
        (MORPHOLOGY, "8140/2", "8140/3", Verdict.CONTRADICT),
        (MORPHOLOGY, "8140/3", "8480/3", Verdict.CONTRADICT),
        (MORPHOLOGY, "C34.1", "8140/3", Verdict.NO_CODE),
    ],
)
def test_verdicts(system: CodeSystem, written: str, proposed: str | None, said: Verdict) -> None:
    assert verdict(system, written, proposed) is said


def test_only_codes_are_taken_for_codes() -> None:
    assert as_code(ICD, "C50.9+") == "C50.9"
    assert as_code(ICD, "C50.9 links") is None
    assert as_code(MORPHOLOGY, "8721/3-pathologie") is None
