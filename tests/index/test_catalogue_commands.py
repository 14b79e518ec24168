"""`onkokode catalogue`: what a user sees, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import catalogue_files as sample
import pytest
from click.testing import CliRunner, Result

from agent.apps.cli import cli
from index.catalogue import store
from index.catalogue.layouts import CatalogueError


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["catalogue", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "alphabet-2023.txt").write_text(sample.PLAIN_ALPHABET, encoding="utf-8")
    (folder / "metadata2024.txt").write_text(sample.metadata(), encoding="utf-8")
    (folder / "icdo.xml").write_text(sample.ICDO, encoding="utf-8")
    (folder / "crosswalk.tsv").write_text(sample.CROSSWALK, encoding="latin-1")
    return folder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for `index.search.index` and records that it was called."""
    calls: list[str] = []
    module = types.ModuleType("index.search.index")
    module.build_user_index = lambda home=None, **_: calls.append("built") or Path("index")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "index.search.index", module)
    return calls


def test_add_says_what_each_file_is(files: Path, built: list[str]) -> None:
    (files / "letter.pdf").write_bytes(b"%PDF-1.7")
    result = run("add", files)
    assert result.exit_code == 0, result.output
    for part in (
        "alphabet-2023",
        "icd10gm-2024",
        "icdo3-2019",
        "crosswalk-2019",
        "10 codes",
        "2 rules",
        "letter.pdf",
    ):
        assert part in result.output
    assert built == ["built"]


def test_add_again_says_so_and_builds_nothing(files: Path, built: list[str]) -> None:
    run("add", "--no-index", files)
    result = run("add", files)
    assert result.exit_code == 0 and "already there" in result.output
    assert built == []


def test_add_exit_codes(files: Path) -> None:
    other = files / "x.txt"
    other.write_text("nothing", encoding="utf-8")
    assert run("add", "--no-index", other).exit_code == 1
    assert run("add", "--no-index", other, files / "icdo.xml").exit_code == 0
    broken = files / "b.xml"
    broken.write_text(sample.ICDO[:-30], encoding="utf-8")
    result = run("add", "--no-index", broken, files / "crosswalk.tsv")
    assert result.exit_code == 1 and "b.xml: the XML ends too early" in result.output
    assert {entry.edition for entry in store.stored()} == {"icdo3-2019", "crosswalk-2019"}
    assert run("add", files / "missing.txt").exit_code == 2
    assert run("add", "--no-index", "--edition", "A/B", files / "icdo.xml").exit_code == 1


def test_add_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("add", tmp_path / "empty")
    assert result.exit_code == 1 and "No files found" in result.output


def test_add_works_where_the_index_cannot_be_built(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "index.search.index", None)
    result = run("add", files / "icdo.xml")
    assert result.exit_code == 0 and "index was not rebuilt" in result.output


def test_a_failing_index_is_one_line(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("index.search.index")

    def fail(home: Path | None = None) -> Path:
        raise CatalogueError("no weights; install them")

    module.build_user_index = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "index.search.index", module)
    result = run("add", files / "icdo.xml")
    assert result.exit_code == 2 and "Error: no weights; install them" in result.output
    assert [entry.edition for entry in store.stored()] == ["icdo3-2019"]


def test_list(files: Path) -> None:
    assert "built-in lexicon" in run("list").output
    assert json.loads(run("list", "--json").output) == []
    run("add", "--no-index", files)
    assert "icdo3-2019" in run("list").output
    entries = json.loads(run("list", "--json").output)
    assert {entry["file"] for entry in entries} == {
        "alphabet-2023.txt",
        "metadata2024.txt",
        "icdo.xml",
        "crosswalk.tsv",
    }
    assert all(len(entry["sha256"]) == 64 for entry in entries)


@pytest.mark.parametrize("code", ["C34.1", "c34.1", "C341", " c341 "])
def test_show_a_code(code: str, files: Path) -> None:
    run("add", "--no-index", files)
    (shown,) = json.loads(run("show", code, "--system", "icd10gm", "--json").output)
    assert (shown["code"], shown["title"], shown["edition"]) == (
        "C34.1",
        "Krebs der Lunge: Oberlappen",
        "icd10gm-2024",
    )
    assert (shown["parent"], shown["terminal"], shown["codable"]) == ("C34", True, True)
    assert [line["text"] for line in shown["lines"]["alphabet-2023"]] == ["Lungenkrebs des Oberlappens"]
    assert [rule["topography"] for rule in shown["crosswalk"]] == [r"C34\.1"]


def test_show_both_systems_with_exclusions_and_rules(files: Path) -> None:
    run("add", "--no-index", files)
    result = run("show", "C34.1")
    for part in (
        "system icd10gm",
        "system icdo_topography",
        "exclusions",
        "Mittellappen",
        "crosswalk (2 rules)",
        "alphabet-2023",
    ):
        assert part in result.output
    assert "not the usual choice" in result.output
    assert "8140/3  Drüsenkrebs" in run("show", "8140:3").output
    assert "divided further" in run("show", "C34", "--system", "icd10gm").output


def test_show_what_is_not_there(files: Path) -> None:
    result = run("show", "X99.9")
    assert result.exit_code == 1 and "X99.9 is in no catalogue here" in result.output
    assert run("show", "C34.1", "--edition", "icd10gm-1999").exit_code == 2
    assert run("show", "[bold]", "--system", "ops").exit_code == 1


def test_remove(files: Path, built: list[str]) -> None:
    run("add", "--no-index", files)
    result = run("remove", "icdo3-2019")
    assert result.exit_code == 0 and "removed icdo.xml" in result.output and built == ["built"]
    result = run("remove", "icdo3-2019")
    assert result.exit_code == 2 and "is not in the catalogue" in result.output


def test_a_damaged_store_is_one_line(files: Path) -> None:
    run("add", "--no-index", files)
    (store.home() / "catalogue" / "manifest.json").write_text("{")
    for command in (("list",), ("show", "C34.1"), ("remove", "x"), ("add", "--no-index", str(files))):
        result = run(*command)
        assert result.exit_code == 2 and "Error: " in result.output and "Traceback" not in result.output


def test_index_rebuilds(built: list[str]) -> None:
    assert run("index").exit_code == 0 and built == ["built"]


def test_help_is_light() -> None:
    code = (
        "import sys, index.catalogue.commands, index.catalogue.catalogue, index.catalogue.store\n"
        "print(sorted({'torch', 'faiss', 'lxml', 'pyarrow', 'rich', 'numpy'} & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        == "[]\n"
    )
