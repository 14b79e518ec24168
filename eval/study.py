"""The arms of a training study, measured on the same texts: `training.studies.arms` makes the weights, this the tables.

    figures = measure_arms(Path("runs/study"), catalogue, study_sets(split, composed, development, rules))
    write(study_section("texts", figures), Path("docs/results"), environment({}))

Per arm the seeds' mean and their range, and a 95 % interval by bootstrap over the texts, each text counting with
the share of seeds that have it right. Retrieval, language model and their sum are decided without fitted
weights, so that no arm is favoured by them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from agent.decide.recognise import Recogniser
from agent.decide.records import AxisWeights, Weights
from agent.decide.scores import AxisScores, scores_of_texts
from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.resources import Resources
from eval.report.report import Section
from eval.scoring import score
from eval.statistics import Interval, cluster_bootstrap
from eval.testset import Row
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.errors import OnkokodeError
from index.records import CodeSystem
from index.search.encoder import Encoder
from index.search.index import Index
from index.search.retriever import Retriever
from training.corpus import NONE
from training.corpus import Row as ComposedRow
from training.split import Split
from training.studies.arms import ARM_FILE, ICD, TOPOGRAPHY_AXIS, carried_topographies, searched_lines

_SITED = "held-out lines whose code fixes the topography"
_BOTH = "composed texts, held out by site and morphology"
_TITLES = {
    "texts": "Do composed clinical texts help? Four arms",
    "topography": "Can ICD-O-3 topography catch up with ICD-10?",
}
DECIDERS = ("retrieval", "model", "sum")


@dataclass(frozen=True)
class Measured:
    """Texts with their codes on an axis; `exact_counts` says which rows count for exact, `clusters` which are
    near-duplicates of one another."""

    name: str
    texts: Sequence[str]
    gold: Sequence[str]
    clusters: Sequence[str]
    exact_counts: Sequence[bool]

    @classmethod
    def of(cls, name: str, texts: Sequence[str], gold: Sequence[str]) -> Measured:
        """Texts that all count and have no near-duplicates."""
        return cls(name, texts, gold, [str(n) for n in range(len(texts))], [True] * len(texts))


@dataclass(frozen=True)
class Figure:
    """An arm's share of exact or partial answers on a set: the seeds' mean with its interval, each seed's value."""

    study: str
    arm: str
    decider: str
    set: str
    figure: str
    n: int
    mean: float
    interval: Interval
    by_seed: Mapping[int, float]


Hits = dict[tuple[str, str, str], np.ndarray]  # (decider, set, exact or partial) -> (n,) of 0 and 1


def study_sets(
    split: Split, composed: Sequence[ComposedRow], development: Sequence[Row], catalogue: Catalogue
) -> dict[CodeSystem, list[Measured]]:
    """The sets of each axis. The topography of a held-out line is the one that the crosswalk fixes for its
    ICD-10 code; both axes are measured on these lines, and on the same composed texts."""
    carried = carried_topographies(catalogue)
    sited = [line for line in split.held_out if line.code in carried]
    both = [row for row in composed if NONE not in row.codes[:2]]
    own = [row for row in development if row.tumour and row.icd10 and not row.in_alpha_id]
    sited_texts, both_texts = [line.text for line in sited], [row.raw for row in both]
    return {
        ICD: [
            Measured.of("held-out lines", [x.text for x in split.held_out], [x.code for x in split.held_out]),
            Measured("development sets", [row.text for row in own], [row.icd10 or "" for row in own],
                     [row.cluster for row in own], [row.exact_counts for row in own]),
            Measured.of(_SITED, sited_texts, [line.code for line in sited]),
            Measured.of(_BOTH, both_texts, [row.codes[0] for row in both]),
        ],
        TOPOGRAPHY_AXIS: [
            Measured.of(_SITED, sited_texts, [carried[line.code] for line in sited]),
            Measured.of(_BOTH, both_texts, [row.codes[1] for row in both]),
        ],
    }  # fmt: skip


