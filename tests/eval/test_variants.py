"""Variant files: what is read, and the one line that says what is wrong with a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from eval.run.variants import VARIANTS, Variant, VariantError, read_variant, read_variants

GOOD = "name: mine\nabout: A sentence.\nanswer: written\n"


def write(folder: Path, content: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_the_shipped_files_are_the_arms_of_the_study_each_under_its_own_name() -> None:
    variants = {variant.name: variant for variant in read_variants([VARIANTS])}
    assert set(variants) >= {
        "retrieval", "base", "fine-tuned", "retrieval-on-base", "retrieval-on-fine-tuned", "fine-tuned-with-candidates", "combined",
        "agent", "reasoning",
    }  # fmt: skip
    assert {path.stem for path in VARIANTS.glob("*.yaml")} == set(variants)
    published = variants["retrieval-on-fine-tuned"]
    assert (published.adapter, published.candidates, published.answer) == ("plain", 10, "written")
    assert (variants["combined"].adapter, variants["combined"].answer) == ("candidates", "fused")
    assert [name for name, variant in variants.items() if variant.thinking] == ["reasoning"]


def test_what_a_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    assert read_variant(write(tmp_path, GOOD)) == Variant("mine", "A sentence.", "written")


@pytest.mark.parametrize(
    ("content", "key", "says"),
    [
        (GOOD + "temprature: 1\n", "temprature", "no key"),
        ("name: mine\nanswer: written\n", "about", "missing"),
        (GOOD + "candidates: ten\n", "candidates", "'ten' is no int or nothing"),
        (GOOD + "candidates: true\n", "candidates", "True is no int"),
        (GOOD + "thinking: 1\n", "thinking", "1 is no bool"),
        (GOOD + "candidates: -1\n", "candidates", "negative"),
        (GOOD + "max_new_tokens: 0\n", "max_new_tokens", "at least 1"),
        (GOOD.replace("written", "guessed"), "answer", "guessed is none of"),
        (GOOD + "adapter: lora\n", "adapter", "lora is none of"),
        (GOOD.replace("mine", "../../mine"), "name", "letters"),
        (GOOD.replace("mine", '""'), "name", "letters"),
        (GOOD.replace("written", "retrieval") + "adapter: plain\n", "answer", "asks no model"),
        (GOOD.replace("written", "retrieval") + "candidates: 5\n", "answer", "asks no model"),
        (GOOD.replace("written", "agent") + "candidates: 5\n", "candidates", "as many as its adapter"),
        (GOOD.replace("written", "scored") + "thinking: true\n", "thinking", "written only"),
        ("- a list\n", "", "holds no keys"),
        ("", "", "holds no keys"),
        ("name: [1\n", "", "is no YAML"),
        ("name: !!python/object/apply:os.system [ls]\n", "", "is no YAML"),
    ],
)
def test_an_error_is_one_line_with_file_and_key(tmp_path: Path, content: str, key: str, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(VariantError) as caught:
        read_variant(path)
    message = str(caught.value)
    assert str(path) in message and says in message and "\n" not in message
    assert not key or f": {key}: " in message


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(VariantError, match="cannot be read"):
        read_variant(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: Übung".encode("latin-1"))
    with pytest.raises(VariantError, match="cannot be read"):
        read_variant(tmp_path / "latin.yaml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VariantError, match="holds no variant"):
        read_variants([tmp_path / "empty"])


def test_two_files_with_one_name_would_share_a_folder(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "other.yaml")
    with pytest.raises(VariantError, match=r"other\.yaml: name: mine is taken"):
        read_variants([tmp_path])


def test_the_commands_list_and_check(tmp_path: Path) -> None:
    listed = CliRunner().invoke(cli, ["eval", "ls"])
    assert (
        listed.exit_code == 0
        and "retrieval-on-fine-tuned" in listed.output
        and "as published" in listed.output
    )
    good = CliRunner().invoke(cli, ["eval", "validate", str(VARIANTS), str(write(tmp_path, GOOD))])
    assert good.exit_code == 0 and "13 variants" in good.output
    bad = CliRunner().invoke(cli, ["eval", "validate", str(write(tmp_path, GOOD + "thinking: maybe\n"))])
    assert bad.exit_code == 2 and "mine.yaml: thinking: " in bad.output
    unknown = CliRunner().invoke(
        cli, ["eval", "run", "--testset", "devsets", "--out", str(tmp_path), "--only", "base,bse"]
    )
    assert unknown.exit_code == 2 and "no variant bse" in unknown.output


def test_listing_and_checking_load_no_model() -> None:
    script = (
        "import sys\nfrom eval.commands import evaluate\n"
        f"evaluate(['validate', {str(VARIANTS)!r}], standalone_mode=False)\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0
