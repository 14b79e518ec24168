"""The commands, with a scripted agent in place of the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripted_agent import ScriptedAgent

import agent
from agent.apps.cli import cli
from eval.bench import figures
from eval.testset import DEVELOPMENT_FILES
from index.catalogue.layouts import CatalogueFile
from index.records import CatalogueLine, Code, CodeSystem


@pytest.fixture
def shared_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder with small development sets, and the scripted agent as `agent.CodingAgent`."""
    # In the module's own names, so that a lazy `__getattr__` there is not asked.
    monkeypatch.setitem(vars(agent), "CodingAgent", ScriptedAgent)
    (tmp_path / "catalogues").mkdir()
    (tmp_path / "evalsets").mkdir()
    for name in DEVELOPMENT_FILES:
        (tmp_path / "evalsets" / name).write_text(
            "text\ticd10\ticdo_topography\ticdo_morphology\tsource_id\tnote\n"
            "Prostatakarzinom\tC61\tC61.9\t8140/3\tx\ttumour\n"
            "Gonarthrose\tM17.9\t\t\tx\tnon_tumour\n",
            encoding="utf-8",
        )
    return tmp_path


def _invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["eval", *arguments])
    return result.exit_code, result.output


def test_devsets_writes_what_it_prints(shared_folder: Path) -> None:
    out = shared_folder / "out"
    code, output = _invoke("devsets", "--shared", str(shared_folder), "--out", str(out))
    assert code == 0, output
    assert "tumour recognition: accuracy" in output
    record = json.loads((out / "devsets.json").read_text(encoding="utf-8"))
    # The script knows no text, so everything is called no tumour: half of the rows are right.
    assert (record["shares"][0]["hits"], record["shares"][0]["n"]) == (4, 8)
    assert record["measured_with"]["agent"]["encoder"]["fingerprint"] == "e1"
    assert "50.0 %" in (out / "devsets.md").read_text(encoding="utf-8")


def test_heldout_measures_on_the_split(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = CodeSystem.ICD10GM
    systematic = CatalogueFile(
        Path("s.txt"), "0", "s", system, "icd10gm-2024", (Code("C61", "Prostata", system, "icd10gm-2024"),), systematic=True
    )  # fmt: skip
    lines = tuple(
        CatalogueLine(f"alphabet-2023:{i}", "C61", f"Begriff {i}", "synonym", system, "alphabet-2023", "a")
        for i in range(40)
    )
    alphabet = CatalogueFile(Path("a.txt"), "1", "a", system, "alphabet-2023", lines=lines)
    monkeypatch.setattr(figures, "catalogue_files", lambda shared: [systematic, alphabet])
    out = shared_folder / "out"
    code, output = _invoke("heldout", "--shared", str(shared_folder), "--out", str(out))
    assert code == 0, output
    record = json.loads((out / "heldout.json").read_text(encoding="utf-8"))
    assert record["details"]["held_out"] == 4
    assert record["details"]["development"] == 2
    assert record["details"]["catalogue"]["filtered"] == 6
    assert {share["n"] for share in record["shares"]} == {4}
    assert len((out / "heldout.rows.jsonl").read_text(encoding="utf-8").splitlines()) == 4


def test_missing_shared_folder_is_one_clear_error(shared_folder: Path) -> None:
    code, output = _invoke("figures", "--shared", str(shared_folder / "nowhere"), "--out", str(shared_folder))
    assert code == 2
    assert "holds no folder catalogues" in output
    assert "Traceback" not in output


def test_a_broken_test_set_is_one_clear_error(shared_folder: Path) -> None:
    broken = shared_folder / "evalsets" / DEVELOPMENT_FILES[1]
    broken.write_text("text\n", encoding="utf-8")
    code, output = _invoke("devsets", "--shared", str(shared_folder), "--out", str(shared_folder))
    assert code == 2
    assert f"{DEVELOPMENT_FILES[1]}, row 1" in output


def test_help_names_all_commands() -> None:
    code, output = _invoke("--help")
    assert code == 0
    for name in ("figures", "heldout", "devsets", "clinical", "speed", "faiss"):
        assert name in output
