"""`onkokode eval robustness`: whether what says nothing of a tumour moves its code.

    onkokode eval robustness                                     # wards and clinical, with the clauses that nobody read
    onkokode eval robustness --clauses eval/testsets/clauses/a.tsv --testset wards-development --moved

Each tumour text of a test set is coded as it is (` / ` as the line break that it stands for), and changed in ways that leave the tumour as it was: harmless clauses
before and behind it, other diseases beside it in a list, line breaks, capitals. What counts is the ICD-10-GM code of
the answer, whether it is the right one or not.

A file of clauses is tab-separated, with the header `place text`: `before` and `after` a diagnosis, with the blanks and
marks that part them, or a whole line of a `list`; `\\n` is a line break.
"""

from __future__ import annotations

import random
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from agent.agent import CodingAgent
from agent.apps.options import INPUT_FILE, agent_options, load_agent
from agent.apps.shares import wilson
from eval.testset import TESTSETS, Row, TestSetError, own_testsets, read_testset
from index.errors import OnkokodeError

CLAUSES = TESTSETS / "clauses"
MEASURING = CLAUSES / "b.tsv"
_PLACES = ("before", "after", "list")
_SEED = 20
_OF_WRITING = ("narrow lines", "capitals", "small letters")
_NARROW = 28  # characters of a line in a narrow form field


class ClausesError(OnkokodeError):
    """A file of clauses that cannot be used; the message names file and row."""


class Variant(NamedTuple):
    """A changed text: its kind, the number of the text that it was made of, and the change's own words."""

    kind: str
    number: int
    text: str
    change: str


class Moved(NamedTuple):
    """A variant with another code than its text's; `after` is None where none is given any more."""

    variant: Variant
    before: str
    after: str | None


def read_clauses(path: Path) -> Mapping[str, tuple[str, ...]]:
    """The clauses of a file by place. Blanks count. Raises `ClausesError`."""
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[0] != "place\ttext":
        raise ClausesError(f"{path}, row 1: the header has to be `place text`, parted by a tab")
    found: dict[str, list[str]] = {place: [] for place in _PLACES}
    for number, line in enumerate(lines[1:], start=2):
        place, tab, text = line.partition("\t")
        if not line:
            continue
        if place not in found or not tab or not text.strip():
            raise ClausesError(
                f"{path}, row {number}: has to be a place ({', '.join(_PLACES)}), a tab and a text"
            )
        found[place].append(text.replace("\\n", "\n"))
    if empty := [place for place, texts in found.items() if not texts]:
        raise ClausesError(f"{path}: has no clause for {', '.join(empty)}")
    return {place: tuple(texts) for place, texts in found.items()}


def variants(texts: Sequence[str], clauses: Mapping[str, Sequence[str]], each: int) -> Iterator[Variant]:
    """The changed texts of every text, with `each` clauses drawn for each kind."""
    draw = random.Random(_SEED)
    placed: tuple[tuple[str, str, Callable[[str, str], str]], ...] = (
        ("clause before", "before", lambda text, clause: clause + text),
        ("clause behind", "after", lambda text, clause: text + clause),
        ("line before", "list", lambda text, item: f"{item}\n{text}"),
        ("line behind", "list", lambda text, item: f"{text}\n{item}"),
        ("in a numbered list", "list", lambda text, item: f"1. {item}\n2. {text}"),
    )
    for number, text in enumerate(texts):
        for kind, place, change in placed:
            for clause in draw.sample(clauses[place], min(each, len(clauses[place]))):
                yield Variant(kind, number, change(text, clause), clause)
        # A list keeps its lines.
        narrow = (
            text
            if "\n" in text
            else "\n".join(textwrap.wrap(text, _NARROW, break_long_words=False, break_on_hyphens=False))
        )
        for kind, changed in (
            ("narrow lines", narrow),
            ("capitals", text.upper()),
            ("small letters", text.lower()),
        ):
            if changed != text:
                yield Variant(kind, number, changed, "")


def measure(
    agent: CodingAgent, texts: Sequence[str], made: Sequence[Variant]
) -> tuple[list[Moved], Counter[str]]:
    """The variants whose code moved, and how many there were of each kind; texts without a code are left out."""
    before = [one.icd10gm.code if one.tumour else None for one in agent.code_many(texts)]
    asked = [one for one in made if before[one.number] is not None]
    moved = []
    for variant, answer in zip(asked, agent.code_many(one.text for one in asked), strict=True):
        code = answer.icd10gm.code if answer.tumour else None
        was = before[variant.number]
        if was is not None and code != was:
            moved.append(Moved(variant, was, code))
    return moved, Counter(one.kind for one in asked)


def _rows(name: str) -> Sequence[Row]:
    known = own_testsets()
    if name not in known and not Path(name).is_file():
        raise TestSetError(f"{name}: is no file and none of {', '.join(known)}")
    return read_testset(known.get(name, Path(name)))


@click.command("robustness")
@click.option("--testset", "testsets", multiple=True, default=("wards", "clinical"), show_default=True,
              help="A test set of `onkokode eval ls`; may be repeated.")  # fmt: skip
@click.option(
    "--clauses", type=INPUT_FILE, default=MEASURING, help="Harmless clauses; by default those that measure."
)
@click.option(
    "--each", type=click.IntRange(min=1), default=2, show_default=True, help="Clauses of each kind a text."
)
@click.option(
    "--moved", "show", is_flag=True, help="Show the texts whose code moved; what was shown measures no more."
)
@agent_options
def robustness_command(
    testsets: tuple[str, ...], clauses: Path, each: int, show: bool, **options: Any
) -> None:
    """Code the tumours of test sets as they are and with what says nothing of them, and count how often the code
    moves."""
    read = read_clauses(clauses)
    texts = [row.text.replace(" / ", "\n") for name in testsets for row in _rows(name) if row.tumour]
    moved, asked = measure(load_agent(**options), texts, [*variants(texts, read, each)])
    if show:
        for one in moved:
            click.echo(f"{one.variant.kind}: {one.before} -> {one.after or 'none'}: {one.variant.text!r}")
    click.echo(
        f"{', '.join(testsets)}: {len(texts)} tumours; {clauses.name}: {sum(map(len, read.values()))} clauses"
    )
    if not asked:
        raise TestSetError(f"{', '.join(testsets)}: none of the texts has a code that could move")
    by_kind = Counter(one.variant.kind for one in moved)
    lost = Counter(one.variant.kind for one in moved if one.after is None)
    rows = [(kind, by_kind[kind], lost[kind], n) for kind, n in asked.items()]
    harmless = [row for row in rows if row[0] not in _OF_WRITING]
    moves, losses, n = (sum(counts) for counts in zip(*(row[1:] for row in harmless), strict=True))
    rows.append(("all clauses and lines", moves, losses, n))
    for kind, flipped, without, n in rows:
        ends = wilson(flipped, n)
        click.echo(f"{kind:22} {100 * flipped / n:5.2f} %  [{100 * ends.low:.2f}, {100 * ends.high:.2f}]"
                   f"  n {n}, {flipped} moved, {without} of them lost")  # fmt: skip
