"""The commands: what they write, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from eval.report.comparison import compare
from eval.run import testsets
from eval.run.compare import read_runs
from eval.run.folder import RunFolder
from eval.testset import DEVELOPMENT_FILES
from index.catalogue.layouts import CatalogueFile
from index.records import CatalogueLine, Code, CodeSystem


@pytest.fixture
def shared_folder(tmp_path: Path) -> Path:
    """A shared folder with small development sets."""
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


def _run(testset: str, shared: Path, variant: str) -> tuple[int, str]:
    out = str(shared / "out")
    return _invoke("run", "--testset", testset, "--only", variant, "--shared", str(shared), "--out", out)


def test_devsets_are_answered_and_scored(shared_folder: Path) -> None:
    code, output = _run("devsets", shared_folder, "agent")
    assert code == 0, output
    found = compare(read_runs([shared_folder / "out"]))["sets"]["devsets"]
    accuracy = found["recognition"]["agent"]["accuracy"]
    assert (accuracy["hits"], accuracy["n"]) == (8, 8)
    record = RunFolder(shared_folder / "out/devsets/agent").run()
    assert len(record["weights"]) == len(record["models"]["encoder"]["fingerprint"]) == 16


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
    monkeypatch.setattr(testsets, "catalogue_files", lambda shared: (systematic, alphabet))
    code, output = _run("heldout", shared_folder, "retrieval")
    assert code == 0, output
    assert len(RunFolder(shared_folder / "out/heldout/retrieval").rows()) == 4
    catalogue = testsets.load_testset("heldout", shared=shared_folder).catalogue
    assert catalogue is not None and catalogue.report["filtered"] == 6


def test_missing_shared_folder_is_one_clear_error(shared_folder: Path) -> None:
    code, output = _invoke("figures", "--shared", str(shared_folder / "nowhere"), "--out", str(shared_folder))
    assert code == 2
    assert "holds no folder catalogues" in output
    assert "Traceback" not in output


def test_a_broken_test_set_is_one_clear_error(shared_folder: Path) -> None:
    broken = shared_folder / "evalsets" / DEVELOPMENT_FILES[1]
    broken.write_text("text\n", encoding="utf-8")
    code, output = _run("devsets", shared_folder, "agent")
    assert code == 2
    assert f"{DEVELOPMENT_FILES[1]}, row 1" in output


def test_help_names_all_commands() -> None:
    code, output = _invoke("--help")
    assert code == 0
    for name in ("run", "report", "figures", "speed", "faiss", "ceiling", "export"):
        assert name in output


def test_test_sets_are_listed_by_name() -> None:
    _, output = _invoke("ls")
    for name in (
        "heldout",
        "devsets",
        "clinical",
        "wards-development",
        "notes",
        "recognition",
        "composed",
        "traps",
    ):
        assert name in output
