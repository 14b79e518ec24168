"""The options that say which agent a command loads, the same for every command, the loading itself, and the
types of options that name an output: those are tried while the arguments are read, before any work.

@click.command()
@click.option("--out", type=OutputFile())
@agent_options
def command(out, **options): agent = load_agent(**options)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from index.io.failures import require
from index.io.inputs import InputPath
from index.io.language import say
from index.io.outputs import OutputError, check_file, check_folder

if TYPE_CHECKING:
    from agent.agent import CodingAgent

INPUT_FILE = InputPath(dir_okay=False, path_type=Path)
INPUT_FOLDER = InputPath(file_okay=False, path_type=Path)
# What writing a format takes beyond the default installation.
_WRITERS = {".xlsx": "openpyxl"}


class Output(click.Path):
    """An output that a command writes, tried by `_try` as the argument is read; errors of writing name it."""

    def __init__(self, *endings: str) -> None:
        super().__init__(path_type=Path)
        self.endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if ctx is not None and ctx.resilient_parsing:  # a shell that completes a line
            return path
        ending = path.suffix.lower()
        if self.endings and ending not in self.endings:
            raise OutputError(say("wrong-ending", path=path, endings=say("or").join(self.endings)))
        if ending in _WRITERS:
            require(_WRITERS[ending], say("writing-file", name=path.name))
        self._try(path)
        return path

    def _try(self, path: Path) -> None:
        """A file, or a folder, whichever the name says; what is missing on the way is made by the command."""
        if path.is_file():
            check_file(path)
        else:
            check_folder(path if path.is_dir() or not path.suffix else path.parent)


class OutputFile(Output):
    """A file with one of `endings`, if any are given; with `new_folders` the command makes its folder."""

    def __init__(self, *endings: str, new_folders: bool = False) -> None:
        super().__init__(*endings)
        self.new_folders = new_folders

    def _try(self, path: Path) -> None:
        if self.new_folders and not path.parent.exists():
            check_folder(path.parent)
        else:
            check_file(path)


class OutputFolder(Output):
    """A folder, which need not be there yet."""

    def _try(self, path: Path) -> None:
        check_folder(path)


def agent_options(command: Any) -> Any:
    """Adds the options to a command, in the order in which the help shows them."""
    options = (
        click.option(
            "--model",
            metavar="NAME|PATH",
            help="Language model: a name of `onkokode model list`, a folder, a .gguf file, or a hub name.",
        ),
        click.option(
            "--server",
            metavar="URL",
            help="Model server (vLLM) with the language model; --model is its name there. It gets the texts.",
        ),
        click.option("--adapter", metavar="PATH|NAME", help="LoRA adapter for that model."),
        click.option("--encoder", metavar="PATH|NAME", help="A sentence-transformers model."),
        click.option(
            "--catalogue",
            "catalogues",
            multiple=True,
            type=InputPath(path_type=Path),
            metavar="PATH",
            help="Catalogue file instead of those added before; may be repeated.",
        ),
        click.option("--edition", help="Systematic edition in force, such as icd10gm-2024."),
        click.option(
            "--date",
            metavar="DATE|YEAR",
            help="When the tumours were diagnosed: ICD-10-GM codes are those of that year, by default of this one.",
        ),
        click.option("--device", help="cpu, cuda, cuda:1 …; by default what the machine has."),
        click.option(
            "--quantise",
            type=click.Choice(["4bit", "8bit"]),
            help="Load the model in 4 or 8 bits (needs a GPU).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


reader_option = click.option(
    "--reader",
    type=INPUT_FOLDER,
    help="Reader of documents that `onkokode train reader` made; by default the package's.",
)


def load_agent(
    *,
    model: str | None = None,
    adapter: str | None = None,
    encoder: str | None = None,
    catalogues: tuple[Path, ...] = (),
    edition: str | None = None,
    **options: Any,
) -> CodingAgent:
    """The agent that the options ask for. `options` go to `CodingAgent.load` where they are not None."""
    served = options.get("server") is not None
    names = [
        name for name in (model, adapter, encoder) if name is not None and not (served and name == model)
    ]
    if all(Path(name).exists() or (name == model and "/" not in name) for name in names):
        # Only a hub name needs the network. Set before the first import, which is when the hub client
        # reads it; a user's own setting wins.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from agent import CodingAgent

    return CodingAgent.load(
        model,
        adapter,
        encoder,
        list(catalogues) or None,
        edition,
        **{name: value for name, value in options.items() if value is not None},
    )
