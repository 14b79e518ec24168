"""The graph: nodes in order, the wider second choice, and batches whose answers keep their place."""

from __future__ import annotations

import importlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from agent import Case
from agent.agent import CodingAgent
from agent.decide.recognise import beside_surer
from agent.decide.records import RecognitionWeights, Weights
from agent.graph import MAX_DIAGNOSES, graph
from agent.models.local import LocalModel
from agent.resources import Resources
from agent.results import CodedText
from agent.state import Findings, State, findings
from index.records import AXES, CodeSystem
from tests.agent.tiny_agent import ScriptedModel, resources_with, save_tiny_compact
from tests.agent.tiny_models import save_tiny_model

ROOT = Path(__file__).resolve().parents[2]
ICD10 = CodeSystem.ICD10GM
PLACES = {"Mamma": "C50.9", "Prostata": "C61", "Rektum": "C20", "Magen": "C16.9", "Nierenzell": "C64"}
ONCE = ["prepare", "recognise", "retrieve", "choose", "reconcile", "check", "explain"]


def scripted(*, at_once: bool = True) -> ScriptedModel:
    return ScriptedModel({place: {code: 0.99} for place, code in PLACES.items()}, at_once=at_once)


def found_in(resources: Resources, texts: list[str]) -> list[Findings]:
    return findings(graph.invoke({"texts": texts}, context=resources))


def test_stream_yields_the_nodes_in_order() -> None:
    steps = list(CodingAgent(resources_with(scripted())).stream("Mammakarzinom links"))
    assert [node for node, _ in steps] == ONCE
    found = dict(steps)
    assert found["prepare"] == {"diagnoses": 1, "certainty": ["gesichert"]}
    assert found["recognise"]["tumour_probability"] == [pytest.approx(0.993, abs=1e-3)]
    assert set(found["retrieve"]["nearest"]) == {axis.value for axis in AXES}
    assert found["choose"]["first"][0]["icd10gm"] == found["reconcile"]["codes"][0]["icd10gm"] == "C50.9"
    assert set(found["check"]) == {"failed", "again"} and not found["check"]["again"]
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
    model = scripted(at_once=False)
    heard = Weights(recognition=RecognitionWeights(model=1e-6))
    texts = ["Ausschluss Mammakarzinom", "C50.9", ""]
    answers = list(CodingAgent(resources_with(model, weights=heard)).code_many(texts))
    assert not any(answer.tumour for answer in answers)
    # One question of recognition for the one diagnosis, none for its codes.
    assert [question.answers for question in model.asked] == [("ja", "nein")]
    # One that scores every code in the pass that reads the text is asked all in one.
    at_once = scripted()
    answers = list(CodingAgent(resources_with(at_once, weights=heard)).code_many(texts))
    assert not any(answer.tumour for answer in answers)
    assert len(at_once.asked) == 4 and at_once.asked[0].answers == ("ja", "nein")
    # A model that is not heard about it is not asked.
    model.asked.clear()
    assert list(CodingAgent(resources_with(model)).code_many(texts)) == answers and not model.asked


def test_a_statement_without_a_name_is_held_back_beside_a_surer_one_only() -> None:
    odds = np.array([3.0, 1.0, 2.0, 1.0, 0.5, 1.5])
    cores = [
        "Mammakarzinom",
        "Mitbehandlung erbeten",
        "Mamillen-Xyz",
        "Tumorkonferenz",
        "Hypertonie",
        "Struma",
    ]
    # A name and what stands beside it; an unknown name, surer than what is named; two that name nothing.
    assert list(beside_surer(odds, [0, 0, 1, 1, 2, 2], cores)) == [3.0, -5.0, 2.0, 1.0, 0.5, 1.5]
    assert list(beside_surer(odds[:0], [], [])) == []


def test_a_model_that_was_never_fitted_cannot_say_that_no_code_fits() -> None:
    model = ScriptedModel({"Mamma": {"C50.9": 0.004, "8500/3": 0.004, "keiner": 0.99}}, writes="C80.9")
    answer = CodingAgent(resources_with(model, weights=Weights())).code("Mammakarzinom")
    assert answer.icd10gm.code == "C50.9" and not answer.icdo_topography.abstained
    assert not model.generated