def measure_arms(
    folder: Path,
    catalogue: Catalogue,
    sets: Mapping[CodeSystem, Sequence[Measured]],
    say: Callable[[str], None] = print,
) -> list[Figure]:
    """Measure every arm below `folder`.

    Raises:
        OnkokodeError: the folder holds no arm.
    """
    by_arm: dict[tuple[str, str, CodeSystem], dict[int, Hits]] = {}
    for path in sorted(folder.glob(f"*/{ARM_FILE}")):
        record = json.loads(path.read_text(encoding="utf-8"))
        axis = CodeSystem(record["axis"])
        say(f"measuring {path.parent.name}")
        hits = _hits(path.parent, record["lines"], axis, catalogue, sets[axis])
        by_arm.setdefault((record["study"], record["name"], axis), {})[record["seed"]] = hits
    if not by_arm:
        raise OnkokodeError(f"{folder}: holds no arm of a study; make some with `onkokode train study`")
    return [
        _figure(study, arm, key, {seed: hits[key] for seed, hits in by_seed.items()}, measured)
        for (study, arm, axis), by_seed in by_arm.items()
        for measured in sets[axis]
        for key in next(iter(by_seed.values()))
        if key[1] == measured.name
    ]


def _figure(
    study: str, arm: str, key: tuple[str, str, str], hits: Mapping[int, np.ndarray], measured: Measured
) -> Figure:
    decider, set_name, figure = key
    kept = [figure == "partial" or counts for counts in measured.exact_counts]
    clusters = [c for c, keep in zip(measured.clusters, kept, strict=True) if keep]
    each = np.stack(list(hits.values())).mean(0)
    interval = cluster_bootstrap(each.tolist(), clusters)
    by_seed = {seed: float(values.mean()) for seed, values in hits.items()}
    return Figure(study, arm, decider, set_name, figure, len(each), float(each.mean()), interval, by_seed)


def study_section(study: str, figures: Sequence[Figure]) -> Section:
    """The figures as one table per set."""
    section = Section(f"study-{study}", _TITLES[study], "onkokode eval study")
    for name in dict.fromkeys(f.set for f in figures):
        rows = []
        for f in figures:
            if f.set == name:
                low, high = 100 * min(f.by_seed.values()), 100 * max(f.by_seed.values())
                interval = f"{100 * f.interval.low:.1f} - {100 * f.interval.high:.1f}"
                rows.append((f.study, f.arm, f.decider, f.figure, f"{100 * f.mean:.1f} %", interval,
                             f"{low:.1f} - {high:.1f}", str(f.n)))  # fmt: skip
        header = ("study", "arm", "decided by", "figure", "mean", "95 % interval", "seeds, from - to", "n")
        section.tables[name] = (header, rows)
    section.notes += [
        "Every arm has the same steps, batch and model size; seeds 13, 14, 15. Interval: bootstrap over the texts "
        "(over near-duplicate series in the development sets), a text counting with its share of seeds.",
        "Composed texts: pairs of site and morphology that no arm has seen, but of the same author as the training "
        "texts: they flatter the arms that learn from composed texts.",
    ]
    section.details["figures"] = [asdict(f) for f in figures]
    return section


def _hits(
    folder: Path, lines: str | None, axis: CodeSystem, catalogue: Catalogue, sets: Sequence[Measured]
) -> Hits:
    known = replace(catalogue, searchable_lines=tuple(searched_lines(lines, catalogue)))
    encoder = Encoder.load(folder / "encoder")
    model = folder / "model"
    context = Resources(
        catalogue=known,
        retriever=Retriever(Index.build(known, encoder), encoder),
        model=LocalModel.load(model) if model.is_dir() else None,
        prompts=Prompts.of(model) if model.is_dir() else Prompts("compact"),
        recogniser=Recogniser.load(),
        weights=Weights(),
        crosswalk=Crosswalk(catalogue.rules),
    )
    hits: Hits = {}
    for measured in sets:
        scored = [scores[axis] for scores in scores_of_texts(context, measured.texts, [axis])]
        for decider in DECIDERS if context.model is not None else DECIDERS[:1]:
            answers = [_decide(scores, decider) for scores in scored]
            result = score(measured.gold, answers, axis)
            kept = np.array(measured.exact_counts)
            hits[decider, measured.name, "exact"] = np.array(result.exact_hits, float)[kept]
            hits[decider, measured.name, "partial"] = np.array(result.partial_hits, float)
    return hits


def _decide(scores: AxisScores, decider: str) -> str | None:
    if decider == "retrieval":
        return scores.first_of_retrieval
    return scores.first_of_model if decider == "model" else scores.decide(AxisWeights()).first
