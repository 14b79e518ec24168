"""What was decided, for others: a CSV file for people, and training pairs for `onkokode train lora --pairs`.

    write_csv(store, Path("entscheidungen.csv"))
    write_pairs(store, Path("runs/reviewed"))       # then: onkokode train lora --pairs runs/reviewed …

Both are readable by their owner only and appear when they are complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from agent.apps.review.decision import (
    GIVING,
    Decision,
    ReviewError,
    decided_certainty,
    decided_metastases,
    decided_side,
    proposal,
    proposed_metastases,
)
from agent.apps.review.documents import words_of
from agent.apps.review.items import Item
from agent.apps.review.second import AGREEMENT_NAMES, Agreement
from agent.apps.review.store import Store
from agent.apps.spreadsheet import ENCODING, harmless, spreadsheet_writer
from index.io.atomic import new_file
from index.records import AXES

_COLUMNS = (
    "Quelle", "Referenz", "Diagnose", "Text", "Entscheidung",
    "ICD-10-GM", "Topographie", "Morphologie", "Metastasen", "Seite", "Diagnosesicherheit",
    "Vorschlag ICD-10-GM", "Vorschlag Topographie", "Vorschlag Morphologie", "Vorschlag Metastasen",
    "Zweitlesung", "Entschieden von", "Entschieden am (UTC)", "Kommentar",
)  # fmt: skip
TRAIN, DEVELOPMENT = "train", "development"
# One text of this many is kept from training, so that the trainer has something to measure.
_DEVELOPMENT_SHARE = 10


class TooFewTexts(ReviewError):
    """Too little is decided to learn from it and to measure."""


def write_csv(store: Store, path: Path) -> int:
    """Every decided item with the decision that stands, one a row; returns how many.

    A cell that a spreadsheet would take for a formula starts with an apostrophe.
    """
    count = 0
    with _new_file(path) as file:
        writer = spreadsheet_writer(file)
        writer.writerow(_COLUMNS)
        for item, decision in store.decided():
            writer.writerow(map(harmless, _row(item, decision)))
            count += 1
    return count


def write_pairs(store: Store, folder: Path) -> dict[str, Any]:
    """Instruction pairs from what was accepted or changed, in the form that `onkokode train pairs` writes.

    Every axis with a code is a pair, and so is whether the text is a tumour diagnosis. Rejected items and axes
    without a code teach nothing. A tenth of the texts, chosen by their hash, is for development; a text is
    never in both parts. Returns the number of rows per part.

    Raises:
        TooFewTexts: fewer than two different texts were accepted or changed.
        ReviewError: the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = _divided(pair for item, decision in store.decided() for pair in _pairs_of(item, decision))
    if not all(parts.values()):
        raise TooFewTexts("training pairs need at least two different texts that were accepted or changed")
    strings = ("task", "prompt", "completion", "text", "code", "line", "edition")
    lists = dict.fromkeys(("candidates", "candidate_lines"), pa.list_(pa.string()))
    schema = pa.schema({**dict.fromkeys(strings, pa.string()), "form": pa.int8(), **lists})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, pairs in parts.items():
            with new_file(folder / f"{part}.parquet", private=True) as half:
                pq.write_table(pa.Table.from_pylist(pairs, schema=schema), half, compression="zstd")
    except OSError as error:
        raise ReviewError(f"{folder}: the training pairs cannot be written ({error.strerror})") from error
    card = {
        "source": "reviewed",
        "rows": {part: len(pairs) for part, pairs in parts.items()},
        "sha256": {part: _digest(pairs) for part, pairs in parts.items()},
        "candidates": 0,
    }
    with _new_file(folder / "card.json", encoding="utf-8") as file:
        file.write(json.dumps(card, indent=1) + "\n")
    return card["rows"]  # type: ignore[return-value]


def _row(item: Item, decision: Decision) -> list[str]:
    offered = proposal(item.coding)
    return [
        item.source,
        item.reference,
        f"{item.part} von {item.parts}",
        item.text,
        decision.name,
        *(decision.codes[axis] or "" for axis in AXES),
        ", ".join(decided_metastases(item.coding, decision)),
        (decided_side(item.coding, decision) if decision.action in GIVING else None) or "",
        (decided_certainty(item.coding, decision) if decision.action in GIVING else None) or "",
        *(offered[axis] or "" for axis in AXES),
        ", ".join(proposed_metastases(item.coding) or ()),
        AGREEMENT_NAMES.get(Agreement(item.second), ""),
        decision.by,
        decision.at,
        decision.comment,
    ]


def _pairs_of(item: Item, decision: Decision) -> Iterator[dict[str, Any]]:
    from agent.models.prompts import TUMOUR, Prompts

    if decision.action not in GIVING:
        return
    asks = Prompts("instruct")
    # Of a text with several diagnoses the model is asked this one only, as the agent asks it; so of a document.
    text = words_of(item)
    if not text.strip():
        return
    given: dict[str, Any] = {
        "text": text,
        "line": f"review:{item.id}",
        "edition": "review",
        "form": 0,
        "candidates": [],
        "candidate_lines": [],
    }
    for axis in AXES:
        code = decision.codes[axis]
        if code is not None:
            question, answer = asks.question(text, axis), asks.answer(code, axis)
            yield {**given, "task": axis.value, "prompt": question, "completion": answer, "code": code}
    tumour = any(decision.codes.values())
    # No code on any axis may also mean that the text is too vague; only where the agent saw no tumour, and the
    # person agreed, does it teach that there is none.
    if tumour or not item.coding["tumour"]:
        question, answer = asks.tumour_question(text), asks.tumour_answer(tumour)
        yield {**given, "task": TUMOUR, "prompt": question, "completion": answer, "code": ""}


def _divided(pairs: Iterator[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The pairs without repetitions, by part."""
    kept: dict[tuple[str, str, str], dict[str, Any]] = {}
    for pair in pairs:
        kept.setdefault((pair["task"], pair["text"], pair["completion"]), pair)
    places = {pair["text"]: _place(pair["text"]) for pair in kept.values()}
    held = {text for text, place in places.items() if place % _DEVELOPMENT_SHARE == 0}
    if len(places) > 1 and not 0 < len(held) < len(places):
        held = {min(places, key=lambda text: places[text])}
    return {
        TRAIN: [pair for pair in kept.values() if pair["text"] not in held],
        DEVELOPMENT: [pair for pair in kept.values() if pair["text"] in held],
    }


def _place(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _digest(pairs: list[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair['task']}\0{pair['prompt']}\0{pair['completion']}\n".encode())
    return digest.hexdigest()


@contextmanager
def _new_file(path: Path, encoding: str = ENCODING) -> Iterator[TextIO]:
    try:
        with new_file(path, private=True) as half, half.open("w", encoding=encoding, newline="") as file:
            yield file
    except OSError as error:
        raise ReviewError(f"{path}: cannot be written ({error.strerror})") from error
