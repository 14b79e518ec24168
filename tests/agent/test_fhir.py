"""Every kind of answer as a FHIR R4 Condition that the R4 classes accept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from agent.apps.fhir.bundle import (
    ABSENT,
    MORPHOLOGY,
    FhirError,
    bundle,
    condition,
    conditions,
    write_bundle,
    years_in_force,
)
from agent.results import CodedText, Coding
from index.records import CodeSystem
from tests.agent.tiny_agent import embedded_agent

TEXTS = [
    "Mammakarzinom links oben außen",
    "V.a. Pankreaskopfkarzinom",
    "Z.n. Prostatakarzinom",
    "Ausschluss Rektumkarzinom",
    "Z.n. Appendektomie",
    "",
    "Karzinom",
    "Mammakarzinom rechts; Rektumkarzinom",
]


def _coding(system: CodeSystem, code: str | None) -> Coding:
    return Coding(system, code, code and f"Titel {code}", 0.5 if code else 0.0, abstained=code is None)


def _coded(**changes: Any) -> CodedText:
    coded = CodedText(
        text="Karzinom von Herrn Beispiel",
        tumour=True,
        tumour_probability=1.0,
        certainty="gesichert",
        side="links",
        icd10gm=_coding(CodeSystem.ICD10GM, "C50.4"),
        icdo_topography=_coding(CodeSystem.TOPOGRAPHY, "C50.4"),
        icdo_morphology=_coding(CodeSystem.MORPHOLOGY, "8500/3"),
        span=(0, 8),
    )
    return replace(coded, **changes)


def _validate(resource: dict[str, Any]) -> None:
    classes = pytest.importorskip("fhir.resources.R4B")
    name = resource["resourceType"]
    classes.get_fhir_model_class(name).model_validate(resource)


def _status(resource: dict[str, Any], name: str) -> str | None:
    codings = resource.get(name, {}).get("coding", [{}])
    return codings[0].get("code")


def _reasons(concept: dict[str, Any]) -> list[str]:
    return [part["valueCode"] for part in concept.get("extension", []) if part["url"] == ABSENT]


def test_every_kind_of_answer_is_valid_r4() -> None:
    coded = list(embedded_agent().code_many(TEXTS))
    together = bundle(coded, with_text=True, years=years_in_force(embedded_agent()))
    _validate(together)
    for entry in together["entry"]:
        _validate(entry["resource"])
    assert len(together["entry"]) == len(TEXTS) + 1  # the last text holds two diagnoses
    assert len({entry["fullUrl"] for entry in together["entry"]}) == len(together["entry"])


def test_a_tumour_has_its_three_codes_with_their_editions() -> None:
    resource = _coded().to_fhir("Patient/17")
    _validate(resource)
    code = resource["code"]["coding"][0]
    assert (code["system"], code["version"], code["code"]) == (
        "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
        "2024",
        "C50.4",
    )
    topography, side = resource["bodySite"][0]["coding"]
    assert (topography["version"], topography["code"], side["code"]) == ("2019", "C50.4", "L")
    extension = resource["extension"][0]
    assert extension["url"] == MORPHOLOGY
    assert extension["valueCodeableConcept"]["coding"][0]["code"] == "8500/3"
    assert resource["subject"] == {"reference": "Patient/17"}
    assert resource["meta"]["tag"][0]["code"] == "software-proposal"


@pytest.mark.parametrize(
    ("certainty", "verification", "clinical"),
    [
        ("gesichert", "confirmed", "active"),
        ("Verdacht", "provisional", "active"),
        ("Zustand nach", "confirmed", "inactive"),
        ("ausgeschlossen", "refuted", None),
    ],
)
def test_certainty_becomes_two_statuses(certainty: str, verification: str, clinical: str | None) -> None:
    resource = _coded(certainty=certainty).to_fhir()
    _validate(resource)
    assert _status(resource, "verificationStatus") == verification
    assert _status(resource, "clinicalStatus") == clinical


def test_what_is_ruled_out_is_refuted_though_it_is_no_tumour() -> None:
    resource = embedded_agent().code("Ausschluss Rektumkarzinom").to_fhir()
    assert _status(resource, "verificationStatus") == "refuted" and "clinicalStatus" not in resource


def test_an_open_axis_says_that_it_is_open() -> None:
    nothing = {
        system.value: _coding(system, None)
        for system in (CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY)
    }
    resource = _coded(**nothing).to_fhir()
    _validate(resource)
    assert _reasons(resource["code"]) == ["unknown"] and "coding" not in resource["code"]
    assert _reasons(resource["bodySite"][0]) == ["unknown"]
    assert [c["code"] for c in resource["bodySite"][0]["coding"]] == ["L"]
    assert "extension" not in resource
    other = _coded(**nothing, tumour=False).to_fhir()
    _validate(other)
    assert _reasons(other["code"]) == ["not-applicable"] and "bodySite" not in other
    assert "verificationStatus" not in other


def test_what_has_a_required_value_set_has_a_coding_or_is_left_out() -> None:
    """The Java validator calls a concept without a coding an error there, with a data-absent-reason too."""
    for coded in embedded_agent().code_many(TEXTS):
        for resource in conditions(coded):
            concepts = [
                resource.get("clinicalStatus"),
                resource.get("verificationStatus"),
                *(one.get("valueCodeableConcept") for one in resource.get("extension", [])),
            ]
            assert all(concept["coding"] for concept in concepts if concept is not None), resource
            assert all(resource[name] for name in resource)  # nothing empty


_FORMER = (
    "Z.n. Prostatakarzinom", "Zustand nach Mammakarzinom links 2015", "St.n. Rektumkarzinom", "St.p. Melanom",
    "Status nach Kolonkarzinom", "anamnestisch Mammakarzinom", "Mammakarzinom in der Vorgeschichte",
    "früheres Bronchialkarzinom", "ehemaliges Zervixkarzinom", "Zust. n. Nierenzellkarzinom",
)  # fmt: skip
_SUSPECTED = (
    "V.a. Pankreaskopfkarzinom", "Verdacht auf Bronchialkarzinom", "DD Lymphom", "fraglich Mammakarzinom",
    "Mammakarzinom?", "a.e. Bronchialkarzinom", "hochgradiger V. a. Prostatakarzinom", "suspekt auf Melanom",
    "Raumforderung, vereinbar mit Nierenzellkarzinom", "V.a. Rezidiv eines Urothelkarzinoms",
    "Bronchialkarzinom nicht auszuschließen", "Rektumkarzinom nicht sicher auszuschließen",
    "Malignom der Leber nicht ausgeschlossen", "Mammakarzinom kann nicht ausgeschlossen werden",
)  # fmt: skip
_RELATIVES = (
    "Mutter: Mammakarzinom", "Familienanamnese: Kolonkarzinom", "Mammakarzinom der Mutter",
    "Schwester an Ovarialkarzinom verstorben", "Vater mit Prostatakarzinom", "FA: Magenkarzinom beim Onkel",
    "familiäre Belastung für Mammakarzinom", "Großmutter hatte Darmkrebs",
)  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "allowed"),
    [
        (_FORMER, {("confirmed", "inactive")}),
        # One that the recogniser takes for no tumour has no status at all.
        (_SUSPECTED, {("provisional", "active"), (None, None)}),
        (_RELATIVES, {(None, None)}),
        (("Ausschluss Rektumkarzinom", "kein Anhalt für Mammakarzinom"), {("refuted", None)}),
    ],
)
def test_former_suspected_and_a_relative_s_are_never_confirmed_and_active(
    texts: tuple[str, ...], allowed: set[tuple[str | None, str | None]]
) -> None:
    for text, coded in zip(texts, embedded_agent().code_many(texts), strict=True):
        for resource in conditions(coded):
            found = _status(resource, "verificationStatus"), _status(resource, "clinicalStatus")
            assert found in allowed, (text, found)


def test_the_text_is_there_on_request_only() -> None:
    coded = _coded(span=(0, 27))
    assert "Beispiel" not in json.dumps(coded.to_fhir())
    assert coded.to_fhir(with_text=True)["code"]["text"] == coded.text
    broken = replace(coded, text="Karzinom \udce4", span=(0, 10))
    json.dumps(broken.to_fhir(with_text=True), ensure_ascii=False).encode("utf-8")


def test_ids_are_stable_and_differ_by_what_they_stand_for() -> None:
    one, other = _coded(), _coded(text="Karzinom von Frau Muster")
    assert one.to_fhir()["id"] == _coded().to_fhir()["id"]
    others = [
        other.to_fhir(),
        one.to_fhir("Patient/1"),
        one.to_fhir(key="geheim"),
        _coded(span=(1, 8)).to_fhir(),
    ]
    assert len({one.to_fhir()["id"], *(resource["id"] for resource in others)}) == 5
    twice = bundle([one, one])["entry"]
    assert twice[0]["fullUrl"] != twice[1]["fullUrl"]
    assert bundle([one, one])["entry"] == twice


def test_further_diagnoses_are_conditions_of_their_own() -> None:
    second = _coded(icd10gm=_coding(CodeSystem.ICD10GM, "C20"), span=(9, 20))
    found = conditions(_coded(further=(second,)))
    assert [c["code"]["coding"][0]["code"] for c in found] == ["C50.4", "C20"]


def test_a_file_is_written_as_answers_come_and_equals_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    coded = [_coded(), _coded(tumour=False)]
    assert write_bundle(path, iter(coded)) == 2
    assert json.loads(path.read_text("utf-8")) == bundle(coded)
    assert write_bundle(path, []) == 0
    _validate(json.loads(path.read_text("utf-8")))  # FHIR allows no empty list


def test_a_bundle_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def answers() -> Any:
        yield _coded()
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_bundle(tmp_path / "b.json", answers())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FhirError, match="nowhere"):
        write_bundle(tmp_path / "nowhere" / "b.json", [])


def test_the_command_codes_a_file_of_lines(tmp_path: Path) -> None:
    source, out = tmp_path / "t.txt", tmp_path / "b.json"
    source.write_bytes(b"\xef\xbb\xbfPankreaskopfkarzinom\r\n\nRektumkarzinom\nKarzinom \xe4\n")
    result = CliRunner().invoke(cli, ["fhir", str(source), "--out", str(out), "--subject", "Patient/1"])
    assert result.exit_code == 0, result.output
    assert "first: line 4" in result.output
    entries = json.loads(out.read_text("utf-8"))["entry"]
    assert [e["resource"]["code"].get("coding", [{}])[0].get("code") for e in entries][:3] == [
        "C25.0",
        None,
        "C20",
    ]
    assert not any("text" in e["resource"]["code"] for e in entries)
    assert CliRunner().invoke(cli, ["fhir", str(source)]).exit_code == 2


TABLE = """Patient;Datum;Diagnose
17;01.03.2026;Malignes Melanom am Rücken
Patient/18;2024;Malignes Melanom am Rücken
19;;
20;;V.a. Pankreaskopf-Ca
21;;Mutter: Mammakarzinom
22;;Z.n. Prostata-Ca
"""


def test_a_table_gives_each_patient_his_diagnoses(tmp_path: Path) -> None:
    source, out = tmp_path / "faelle.csv", tmp_path / "b.json"
    source.write_text(TABLE, "cp1252")
    command = [
        "fhir",
        str(source),
        "--out",
        str(out),
        "--subject-column",
        "Patient",
        "--date-column",
        "Datum",
    ]
    shown = CliRunner().invoke(cli, command)
    assert shown.exit_code == 0, shown.output
    found = [entry["resource"] for entry in json.loads(out.read_text("utf-8"))["entry"]]
    assert [one["subject"]["reference"] for one in found] == [f"Patient/{n}" for n in (17, 18, 20, 21, 22)]
    assert [(one["code"].get("coding") or [{}])[0].get("code") for one in found] == [
        "C43.59",
        "C43.5",
        "C25.0",
        None,
        "C61",
    ]
    assert [found[n]["code"]["coding"][0]["version"] for n in (0, 1)] == ["2026", "2024"]
    dates = [
        e["valueDateTime"]
        for one in found
        for e in one.get("extension", [])
        if e["url"].endswith("assertedDate")
    ]
    assert dates == ["2026-03-01", "2024"]
    status = [(one.get("verificationStatus", {}).get("coding") or [{}])[0].get("code") for one in found]
    assert status == ["confirmed", "confirmed", "provisional", None, "confirmed"]
    active = [one["clinicalStatus"]["coding"][0]["code"] for one in found if "clinicalStatus" in one]
    assert active == ["active", "active", "active", "inactive"], "a relative's is no condition of the patient"


def test_codes_below_the_floor_are_left_out_and_said(tmp_path: Path) -> None:
    coded = embedded_agent().code("Z.n. Prostata-Ca")
    floor = (coded.icd10gm.confidence + coded.icdo_morphology.confidence) / 2
    made = condition(coded, floor=floor)
    assert made["code"]["coding"][0]["code"] == "C61"
    assert "Zu unsicher für einen Kode: Morphologie." in made["note"][0]["text"]
    assert "extension" not in made


@pytest.mark.parametrize("patient", ["Müller Hans", "4711/24", "Patient/"])
def test_what_is_no_reference_is_refused(tmp_path: Path, patient: str) -> None:
    source = tmp_path / "faelle.csv"
    source.write_text(f"Patient;Diagnose\n{patient};Melanom\n", "utf-8")
    command = ["fhir", str(source), "--out", str(tmp_path / "b.json"), "--subject-column", "Patient"]
    shown = CliRunner().invoke(cli, command)
    assert shown.exit_code == 2 and "row 2: no FHIR id" in shown.output
    assert patient not in shown.output.replace("Patient/ before", "")


def test_a_row_without_a_readable_date_is_named(tmp_path: Path) -> None:
    source = tmp_path / "faelle.csv"
    source.write_text("Diagnose;Datum\nMelanom;gestern\n", "utf-8")
    shown = CliRunner().invoke(
        cli, ["fhir", str(source), "--out", str(tmp_path / "b.json"), "--date-column", "Datum"]
    )
    assert shown.exit_code == 2 and "row 2: no date" in shown.output.replace("\n", " ")
    assert "gestern" not in shown.output and not (tmp_path / "b.json").exists()
