"""What was decided, in the table that the texts came from: all of its columns, and the decisions as further ones.

    with Store.open(database, create=False) as store:
        write_own_table(store, Path("faelle.xlsx"), Path("faelle-kodiert.xlsx"), source="faelle.xlsx", id_column="Fall")

A row finds its entries by the reference that `review add` gave it, the id column or its number, and by its text. Of several diagnoses in
a text the first stands in the columns of codes and the others in `onkokode_weitere`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from agent.apps.files.answer import AXIS_COLUMNS, short
from agent.apps.files.columns import find_place
from agent.apps.files.formats import open_table
from agent.apps.files.table import TableOptions, text_of
from agent.apps.files.writing import must_fit, write_table
from agent.apps.review.decision import (
    Action,
    Decision,
    ReviewError,
    decided_certainty,
    decided_metastases,
    decided_side,
)
from agent.apps.review.items import Item
from agent.apps.review.second import AGREEMENT_NAMES, Agreement
from agent.apps.review.store import Store
from agent.apps.spreadsheet import harmless
from index.catalogue.catalogue import Catalogue
from index.io.atomic import new_file
from index.records import AXES
from index.text import writable

COLUMNS = tuple(
    f"onkokode_{name}"
    for name in (
        "entscheidung", *(f"{axis}{part}" for axis in AXIS_COLUMNS.values() for part in ("", "_titel")), "seite",
        "diagnosesicherheit", "metastasen", "weitere", "entschieden_von", "entschieden_am", "kommentar", "zweitlesung",
        "zweitleser", "hinweis",
    )
)  # fmt: skip
_Entry = tuple[Item, Decision | None]


class OwnColumns(ReviewError):
    """The table has columns of decisions already."""


def write_own_table(
    store: Store,
    path: Path,
    target: Path,
    *,
    source: str,
    id_column: str | None = None,
    options: TableOptions | None = None,
) -> Counter[str]:
    """Write the table with the decisions that stand; returns how many rows are decided, open, have another text, and are
    not on the list.

    Raises:
        OwnColumns: it has one of the columns already.
        ReviewError: the target is the table itself.
        TableFileError: the table cannot be read, or the target not be written.
    """
    if target.exists() and target.samefile(path):
        raise ReviewError(f"{target}: is the table itself; name another file")
    table = open_table(path, options)
    taken = sorted(set(table.columns) & set(COLUMNS))
    if taken:
        raise OwnColumns(
            f"{path}: has a column {taken[0]} already; take the table that was added to the list"
        )
    id_at = find_place(table, id_column) if id_column else None
    must_fit(table, target, COLUMNS)
    catalogue, counts, number = Catalogue.load(), Counter[str](), 0
    with new_file(target, private=True) as half, write_table(table, target, COLUMNS, half) as writer:
        for chunk in table.chunks():
            references = []
            for row in chunk.rows:
                number += 1
                own = "" if id_at is None else text_of(row.values[id_at])
                references.append(own or str(number))
            found = store.of_references(source, references)
            # A row that was moved or changed since has another text under its number or id.
            cells = [{writable(text_of(value)) for value in row.values} for row in chunk.rows]
            rows = zip(references, cells, strict=True)
            second = _second(store, found)
            writer.write(
                chunk, [_values(found.get(one, []), own, catalogue, counts, second) for one, own in rows]
            )
    return counts


def _second(store: Store, found: dict[str, list[_Entry]]) -> dict[int, tuple[str, str]]:
    """What the second reading of items came to, and who read them."""
    read = (item for entries in found.values() for item, _ in entries if item.second)
    return {
        item.id: (
            AGREEMENT_NAMES[Agreement(item.second)],
            harmless(store.readings(item.id)[-1].by),
        )
        for item in read
    }


def _values(
    listed: list[_Entry],
    cells: set[str],
    catalogue: Catalogue,
    counts: Counter[str],
    second: dict[int, tuple[str, str]],
) -> list[Any]:
    entries = [one for one in listed if one[0].text in cells and one[0].state != Action.REMOVE]
    if not entries and any(one[0].text not in cells for one in listed):
        counts["with another text"] += 1
        return [None] * (len(COLUMNS) - 1) + ["die Liste hat unter dieser Nummer einen anderen Text"]
    decided = [(item, decision) for item, decision in entries if decision is not None]
    counts["not on the list" if not entries else "decided" if len(decided) == len(entries) else "open"] += 1
    if not decided:
        return [None] * (len(COLUMNS) - 1) + ["noch offen" if entries else "nicht auf der Liste"]
    coded = [one for one in decided if one[1].action is not Action.REJECT]
    (item, decision), *further = coded or decided
    codes = []
    for axis in AXES:
        code = decision.codes[axis]
        codes += [code, catalogue.title(axis, code) if code else None]
    missing = len(entries) - len(decided)
    return [
        decision.name,
        *codes,
        decided_side(item.coding, decision),
        decided_certainty(item.coding, decision) if any(codes) else None,
        ", ".join(decided_metastases(item.coding, decision)) or None,
        " | ".join(
            short((*(one.codes[axis] for axis in AXES), *decided_metastases(of.coding, one)))
            for of, one in further
            if one.action is not Action.REJECT
        )
        or None,
        # Typed by people: no formula for a spreadsheet.
        harmless(decision.by),
        decision.at,
        harmless(decision.comment) or None,
        *second.get(item.id, (None, None)),
        f"{missing} von {len(entries)} Diagnosen noch offen" if missing else None,
    ]
