"""What the model is asked about which codes, and what it said, lined up with retrieval."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from agent.decide.scores import answers_of, retrieve, score_cores, scores_of_texts
from agent.models.prompts import Prompts
from agent.resources import Resources
from index.records import AXES, CodeSystem
from index.search.retriever import Retrieval
from tests.agent.tiny_agent import ScriptedModel, resources_with

ICD10, TOPOGRAPHY, MORPHOLOGY, _ = CodeSystem
TEXTS = ["Mammakarzinom oben außen", "Melanom am Rücken"]


def retrievals(resources: Resources, texts: list[str]) -> dict[CodeSystem, Retrieval]:
    return retrieve(resources, texts)


def test_without_a_model_retrieval_speaks_alone() -> None:
    resources = resources_with(None)
    found = retrievals(resources, TEXTS)
    scores = score_cores(resources, TEXTS, found)
    for row in range(2):
        for axis in AXES:
            assert scores[row][axis].codes == found[axis].codes
            assert scores[row][axis].log_probabilities is None and scores[row][axis].first_of_model is None
            np.testing.assert_array_equal(scores[row][axis].log_shares, found[axis].log_shares[row])


def test_a_model_that_scores_at_once_is_asked_about_every_code_and_none() -> None:
    model = ScriptedModel({"Mamma": {"C50.9": 0.7, "keiner": 0.2}}, at_once=True)
    resources = resources_with(model)
    found = retrievals(resources, TEXTS[:1])
    [scores] = score_cores(resources, TEXTS[:1], found)
    assert [question.answers for question in model.asked] == [(*found[axis].codes, "keiner") for axis in AXES]
    said = scores[ICD10]
    assert said.first_of_model == "C50.9" and said.log_none == pytest.approx(np.log(0.2))
    assert said.log_probabilities is not None and len(said.log_probabilities) == len(said.codes) == len(
        found[ICD10].codes
    )
    assert all(scores[axis].codes == found[axis].codes and found[axis].lexical is None for axis in AXES)


def test_a_model_that_writes_codes_out_is_asked_about_the_candidates() -> None:
    model = ScriptedModel()
    resources = resources_with(model, candidates=7)
    found = retrievals(resources, TEXTS)
    for row, scores in enumerate(score_cores(resources, TEXTS, found)):
        for axis in AXES:
            best = [found[axis].codes[n] for n in np.argsort(-found[axis].log_shares[row], kind="stable")[:7]]
            assert list(scores[axis].codes[:5]) == best[:5]
            # Lexical search adds up to four, and each code is asked about once.
            assert 5 <= len(scores[axis].codes) <= 11 and len(set(scores[axis].codes)) == len(
                scores[axis].codes
            )
            shares = dict(zip(found[axis].codes, found[axis].log_shares[row], strict=True))
            assert [shares[code] for code in scores[axis].codes] == scores[axis].log_shares.tolist()
    assert all(question.answers[-1] == "keiner" for question in model.asked)
    assert not model.generated and all(found[axis].lexical is not None for axis in AXES)


def test_what_retrieval_finds_far_worse_is_no_candidate_but_a_few_always_are() -> None:
    resources = resources_with(ScriptedModel(), candidates=20)
    found = retrievals(resources, TEXTS[:1])
    shares = np.full_like(found[ICD10].log_shares, -30.0)
    shares[0, [4, 2, 9]] = [-0.1, -3.0, -6.0]
    clear = {
        axis: replace(one, log_shares=shares, lexical=None) for axis, one in found.items() if axis is ICD10
    }
    [scores] = score_cores(resources, TEXTS[:1], clear)
    assert len(scores[ICD10].codes) == 5
    assert list(scores[ICD10].codes[:3]) == [found[ICD10].codes[n] for n in (4, 2, 9)]
    shares[0] = np.linspace(-8, 0, shares.shape[1])
    [scores] = score_cores(resources, TEXTS[:1], clear)
    assert len(scores[ICD10].codes) == min(20, int((shares[0] > -6).sum()))


def test_a_wider_choice_sees_more_and_what_the_model_writes() -> None:
    model = ScriptedModel(writes="C80.9")
    resources = resources_with(model, candidates=3)
    text = TEXTS[1]
    found = retrievals(resources, [text])
    narrow = score_cores(resources, [text], found)[0][ICD10].codes
    assert "C80.9" not in narrow
    wide = score_cores(resources, [text], found, wider=True)[0][ICD10].codes
    assert set(narrow) < set(wide) and "C80.9" in wide and len(set(wide)) == len(wide) > 9
    assert [allowed for _, allowed in model.generated] == [found[axis].codes for axis in AXES]
    assert all(text in prompt for prompt, _ in model.generated)


def test_rows_say_which_retrieval_belongs_to_which_text() -> None:
    resources = resources_with(ScriptedModel(at_once=True))
    found = retrievals(resources, TEXTS)
    [second] = score_cores(resources, TEXTS[1:], found, rows=[1])
    np.testing.assert_array_equal(second[ICD10].log_shares, found[ICD10].log_shares[1])


def test_no_text_asks_nothing() -> None:
    model = ScriptedModel()
    assert score_cores(resources_with(model), [], retrievals(resources_with(model), [])) == []
    assert not model.asked


def test_a_bare_model_is_shown_candidates_with_their_lines() -> None:
    model = ScriptedModel()
    resources = resources_with(model, prompts=Prompts(candidates=4))
    found = retrievals(resources, TEXTS[:1])
    score_cores(resources, TEXTS[:1], found)
    for axis, question in zip(AXES, model.asked, strict=True):
        shown = resources.retriever.retrieve(TEXTS[:1], axis, k=4)[0]
        assert shown[0].matches
        assert f"{shown[0].code}: {shown[0].matches[0].line.text}" in question.prompt


@pytest.mark.parametrize("k", [4, 5, 10])
def test_candidates_come_from_the_shares_at_hand_and_are_those_of_a_search_of_their_own(k: int) -> None:
    """The batch is encoded once and searched once per axis, whether a prompt shows candidates or not."""
    resources = resources_with(ScriptedModel(), prompts=Prompts(candidates=k), candidates=3)
    alone = [[resources.retriever.retrieve([text], axis, k) for axis in AXES] for text in TEXTS]
    with pytest.MonkeyPatch.context() as patched:
        encoded = Mock(wraps=resources.retriever.encoder.encode_for)
        patched.setattr(resources.retriever.encoder, "encode_for", encoded)
        found = retrieve(resources, TEXTS)
        score_cores(resources, TEXTS, found, wider=True)
        assert [call.args for call in encoded.call_args_list] == [(TEXTS, AXES)]
    for row, of_text in enumerate(alone):
        for axis, [candidates] in zip(AXES, of_text, strict=True):
            same = resources.retriever.candidates(found[axis], row, k)
            assert [(c.code, c.exact, [m.line for m in c.matches]) for c in same] == [
                (c.code, c.exact, [m.line for m in c.matches]) for c in candidates
            ]


def test_the_answers_of_a_whole_axis_are_made_once() -> None:
    resources = resources_with(ScriptedModel())
    codes = resources.catalogue.codable_codes(ICD10)
    assert answers_of(resources.prompts, codes, ICD10) is answers_of(resources.prompts, codes, ICD10)
    assert answers_of(resources.prompts, codes[:5], ICD10) == (*codes[:5], "keiner")
    morphologies = resources.catalogue.codable_codes(MORPHOLOGY)
    assert answers_of(resources.prompts, morphologies, MORPHOLOGY) == (*morphologies, "keiner")
    compact = resources_with(ScriptedModel(), prompts=Prompts("compact"))
    assert answers_of(compact.prompts, ("C61",), ICD10) == ("<|icd10gm:C61|>", "<|icd10gm:keiner|>")


def test_scores_of_texts_keeps_order_over_batches_and_takes_any_text() -> None:
    resources = resources_with(ScriptedModel({"Nummer 70": {"C61": 0.9}}, at_once=True))
    texts = ["", "\ud800", *(f"Karzinom Nummer {n}" for n in range(75))]
    scores = list(scores_of_texts(resources, texts, [ICD10]))
    assert len(scores) == len(texts)
    assert [n for n, found in enumerate(scores) if found[ICD10].first_of_model == "C61"] == [72]
