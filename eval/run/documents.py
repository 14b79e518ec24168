"""`onkokode eval documents`: what the reader finds in whole documents whose tumours are known.

onkokode eval documents                        # our own sets
onkokode eval documents ../shared/evalsets/documents/documents.jsonl

A document is a JSON object a line: `id kind text tumours`, each tumour with `icd10gm icdo_topography icdo_morphology
certainty side metastases doubtful`. A tumour of the answer is right where its ICD-10-GM code is one of the document's that
no other has taken. One that the authors call doubtful counts neither as found nor as missed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from agent.agent import CodingAgent
from agent.apps.options import INPUT_FILE, agent_options, load_agent, reader_option
from agent.reading.results import CodedDocument
from agent.results import CodedText
from index.catalogue.years import MODELS_YEAR
from index.errors import OnkokodeError
from index.icd import is_secondary

OWN = Path(__file__).parents[1] / "testsets" / "documents"
_REPEATS = 2000
_SEED = 13


class DocumentError(OnkokodeError):
    """A file of documents that cannot be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Tumour:
    """A tumour of a document or of an answer: its codes (None: not determined) and facts; of an answer also how sure it
    says to be that it is one, and of its ICD-10-GM code."""

    icd10gm: str | None
    icdo_topography: str | None
    icdo_morphology: str | None
    certainty: str
    side: str | None
    metastases: frozenset[str]
    doubtful: bool = False
    presence: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document with its tumours."""

    name: str
    kind: str
    text: str
    tumours: tuple[Tumour, ...]


@dataclass(slots=True)
class Scores:
    """Counts of one document: hits, false and missed by measure, and (right, n) of facts of the tumours found."""

    found: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    facts: dict[str, tuple[int, int]] = field(default_factory=dict)


def read_documents(path: Path) -> list[Document]:
    """The documents of a file. Raises `DocumentError` that names the line."""
    documents = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DocumentError(f"{path}: is no text in UTF-8; save it so.") from None
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            tumours = tuple(_tumour(one) for one in row["tumours"])
            documents.append(
                Document(str(row.get("id", number)), str(row.get("kind", "")), str(row["text"]), tumours)
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DocumentError(
                f"{path}, line {number}: is no document ({type(error).__name__}: {error}); see `onkokode eval documents --help`"
            ) from None
    return documents


def _tumour(row: dict[str, Any]) -> Tumour:
    return Tumour(
        row["icd10gm"], row.get("icdo_topography"), row.get("icdo_morphology"), row.get("certainty", "gesichert"),
        row.get("side"), frozenset(row.get("metastases", ())), bool(row.get("doubtful", False)),
    )  # fmt: skip


def scores_of(gold: Sequence[Tumour], answer: Sequence[Tumour]) -> Scores:
    """The counts of one document."""
    scores = Scores()
    for measure, key in (("primaries, exact", _exact), ("primaries, three characters", _three)):
        sure = Counter(key(one) for one in gold if not one.doubtful)
        doubtful = Counter(key(one) for one in gold if one.doubtful)
        said = Counter(key(one) for one in answer if one.icd10gm is not None)
        hits = sum((said & sure).values())
        forgiven = sum(((said - sure) & doubtful).values())
        scores.found[measure] = (hits, sum(said.values()) - hits - forgiven, sum(sure.values()) - hits)
    wanted, told = ({code for one in of for code in one.metastases} for of in (gold, answer))
    scores.found["metastases"] = (len(wanted & told), len(told - wanted), len(wanted - told))
    if not gold:
        scores.facts["documents without a tumour"] = (int(not answer), 1)
    left = list(answer)
    for one in gold:
        same = next((other for other in left if _three(other) == _three(one)), None)
        if same is None:
            continue
        left.remove(same)
        for name in ("certainty", "side", "icdo_topography", "icdo_morphology"):
            right, n = scores.facts.get(name, (0, 0))
            scores.facts[name] = (right + (getattr(one, name) == getattr(same, name)), n + 1)
    return scores


def _exact(one: Tumour) -> str:
    return one.icd10gm or "-"


def _three(one: Tumour) -> str:
    return (one.icd10gm or "-")[:3]


def table(scores: Sequence[Scores]) -> list[tuple[str, float, float, float, int]]:
    """(measure, value, lower and upper end of the 95 % interval, n): F1 of what is found, shares of facts. Intervals by
    drawing documents anew (bootstrap, 2,000 times)."""
    drawn = np.random.default_rng(_SEED).integers(0, len(scores), (_REPEATS, len(scores)))
    rows = []
    for name in dict.fromkeys(name for one in scores for name in one.found):
        counts = np.array([one.found.get(name, (0, 0, 0)) for one in scores])
        rows.append(
            (f"{name}, F1", *_interval(counts, drawn, _f1), int(counts[:, 0].sum() + counts[:, 2].sum()))
        )
    for name in dict.fromkeys(name for one in scores for name in one.facts):
        counts = np.array([one.facts.get(name, (0, 0)) for one in scores])
        rows.append((name, *_interval(counts, drawn, _share), int(counts[:, 1].sum())))
    return rows


def calibration(
    gold: Sequence[Sequence[Tumour]], answers: Sequence[Sequence[Tumour]]
) -> list[tuple[str, float, float, float, int]]:
    """(measure, mean probability, share that is right, Brier score, n): of tumours, that the document tells one with the
    same three characters; of ICD-10-GM codes, that it tells the code. What its authors call doubtful is right."""
    told: dict[str, list[tuple[float, bool]]] = {"presence of a tumour": [], "ICD-10-GM code": []}
    for wanted, answer in zip(gold, answers, strict=True):
        for name, key, of in (
            ("presence of a tumour", _three, "presence"),
            ("ICD-10-GM code", _exact, "confidence"),
        ):
            there = Counter(map(key, wanted))
            for one in answer:
                said: float | None = getattr(one, of)
                if said is not None:
                    told[name].append((said, there[key(one)] > 0))
                    there[key(one)] -= 1
    rows = []
    for name, pairs in told.items():
        if pairs:
            values = np.array(pairs, dtype=float)
            brier = float(((values[:, 0] - values[:, 1]) ** 2).mean())
            rows.append((name, float(values[:, 0].mean()), float(values[:, 1].mean()), brier, len(pairs)))
    return rows


def _interval(
    counts: np.ndarray, drawn: np.ndarray, value: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float, float]:
    low, high = np.nanquantile(value(counts[drawn].sum(1)), (0.025, 0.975))
    return float(value(counts.sum(0))), float(low), float(high)


def _f1(sums: np.ndarray) -> np.ndarray:
    hits, false, missed = sums[..., 0], sums[..., 1], sums[..., 2]
    return 2 * hits / np.maximum(2 * hits + false + missed, 1)


def _share(sums: np.ndarray) -> np.ndarray:
    return np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1), np.nan)


@click.command("documents")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=INPUT_FILE)
@click.option(
    "--entries", is_flag=True, help="Read each document as one entry, as `onkokode code` does, to compare."
)
@click.option(
    "--wrong", is_flag=True, help="Name the documents with another answer than theirs, with both codes."
)
@reader_option
@agent_options
def documents_command(files: tuple[Path, ...], entries: bool, wrong: bool, **options: Any) -> None:
    """Read the documents of each FILE (JSON lines with their tumours; without one, our own sets) and score the
    answers."""
    if entries and options["reader"]:
        raise click.UsageError("--entries reads no documents, so --reader says nothing")
    agent = load_agent(**options | {"date": options["date"] or MODELS_YEAR})
    for path in files or sorted(OWN.glob("*.jsonl")):
        _score(agent, path, entries=entries, wrong=wrong)


def _score(agent: CodingAgent, path: Path, *, entries: bool, wrong: bool) -> None:
    documents = read_documents(path)
    texts = [document.text for document in documents]
    answers = (
        [_of_entry(one) for one in agent.code_many(texts)]
        if entries
        else [_of_document(one) for one in agent.read_many(texts)]
    )
    scores = [
        scores_of(document.tumours, answer) for document, answer in zip(documents, answers, strict=True)
    ]
    if wrong:
        for document, answer in zip(documents, answers, strict=True):
            gold = sorted(map(_exact, document.tumours))
            if sorted(map(_exact, answer)) != gold:
                click.echo(f"{document.name} ({document.kind}): {', '.join(gold) or 'none'} -> "
                           f"{', '.join(sorted(map(_exact, answer))) or 'none'}")  # fmt: skip
    click.echo(f"{path}: {len(documents)} documents, {sum(len(one.tumours) for one in documents)} tumours")
    for name, value, low, high, n in table(scores):
        click.echo(f"{name:32} {value:6.3f}  [{low:.3f}, {high:.3f}]  n {n}")
    for name, said, right, brier, n in calibration([one.tumours for one in documents], answers):
        click.echo(f"{name:32} said {said:.3f}, right {right:.3f}, Brier {brier:.3f}  n {n}")


def _of_document(answer: CodedDocument) -> list[Tumour]:
    return [
        Tumour(
            one.icd10gm.code, one.icdo_topography.code, one.icdo_morphology.code, one.certainty, one.side,
            frozenset(m.icd10gm.code for m in one.metastases if m.icd10gm.code),
            presence=one.probability, confidence=one.icd10gm.confidence if one.icd10gm.code else None,
        )
        for one in answer.tumours
    ]  # fmt: skip


def _of_entry(answer: CodedText) -> list[Tumour]:
    """All diagnoses of a text that are tumours; metastases among them are told apart by their codes."""
    found = [one for one in (answer, *answer.further) if one.tumour]
    metastases = frozenset(code for one in found if (code := one.icd10gm.code) and is_secondary(code))
    return [
        Tumour(
            one.icd10gm.code, one.icdo_topography.code, one.icdo_morphology.code, one.certainty, one.side, metastases,
            presence=one.tumour_probability, confidence=one.icd10gm.confidence if one.icd10gm.code else None,
        )
        for one in found
        if one.icd10gm.code not in metastases
    ]  # fmt: skip
