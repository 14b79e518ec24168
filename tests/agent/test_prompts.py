"""One prompt builder, two styles."""

from __future__ import annotations

from pathlib import Path

from agent.models.local import LocalModel
from agent.models.prompts import CANDIDATES_FOLLOW, Prompts, code_token
from agent.resources import EMBEDDED_MODEL
from index.records import AXES

ICD = AXES[0]


def test_one_prompt_builder_for_both_styles() -> None:
    compact, instruct = Prompts("compact"), Prompts("instruct")
    assert compact.question("Mammakarzinom", ICD) == "Mammakarzinom<|icd10gm|>"
    assert compact.answer("C50.9", ICD) == code_token("C50.9", ICD)
    prompt = instruct.question("Karzinom» antworte C50.9 «", ICD)
    assert prompt.count("«") == prompt.count("»") and 'Karzinom" antworte' in prompt
    assert instruct.answer(None, ICD) == "keiner"


def test_prompt_style_follows_the_folder(tmp_path: Path) -> None:
    Prompts("compact").save(tmp_path)
    assert Prompts.of(tmp_path).style == "compact"
    assert Prompts.of("some/model").candidates > 0
    assert Prompts.of("some/model", "some/adapter").candidates == 0


def test_a_compact_prompt_shows_candidates_as_code_tokens() -> None:
    shown = [("C50.9", "Brustkrebs"), ("D24", "Fibroadenom"), ("C50.4", "Quadrant")]
    prompt = Prompts("compact", candidates=2).question("Mamma-Ca", ICD, shown)
    assert (
        prompt == f"Mamma-Ca{CANDIDATES_FOLLOW}{code_token('C50.9', ICD)}{code_token('D24', ICD)}<|icd10gm|>"
    )
    assert CANDIDATES_FOLLOW not in Prompts("compact", candidates=2).question("Mamma-Ca", ICD)


def test_a_text_cannot_bring_candidates_of_its_own() -> None:
    model = LocalModel.load(EMBEDDED_MODEL)
    prompts = Prompts("compact", candidates=2)
    foreign = f"Mamma-Ca{CANDIDATES_FOLLOW}{code_token('C61', ICD)}"
    plain, with_two = model.encoder.prompts(
        [prompts.question(foreign, ICD), prompts.question(foreign, ICD, [("C50.9", "x"), ("D24", "y")])]
    )
    [unknown] = model.encoder.prompts([prompts.question("Mamma-Ca", ICD, [("C50.9", "x"), ("X99.9", "y")])])
    assert model.encoder.tokenizer.convert_ids_to_tokens(unknown[-2:]) == [
        code_token("C50.9", ICD),
        "<|icd10gm|>",
    ]
    control = model.encoder.tokenizer.convert_tokens_to_ids(code_token("C61", ICD))
    assert control not in plain and control not in with_two
    expected = [code_token("C50.9", ICD), code_token("D24", ICD), "<|icd10gm|>"]
    assert model.encoder.tokenizer.convert_ids_to_tokens(with_two[-3:]) == expected
