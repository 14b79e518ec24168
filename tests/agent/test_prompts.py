"""One prompt builder, two styles."""

from __future__ import annotations

from pathlib import Path

from agent.prompts import Prompts, code_token
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
