"""The command group `onkokode catalogue`: add, list, show and remove catalogue files, rebuild the index.

onkokode catalogue add ~/Downloads/icd10gm2024alpha.zip
onkokode catalogue show C34.1 --json
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from index.io.inputs import InputPath
from index.io.language import say
from index.io.outputs import check_folder
from index.records import CodeSystem

if TYPE_CHECKING:
    from index.catalogue.catalogue import Catalogue
    from index.catalogue.store import AddReport
    from index.records import Code, CrosswalkRule

_SHOWN_PARTNERS = 12
# Whether a code is terminal, None where the edition in force has it not: keys of messages.
_TERMINAL = {True: "show-terminal", False: "show-divided", None: "show-not-in-force"}


@click.group("catalogue")
def catalogue_group() -> None:
    """Official catalogue files: add, list, show, remove."""


@catalogue_group.command("add")
@click.argument("files", nargs=-1, required=True, type=InputPath(path_type=Path), metavar="FILE...")
@click.option(
    "--edition", help="The edition, where the file does not say it: a year, or an id such as alphabet-2024."
)
@click.option("--no-index", is_flag=True, help="Do not rebuild the search index now.")
def add_command(files: tuple[Path, ...], edition: str | None, no_index: bool) -> None:
    """Add files or folders downloaded from BfArM; each is recognised by its content."""
    from rich.console import Console
    from rich.progress import Progress

    from index.catalogue import store

    _must_be_writable(store.home())
    paths = list(store.walk(files))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(say("catalogue-reading"), total=len(paths))
        reports = []
        for path in paths:
            bar.update(task, description=path.name)
            reports += store.add([path], edition=edition)
            bar.advance(task)
    _print_reports(reports)
    statuses = {report.status for report in reports}
    if statuses & {"added", "replaced"} and not no_index:
        _rebuild_index()
    if "broken" in statuses or not statuses & {"added", "replaced", "known"}:
        raise SystemExit(1)


@catalogue_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """What was added: file, layout, edition, counts."""
    from index.catalogue import store

    entries = store.stored()
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], ensure_ascii=False, indent=1))
        return
    if not entries:
        click.echo(say("catalogue-nothing-added"))
        return
    rows = [(e.file, e.layout, e.edition, _counts(e.counts), e.added[:10]) for e in entries]
    _print_table(("file", "recognised", "edition", "counts", "added"), rows)


@catalogue_group.command("show")
@click.argument("code")
@click.option(
    "--system",
    type=click.Choice([system.value for system in CodeSystem]),
    help="Default: wherever the code exists.",
)
@click.option("--edition", help="The systematic edition that is to be in force, such as icd10gm-2017.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(code: str, system: str | None, edition: str | None, as_json: bool) -> None:
    """A code: its title, its lines by edition, its exclusions and its crosswalk partners."""
    from index.catalogue.catalogue import Catalogue

    catalogue = Catalogue.load(edition=edition)
    wanted = written_code(code)
    systems = [CodeSystem(system)] if system else list(CodeSystem)
    found = [
        describe_code(catalogue, candidate, wanted)
        for candidate in systems
        if catalogue.code(candidate, wanted) or catalogue.lines_of(candidate, wanted)
    ]
    if not found:
        key = "catalogue-unknown-in" if system else "catalogue-unknown-code"
        click.echo(say("error", error=say(key, code=wanted, system=system)), err=True)
        raise SystemExit(1)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for described in found:
        _print_code(described)


@catalogue_group.command("remove")
@click.argument("edition")
@click.option("--no-index", is_flag=True, help="Do not rebuild the search index now.")
def remove_command(edition: str, no_index: bool) -> None:
    """Remove all files of an edition."""
    from index.catalogue import store

    _must_be_writable(store.home())
    for entry in store.remove(edition):
        click.echo(say("catalogue-removed", file=entry.file, layout=entry.layout, edition=entry.edition))
    if not no_index:
        _rebuild_index()


@catalogue_group.command("index")
def index_command() -> None:
    """Build the search index again from the lexicon and all files that were added."""
    from index.catalogue import store

    _must_be_writable(store.home())
    _rebuild_index()


def _must_be_writable(home: Path) -> None:
    check_folder(home, "home-elsewhere")


def _rebuild_index() -> None:
    try:
        from index.search.index import build_user_index
    except ImportError as error:
        click.echo(say("index-not-built", name=error.name or "?"), err=True)
        return
    click.echo(say("index-built", folder=build_user_index()))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(say(f"count-{name}", count=count) for name, count in counts.items())


def _print_reports(reports: Sequence[AddReport]) -> None:
    rows = [
        (
            report.path.name,
            report.layout,
            report.edition,
            _counts(report.counts),
            say(f"status-{report.status}"),
        )
        for report in reports
        if report.layout
    ]
    if rows:
        _print_table(("file", "recognised", "edition", "counts", "result"), rows)
    for report in reports:
        if not report.layout:
            click.echo(f"{say(f'status-{report.status}')}: {report.message}", err=report.status == "broken")
    if not reports:
        click.echo(say("catalogue-no-files"), err=True)


def _print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as the terminal; piped into a file it keeps all its columns whole."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    table = Table(*(say(f"head-{name}") for name in header), header_style="bold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def written_code(code: str) -> str:
    """A code as the catalogues print it: `c341` -> `C34.1`, `8140:3` and `81403` -> `8140/3`."""
    text = code.strip()
    if re.fullmatch(r"[a-zA-Z]\d{3,4}", text):
        text = f"{text[:3]}.{text[3:]}"
    elif re.fullmatch(r"\d{4}:?\d", text):
        text = f"{text[:4]}/{text[-1]}"
    return text.upper() if text[:1].isalpha() else text.lower()


def describe_code(catalogue: Catalogue, system: CodeSystem, code: str) -> dict[str, Any]:
    """All that is known of a code, in JSON types."""
    found = catalogue.code(system, code)
    by_edition: dict[str, list[dict[str, str]]] = {}
    silent: dict[str, list[dict[str, str]]] = {"exclusion": [], "note": []}
    for line in catalogue.lines_of(system, code):
        target = by_edition.setdefault(line.edition, []) if line.speaks else silent[line.kind]
        target.append({"line_id": line.line_id, "text": line.text, "kind": line.kind})
    return {
        "code": code,
        "system": system.value,
        "title": found.title if found else "",
        "edition": found.edition if found else None,
        "parent": found.parent if found else None,
        "terminal": found.terminal if found else None,
        "codable": catalogue.is_codable(system, code),
        "sex": found.sex if found else None,
        "age": list(found.age) if found and found.age else None,
        "lines": by_edition,
        "exclusions": silent["exclusion"],
        "notes": silent["note"],
        "crosswalk": [
            {**asdict(rule), "morphologies": [list(limits) for limits in rule.morphologies]}
            for rule in catalogue.rules
            if _concerns(rule, system, code, found)
        ],
    }


def _concerns(rule: CrosswalkRule, system: CodeSystem, code: str, found: Code | None) -> bool:
    """Whether a rule of the crosswalk names this code; a rule for any code (`C*`) tells nothing of one."""
    if system is CodeSystem.ICD10GM:
        return rule.icd10 == code
    if system is CodeSystem.TOPOGRAPHY:
        return found is not None and found.terminal and bool(re.fullmatch(rule.topography, code))
    is_morphology = system is CodeSystem.MORPHOLOGY and re.fullmatch(r"\d{4}/\d", code)
    return bool(is_morphology) and rule.covers(int(code[:4]), code[5])


def _print_code(described: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"[bold]{escape(described['code'])}[/bold]  {escape(described['title'] or say('show-no-title'))}"
    )
    facts = [
        say("show-system", system=described["system"]),
        say("show-edition", edition=described["edition"] or say("unknown-edition")),
        say("show-parent", parent=described["parent"] or say("none")),
        say(_TERMINAL[described["terminal"]]),
        say("show-assigned" if described["codable"] else "show-not-assigned"),
    ]
    if described["sex"]:
        facts.append(say("show-sex", sex=described["sex"]))
    console.print(f"  {', '.join(facts)}")
    for edition, lines in described["lines"].items():
        console.print(f"  [bold]{escape(edition)}[/bold] ({len(lines)})")
        for line in lines:
            aside = f"{say('kind-' + line['kind'])}, {escape(line['line_id'])}"
            console.print(f"    {escape(line['text'])}  [dim]{aside}[/dim]")
    for heading in ("exclusions", "notes"):
        if described[heading]:
            console.print(f"  [bold]{say(f'show-{heading}')}[/bold]")
            for line in described[heading]:
                console.print(f"    {escape(line['text'])}")
    rules = described["crosswalk"]
    if rules:
        console.print(f"  [bold]{say('show-crosswalk')}[/bold] ({say('count-rules', count=len(rules))})")
        for rule in rules[:_SHOWN_PARTNERS]:
            ranges = ", ".join(
                f"{low}-{high}" if low != high else str(low) for low, high in rule["morphologies"]
            )
            usual = "" if rule["default"] else f"  ({say('show-unusual')})"
            console.print(
                escape(f"    {rule['topography']}  {ranges} /{rule['behaviour']}  ->  {rule['icd10']}{usual}")
            )
        if len(rules) > _SHOWN_PARTNERS:
            console.print(f"    {say('show-more', count=len(rules) - _SHOWN_PARTNERS)}")
