"""The commands of README and docs: each one parses, and those of docs run as they stand.

The blocks marked `bash` of a page are run in their order, in one empty folder, by bash. What a page exports
(`export MODEL=Qwen/Qwen3-8B`) is set by the test: a tiny random model, a tiny GGUF file, the folder with the
real catalogue files. Training runs get sizes that fit a test. Blocks marked `text` need software or machines that are not
here (vLLM, a Ray cluster, Podman) and are parsed only.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from agent.apps.cli import cli
from agent.apps.options import Output
from eval.run.environment import catalogue_fingerprint, shipped_weights
from index.catalogue.catalogue import Catalogue
from tests.agent.tiny_gguf import save_tiny_gguf
from tests.agent.tiny_models import save_tiny_model

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(bash|text|)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Sizes for a test, added to the commands that train or measure.
SHORTER = {
    "onkokode train pairs": "--folds 2 --encoder-steps 20",
    "onkokode train lora": "--rows 24 --development-rows 8 --epochs 1 --batch 2 --longest 256",
    "onkokode train measure": "--rows 8",
}


def _blocks(page: Path, *languages: str) -> list[str]:
    return [
        body for language, body in _BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages
    ]


def _commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in _blocks(page, "bash", "text", ""):
            for line in block.replace("\\\n", " ").splitlines():
                if match := re.search(r"(?:^|&& |\.venv/bin/)onkokode (.+)", line):
                    found.append((page.name, match.group(1)))
        cells = re.findall(r"^\| `onkokode ([^`]+)`", page.read_text(encoding="utf-8"), re.MULTILINE)
        found += [(page.name, command) for command in cells]
    return found


@pytest.mark.parametrize(("page", "command"), _commands())
def test_every_command_parses(page: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command, options and number of arguments exist; files that the command reads need not."""
    words = shlex.split(command, comments=True)
    cut = [i for i, word in enumerate(words) if word in ("<", ">", "|", "&", "&&")]
    words = words[: cut[0]] if cut else words
    for kind in (click.Path, Output):
        monkeypatch.setattr(kind, "convert", lambda self, value, param, ctx: Path(value))
    parent: click.Context = click.Context(cli, info_name="onkokode")
    group: click.Command = cli
    while isinstance(group, click.Group):
        if words[0] in ("-h", "--help", "--version"):
            return
        found = group.get_command(parent, words[0])
        assert found is not None, f"{page}: no command {words[0]}"
        group, words = found, words[1:]
        if not isinstance(group, click.Group):
            group.make_context(group.name, list(words), parent=parent)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "page", [page.stem for page in PAGES if "```bash\n" in page.read_text(encoding="utf-8")]
)
def test_the_commands_of_a_page_run(page: str, shared: Path, tmp_path: Path) -> None:
    model = tmp_path / "tiny-model"
    if page in ("adapter", "ablation"):
        save_tiny_model("qwen3", model)
    weights = tmp_path / "tiny.gguf"
    if page == "models":
        save_tiny_gguf("llama", weights)
    given = {
        "MODEL": str(model),
        "GGUF": str(weights),
        "CATALOGUES": str(shared / "catalogues"),
        "BFARM": str(shared / "catalogues"),
    }
    script = ["set -euo pipefail"]
    for block in _blocks(ROOT / "docs" / f"{page}.md", "bash"):
        for line in block.splitlines():
            if line.startswith("export "):
                assert line.removeprefix("export ").split("=")[0] in given
                continue
            for command, sizes in SHORTER.items():
                if line.startswith(command):
                    before, mark, comment = line.partition("  #")
                    line = f"{before} {sizes}{mark}{comment}"
            script.append(line)
    folder = tmp_path / "work"
    folder.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = (
        os.environ | given | {"PATH": path, "ONKOKODE_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    )
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]


def test_the_example_of_the_readme_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example, printed = re.findall(r"^```python\n(.*?)^```\n```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    exec(example, {})
    assert capsys.readouterr().out == printed


def test_files_that_the_docs_name_are_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


# What is no figure of ours: intervals, limits that somebody chose, sizes of samples.
NO_FIGURES = {"95 %", "2 %", "100 %"}
_FIGURE = re.compile(r"\d[\d,.]*\d? (?:%|texts/s|rows/s)|\d[\d,.]* (?:texts|rows) per second")


def test_every_figure_of_readme_and_docs_is_one_of_the_generated_page() -> None:
    measured = set(_FIGURE.findall((ROOT / "docs/figures.md").read_text(encoding="utf-8")))
    files = subprocess.run(
        ["git", "ls-files", "-z", "*.md", ":!dev", ":!docs/results", ":!docs/figures.md", ":!*/weights/*"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    pages = [name for name in files if name in ("README.md", "CONTRIBUTING.md") or name.startswith("docs/")]
    assert "README.md" in pages
    for name in pages:
        shown = set(_FIGURE.findall((ROOT / name).read_text(encoding="utf-8")))
        assert not shown - measured - NO_FIGURES, f"{name}: not in docs/figures.md; run make bench"


def test_published_tables_are_of_the_weights_that_are_shipped() -> None:
    tables = [ROOT / "docs/figures.md", *sorted((ROOT / "docs/results").rglob("*.*"))]
    pages = [
        page
        for page in PAGES
        if "<!-- /figures -->" in page.read_text("utf-8") or "<!-- /ablation -->" in page.read_text("utf-8")
    ]
    assert {page.name for page in pages} >= {"README.md", "ablation.md"}
    for path in (*tables, *pages):
        named = re.findall(r"[Ww]eights[^`\n]*`([0-9a-f]{16})`", path.read_text(encoding="utf-8"))
        assert named and set(named) == {shipped_weights()}, (
            f"{path.name}: measured with other weights; run make bench"
        )
    lexicon = catalogue_fingerprint(Catalogue.builtin().editions)
    assert f"`{lexicon}`" in tables[0].read_text(encoding="utf-8"), "another lexicon; run make bench"


def test_results_are_small_and_hold_tables_alone() -> None:
    files = [path for path in (ROOT / "docs/results").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".md", ".json"}
    assert sum(path.stat().st_size for path in files) < 600_000