def test_a_model_that_says_none_is_asked_again_among_more_codes() -> None:
    model = ScriptedModel({"Mamma": {"keiner": 0.99}}, writes="C80.9")
    agent = CodingAgent(resources_with(model, candidates=3))
    steps = list(agent.stream("Mammakarzinom"))
    assert [node for node, _ in steps] == [*ONCE[:-1], "choose", "reconcile", "check", "explain"]
    assert [found["attempt"] for node, found in steps if node == "choose"] == [1, 2]
    # Why it is asked again is said; once.
    assert [found["again"] for node, found in steps if node == "check"] == [
        [[f"none {axis}" for axis in AXES]],
        [],
    ]
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
    first, second = found_in(resources, ["Prostatakarzinom", "Mammakarzinom"])
    assert {prompt.split("«")[2].split("»")[0] for prompt, _ in model.generated} == {"Mammakarzinom"}
    assert first.decisions[ICD10].first == "C61"
    assert len(second.decisions[ICD10].codes) > len(first.decisions[ICD10].codes)


def test_a_model_that_scores_every_code_is_asked_once() -> None:
    model = ScriptedModel({"Mamma": {"keiner": 0.99}}, at_once=True)
    steps = [node for node, _ in CodingAgent(resources_with(model)).stream("Mammakarzinom")]
    assert steps == ONCE and not model.generated


def test_a_failed_check_is_a_reason_to_choose_again_and_the_code_that_fits_is_found() -> None:
    """No morphology among the first candidates goes with D41.4; among more there is the one that the model wants."""
    model = ScriptedModel({"Blasentumor": {"D41.4": 1 - 1e-9, "8000/1": 1 - 1e-9}})
    steps = list(CodingAgent(resources_with(model, candidates=2)).stream("Blasentumor"))
    agreed = [found["codes"][0]["icdo_morphology"] for node, found in steps if node == "reconcile"]
    assert agreed == ["8130/2", "8000/1"]
    assert [found for node, found in steps if node == "check"] == [
        {"failed": [["K04", "K05"]], "again": [["K04", "K05"]]},
        {"failed": [[]], "again": []},
    ]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_model_that_writes_codes_out_is_asked_again_for_a_reason(tmp_path: Path) -> None:
    """No script: a chat model with random weights, which scores candidates as a prefix tree."""
    folder = save_tiny_model("qwen3", tmp_path / "qwen3")
    resources = resources_with(LocalModel.load(folder, device="cpu"), candidates=3)
    steps = list(CodingAgent(resources).stream("Mammakarzinom links"))
    again = [found["again"] for node, found in steps if node == "check"]
    assert len(again) == 2 and again[0][0] and again[1] == []
    first, second = (found for node, found in steps if node == "choose")
    assert second["attempt"] == 2 and first.keys() == second.keys()


def test_the_state_can_be_serialised_and_nodes_change_nothing_in_place() -> None:
    """Each value comes back from LangGraph's serialiser as it was, after each node, without pickle."""
    model = ScriptedModel({"Leber": {"C78.7": 0.9, "8000/6": 0.9}, "Urothel": {"C67.9": 0.9, "8120/3": 0.9}},
                          at_once=True)  # fmt: skip
    texts = ["Lebermetastasen bei Urothelkarzinom der Harnblase", "", "Mammakarzinom", "Z.n. Appendektomie"]
    serde = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=True)
    seen: dict[str, bytes] = {}
    given = {"texts": texts, "cases": {2: Case("Mammakarzinom", tumour=True)}}
    heard = Weights(recognition=RecognitionWeights(model=1e-6))
    for step in graph.stream(given, context=resources_with(model, weights=heard), stream_mode="values"):
        for key, value in step.items():
            kind, data = serde.dumps_typed(value)
            assert kind == "msgpack", key
            # One node writes a value, once; no later one changes it.
            assert seen.setdefault(key, data) == data, key
            assert _plain(serde.loads_typed((kind, data))) == _plain(value), key
    assert seen.keys() == set(State.__annotations__) - {"reviewed"}


def _plain(value: Any) -> Any:
    """A value with its arrays as lists, so that it can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if is_dataclass(value):
        return type(value).__name__, [_plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def test_langgraph_json_names_this_graph() -> None:
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    file, _, name = config["graphs"]["onkokode"].partition(":")
    assert (ROOT / file).is_file()
    module = importlib.import_module(file.removeprefix("./").removesuffix(".py").replace("/", "."))
    assert getattr(module, name) is graph
    assert set(ONCE) <= set(graph.get_graph().nodes)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_graph_runs_with_a_language_model_from_disk(tmp_path: Path) -> None:
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
