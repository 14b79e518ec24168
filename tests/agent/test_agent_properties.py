"""What holds for any text: codes that may be given, confidences that are probabilities, places in the text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.agent import CodingAgent
from agent.decide.records import AxisWeights, RecognitionWeights, Weights
from agent.results import CodedText
from index.records import AXES
from tests.agent.tiny_agent import ScriptedModel, embedded_agent, resources_with

CLINICAL = st.lists(
    st.sampled_from(
        [
            "Mamma",
            "Ca",
            "Karzinom",
            "Adenom",
            "Melanom",
            "Lymphom",
            "Leukämie",
            "der",
            "des",
            "li.",
            "re.",
            "Z.n.",
            "V.a.",
            "kein",
            "Rektum",
            "Haut",
            "Leber",
            "Lunge",
            "pT2",
            "pN1",
            "M1",
            "G3",
            "Metastase",
            "Metastasen",
            "in",
            "situ",
            "Rücken",
            "Rezidiv",
            "ED",
            "2019",
            "C50.9",
            "8500/3",
            "Mutter",
            "Resektion",
            "bei",
            "mit",
            "und",
            ",",
            ";",
            "/",
            ".",
            "(",
            ")",
            "\n",
            "1.",
            "2.",
            "-",
            "?",
            "Neubildung",
            "gutartige",
            "unsicher",
            "B-Zell-",
            "Plattenepithel-",
            "Adeno",
            "<|end|>",
            "�",
            "\x07",
        ]
    ),
    max_size=25,
).map(" ".join)
ANY = st.one_of(
    CLINICAL, st.text(max_size=80), st.text(st.characters(codec=None), max_size=30), st.binary(max_size=60).map(
        lambda data: data.decode("latin-1")
    ),
)  # fmt: skip
SETTINGS = settings(max_examples=80, deadline=None)


def assert_sound(agent: CodingAgent, coded: CodedText, text: str) -> None:
    assert coded.text == text
    catalogue = agent.resources.catalogue
    for one in (coded, *coded.further):
        assert 0 <= one.span[0] <= one.span[1] <= len(text)
        assert 0 <= one.tumour_probability <= 1
        assert one.side in (None, "links", "rechts", "beidseits")
        assert one.certainty in ("gesichert", "Verdacht", "Zustand nach", "ausgeschlossen")
        assert one is coded or (one.tumour and one.further == ())
        for axis in AXES:
            coding = one.coding(axis)
            assert coding.abstained is (coding.code is None) is (coding.reason is not None)
            assert coding.code is None or (one.tumour and catalogue.is_codable(axis, coding.code))
            assert coding.title == (catalogue.title(axis, coding.code) if coding.code else None)
            shares = [other.confidence for other in coding.alternatives]
            assert all(0 <= share <= 1 for share in [coding.confidence, *shares])
            assert shares == sorted(shares, reverse=True)
            assert all(catalogue.is_codable(axis, other.code) for other in coding.alternatives)
            named = [other.code for other in coding.alternatives] + ([coding.code] if coding.code else [])
            assert len(set(named)) == len(named)
            for line in coding.evidence:
                # What is no tumour shows what it is instead, which is no code of a tumour.
                assert (line.system is axis and line.code in named) or not (one.tumour or line.code in named)
                assert all(0 <= start < end <= len(text) for start, end in line.matched)
    assert json.loads(json.dumps(coded.to_dict())) == coded.to_dict()
    json.dumps(coded.to_audit())


@SETTINGS
@given(ANY)
def test_any_text_gets_a_sound_answer(text: str) -> None:
    agent = embedded_agent()
    assert_sound(agent, agent.code(text), text)


@settings(max_examples=25, deadline=None)
@given(st.lists(ANY, max_size=12), st.integers(1, 5))
def test_a_batch_answers_as_one_by_one(texts: list[str], batch_size: int) -> None:
    agent = CodingAgent(embedded_agent().resources, batch_size=batch_size)
    answers = list(agent.code_many(texts))
    assert [answer.text for answer in answers] == texts
    for text, together in zip(texts, answers, strict=True):
        alone = agent.code(text)
        assert len(alone.further) == len(together.further)
        assert together.tumour_probability == pytest.approx(alone.tumour_probability, abs=1e-4)
        for one, other in zip((alone, *alone.further), (together, *together.further), strict=True):
            assert one.span == other.span
            for axis in AXES:
                assert one.coding(axis).confidence == pytest.approx(other.coding(axis).confidence, abs=1e-4)
                assert one.coding(axis).code == other.coding(axis).code


@SETTINGS
@given(
    CLINICAL,
    st.dictionaries(st.sampled_from(["C50.9", "D05.1", "C61", "C78.7", "8500/2", "8500/3", "8140/6", "keiner"]), st.floats(0.01, 0.99), max_size=6),
    st.booleans(),
    st.floats(0, 1),
)  # fmt: skip
def test_whatever_a_model_says_the_answer_is_sound(
    text: str, said: dict[str, float], at_once: bool, abstain_below: float
) -> None:
    total = sum(said.values()) + 0.01
    model = ScriptedModel({"": {answer: share / total for answer, share in said.items()}}, at_once=at_once)
    weights = Weights(
        {axis: AxisWeights(retrieval=0.3, abstain_below=abstain_below) for axis in AXES},
        RecognitionWeights(model=0.0),
    )
    agent = CodingAgent(resources_with(model, weights=weights, candidates=4))
    assert_sound(agent, agent.code(text), text)


@settings(max_examples=40, deadline=None)
@given(CLINICAL, CLINICAL)
def test_the_same_text_gets_the_same_answer_whatever_came_before(text: str, before: str) -> None:
    agent = embedded_agent()
    first = agent.code(text)
    agent.code(before)
    assert agent.code(text) == first
