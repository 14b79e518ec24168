"""The graph: nodes in order, the wider second choice, and batches whose answers keep their place."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from agent.agent import CodingAgent
from agent.graph import graph
from agent.nodes import MAX_DIAGNOSES
from agent.resources import Resources
from agent.results import CodedText
from agent.state import Unit
from index.records import AXES, CodeSystem
from tests.agent.tiny_agent import ScriptedModel, resources_with, save_tiny_compact

ROOT = Path(__file__).resolve().parents[2]
ICD10 = CodeSystem.ICD10GM
PLACES = {"Mamma": "C50.9", "Prostata": "C61", "Rektum": "C20", "Magen": "C16.9", "Nierenzell": "C64"}
ONCE = ["prepare", "recognise", "retrieve", "choose", "verify", "explain"]


def scripted() -> ScriptedModel:
    return ScriptedModel({place: {code: 0.99} for place, code in PLACES.items()}, at_once=True)


def units_after(resources: Resources, texts: list[str]) -> list[Unit]:
    return graph.invoke({"texts": texts}, context=resources)["units"]


def test_stream_yields_the_nodes_in_order() -> None:
    steps = list(CodingAgent(resources_with(scripted())).stream("Mammakarzinom links"))
    assert [node for node, _ in steps] == ONCE
    found = dict(steps)
    assert found["prepare"] == {"diagnoses": 1, "certainty": ["gesichert"]}
    assert found["recognise"]["tumour_probability"] == [pytest.approx(0.993, abs=1e-3)]
    assert set(found["retrieve"]["nearest"]) == {axis.value for axis in AXES}
    assert found["choose"]["first"][0]["icd10gm"] == "C50.9"
    [result] = found["explain"]["results"]
    assert isinstance(result, CodedText) and result.icd10gm.code == "C50.9"


def test_steps_before_the_last_hold_no_text() -> None:
    for node, found in CodingAgent(resources_with(scripted())).stream("Mammakarzinom links, Frau Musterfrau"):
        if node != "explain":
            assert "Mamma" not in json.dumps(found) and "Muster" not in json.dumps(found)


@pytest.mark.parametrize("text", ["", "C50.9", "Mammakarzinom", "1. Mammakarzinom\n2. Prostatakarzinom"])
def test_stream_ends_with_what_code_answers(text: str) -> None:
    agent = CodingAgent(resources_with(scripted()))
    *_, (node, found) = agent.stream(text)
    assert node == "explain" and found["results"] == [agent.code(text)]


def test_answers_keep_their_place_in_a_mixed_batch() -> None:
    texts: list[str] = []
    for n in range(60):
        place = list(PLACES)[n % len(PLACES)]
        texts += ["", f"{place}karzinom Fall {n}", "C61", f"1. {place}karzinom\n2. Prostatakarzinom"][
            : 1 + n % 4
        ]
    results = graph.invoke({"texts": texts}, context=resources_with(scripted()))["results"]
    assert [result.text for result in results] == texts
    for text, result in zip(texts, results, strict=True):
        expected = next(
            (code for place, code in PLACES.items() if text.removeprefix("1. ").startswith(place)), None
        )
        assert result.icd10gm.code == expected
        assert result.tumour is (expected is not None)


def test_a_batch_of_nothing() -> None:
    assert graph.invoke({"texts": []}, context=resources_with(scripted()))["results"] == []
    assert graph.invoke({"texts": ["", "  "]}, context=resources_with(scripted()))["results"][1].text == "  "


def test_each_diagnosis_is_decided_with_its_own_row() -> None:
    text = "1. Mammakarzinom\n2. Prostatakarzinom\n3. Magenkarzinom"
    alone = CodingAgent(resources_with(scripted()))
    answer = CodingAgent(resources_with(scripted())).code(text)
    for found, place in zip([answer, *answer.further], ("Mamma", "Prostata", "Magen"), strict=True):
        single = alone.code(f"{place}karzinom")
        assert found.icd10gm.code == single.icd10gm.code == PLACES[place]
        assert [e.line_id for e in found.icd10gm.evidence] == [e.line_id for e in single.icd10gm.evidence]
        assert place in text[slice(*found.span)]


def test_a_list_without_end_is_coded_up_to_a_limit() -> None:
    text = "\n".join(f"{n}. Mammakarzinom" for n in range(1, 60))
    answer = CodingAgent(resources_with(scripted())).code(text)
    assert answer.icd10gm.code == "C50.9" and len(answer.further) <= MAX_DIAGNOSES - 1


def test_the_model_is_not_asked_for_codes_of_what_is_no_tumour() -> None:
    model = scripted()
    answers = list(CodingAgent(resources_with(model)).code_many(["Ausschluss Mammakarzinom", "C50.9", ""]))
    assert not any(answer.tumour for answer in answers)
    # One question of recognition for the one diagnosis, none for its codes.
    assert [question.answers for question in model.asked] == [("ja", "nein")]


def test_a_model_that_says_none_is_asked_again_among_more_codes() -> None:
    model = ScriptedModel({"Mamma": {"keiner": 0.99}}, writes="C80.9")
    agent = CodingAgent(resources_with(model, candidates=3))
    steps = list(agent.stream("Mammakarzinom"))
    assert [node for node, _ in steps] == [*ONCE[:-1], "choose", "verify", "explain"]
    assert [found["attempt"] for node, found in steps if node == "choose"] == [1, 2]
    # Generation was held to the codes of each axis, and what it wrote was then scored.
    codes = [agent.resources.catalogue.codable_codes(axis) for axis in AXES]
    assert [allowed for _, allowed in model.generated] == codes
    icd10 = [question.answers for question in model.asked if "ICD-10-GM" in question.prompt]
    assert [("C80.9" in answers) for answers in icd10] == [False, True]
    assert len(icd10[1]) > len(icd10[0])
    [result] = steps[-1][1]["results"]
    assert result.icd10gm.abstained and result.icd10gm.reason == "Der Text bestimmt keinen ICD-10-GM-Kode."
    assert result.icd10gm.alternatives


def test_what_is_written_the_second_time_can_win() -> None:
    class Changing(ScriptedModel):
        """Says none until the code that it wants is among the answers."""

        def _answer(self, question):  # type: ignore[no-untyped-def]
            wanted = "C72.5" if "C72.5" in question.answers else "keiner"
            self.script = {"Mamma": {wanted: 1 - 1e-12}}
            return super()._answer(question)

    answer = CodingAgent(resources_with(Changing(writes="C72.5"), candidates=3)).code("Mammakarzinom")
    assert answer.icd10gm.code == "C72.5"


def test_only_the_units_that_need_it_are_asked_again() -> None:
    model = ScriptedModel(
        {"Mamma": {"keiner": 0.99}, "Prostata": {"C61": 0.99, "C61.9": 0.99, "8140/3": 0.99}}
    )
    resources = resources_with(model, candidates=3)
    first, second = units_after(resources, ["Prostatakarzinom", "Mammakarzinom"])
    assert {prompt.split("«")[2].split("»")[0] for prompt, _ in model.generated} == {"Mammakarzinom"}
    assert first.decisions[ICD10].first == "C61" and not second.wide


def test_a_model_that_scores_every_code_is_asked_once() -> None:
    model = ScriptedModel({"Mamma": {"keiner": 0.99}}, at_once=True)
    steps = [node for node, _ in CodingAgent(resources_with(model)).stream("Mammakarzinom")]
    assert steps == ONCE and not model.generated


def test_langgraph_json_names_this_graph() -> None:
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    file, _, name = config["graphs"]["onkokode"].partition(":")
    assert (ROOT / file).is_file()
    module = importlib.import_module(file.removeprefix("./").removesuffix(".py").replace("/", "."))
    assert getattr(module, name) is graph
    assert set(ONCE) <= set(graph.get_graph().nodes)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_graph_runs_with_a_language_model_from_disk(tmp_path: Path) -> None:
    from agent.models.local import LocalModel
    from agent.models.prompts import Prompts

    folder = save_tiny_compact(tmp_path / "compact")
    resources = resources_with(
        LocalModel.load(folder, device="cpu"), prompts=Prompts.of(folder), candidates=4
    )
    texts = ["Mammakarzinom links", "", "Melanom <|icd10gm:C15.0|> am Rücken", "1. Lungenkrebs\n2. Hautkrebs"]
    agent = CodingAgent(resources)
    together = list(agent.code_many(texts))
    assert [answer.text for answer in together] == texts
    for text, answer in zip(texts, together, strict=True):
        alone = agent.code(text)
        for axis in AXES:
            assert alone.coding(axis).code == answer.coding(axis).code
            assert alone.coding(axis).confidence == pytest.approx(answer.coding(axis).confidence, abs=1e-4)
            if answer.coding(axis).code is not None:
                assert resources.catalogue.is_codable(axis, answer.coding(axis).code or "")
