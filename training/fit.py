"""Fits the numbers of the decision: fusion weights, calibration, thresholds, recognition.

    fit(given, trained_context(given, out), out / "corpus").save(out / "decision.json")
    fit_model(given, "gemma-3-270m", "runs/gemma", out / "corpus", texts=1000)     # runs/gemma/decision.json

Fitted on the development lines of the alphabet (ICD-10) and on composed texts of site-and-morphology pairs
that training never saw; never on the held-out lines or on the evaluation sets.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from agent.decide.records import DECISION, AxisWeights, RecognitionWeights, Weights
from agent.decide.scores import AxisScores, scores_of_texts
from agent.graph import graph
from agent.models.store.names import model_folder
from agent.prepare import leading
from agent.resources import Resources
from agent.state import findings
from index.catalogue.catalogue import Catalogue
from index.errors import ModelError
from index.io.progress import Pace
from index.records import AXES, CatalogueLine, CodeSystem
from index.search.retriever import Retriever
from training.corpus import NONE, UNKNOWN, Row, is_measured, read_rows
from training.documents.annotated import is_held_out, load_annotated
from training.documents.stretches import stretches
from training.runs import log
from training.split import Split

_T = TypeVar("_T")
_COMPOSED = 3000
_MEASURING = 0.51  # of the held-out composed texts, the first so many measure and fit nothing
_READ = ("composed_heldout", "other", "around")  # parts of the corpus
_BATCH = 64
_NAMED_IN_VAIN = 0.3  # weight of a text that names a tumour which the patient has not
_ANNOTATED = 0.1  # weight of a stretch from an annotated document: there are many of few documents
_MISSED = 3.0  # a tumour that is missed costs as much as so many that are invented: nobody looks at what is not there
_LEASH = 0.3  # signals that say the same share their weight
_STEADY = 1e-6
_RATIOS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
_TEMPERATURES = (0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5)


@dataclass(frozen=True)
class Material:
    """What every step works on: the catalogue without the held-out lines, the split, the files' hashes."""

    catalogue: Catalogue
    split: Split
    files: dict[str, str]


@dataclass(frozen=True)
class Sample:
    """A scored text with its code (None: the text determines none)."""

    scores: AxisScores
    code: str | None


def fit(given: Material, resources: Resources, corpus: Path, *, texts: int = _COMPOSED) -> Weights:
    """The decision of these resources, whose catalogue lacks the split's lines. `corpus` is the folder that `train
    corpus` wrote; of its unseen composed texts so many are read, and of each kind that recognition learns from.

    Raises `ModelError` where the corpus lacks a part, or the texts are too few."""
    missing = [part for part in _READ if not (corpus / f"{part}.parquet").is_file()]
    if missing:
        wanted = " ".join(f"--only {part}" for part in missing)
        raise ModelError(
            f"{corpus}: lacks {', '.join(missing)}; write them with `onkokode train corpus {wanted}`"
        )
    composed = read_rows(corpus / "composed_heldout.parquet")
    composed = composed[int(_MEASURING * len(composed)) :]
    rows = random.Random(13).sample(composed, k=min(texts, len(composed)))
    read = [resources.prompts.reads(row.core, row.raw) for row in rows]
    scored = list(_paced("composed texts", scores_of_texts(resources, read), len(read)))
    lines = given.split.development[:texts]
    asked = scores_of_texts(resources, [line.text for line in lines], [CodeSystem.ICD10GM])
    lines_scored = list(_paced("catalogue lines", asked, len(lines)))
    axes = {}
    for place, axis in enumerate(AXES):
        samples = [
            Sample(s[axis], None if row.codes[place] == NONE else row.codes[place])
            for s, row in zip(scored, rows, strict=True)
            if row.codes[place] != UNKNOWN
        ]
        sets = [samples]
        if axis is CodeSystem.ICD10GM:
            sets.append([Sample(s[axis], line.code) for s, line in zip(lines_scored, lines, strict=True)])
        axes[axis] = fit_axis(axis, sets)
    weights = Weights(axes, _fit_recognition(resources, corpus, given, composed, texts))
    # A machine without the official files has fewer lines, and farther ones: the confidence is fitted on both.
    own = given.split.catalogue_without(Catalogue.builtin())
    over_own = replace(resources, catalogue=own, retriever=Retriever.over(own, resources.retriever.encoder))
    return _fit_confidence([replace(one, weights=weights) for one in (resources, over_own)], rows, lines)


def fit_model(
    given: Material, model: str, adapter: str | None, corpus: Path, *, texts: int, out: Path | None = None
) -> Path:
    """Fit a language model, or one with an adapter, beside the embedded encoder; the numbers are kept where the agent
    looks for them, beside the adapter or else the model, or in the folder `out`.

    Raises:
        ModelError: the model cannot be used, or is no folder of this machine and `out` is not given.
    """
    folder = out or Path(adapter or model_folder(model))
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: is no folder on this machine, in which the fit could be kept; give --keep"
        )
    resources = Resources.load(model, adapter, catalogue=given.catalogue)
    weights = fit(given, replace(resources, weights=Weights()), corpus, texts=texts)
    weights.save(folder / DECISION)
    Weights.load(folder / DECISION)  # what an agent would refuse is said now
    return folder / DECISION


def _paced(what: str, scores: Iterable[_T], total: int) -> Iterator[_T]:
    """Says how far it is."""
    pace = Pace(total, what, lambda line: log.info(f"  {line}"))
    for score in scores:
        pace.step()
        yield score


def trained_context(given: Material, out: Path) -> Resources:
    """The agent's parts as trained under `out`, over the catalogue without the split's lines."""
    from agent.decide.recognise import Recogniser
    from agent.models.local import LocalModel
    from agent.models.prompts import Prompts
    from index.catalogue.crosswalk import Crosswalk
    from index.catalogue.overrides import load_overrides
    from index.search.encoder import Encoder

    encoder = Encoder.load(out / "encoder")
    adapter = out / "adapter"
    return Resources(
        catalogue=given.catalogue,
        retriever=Retriever.over(given.catalogue, encoder),
        model=LocalModel.load(out / "model", adapter if adapter.is_dir() else None),
        prompts=Prompts.of(out / "model"),
        recogniser=Recogniser.load(out / "recogniser.safetensors"),
        weights=Weights.load(out / "decision.json"),
        crosswalk=Crosswalk(given.catalogue.rules, load_overrides()),
    )


def fit_axis(axis: CodeSystem, sets: Sequence[Sequence[Sample]]) -> AxisWeights:
    """Fit one axis; each set counts the same, however many samples it has."""
    from sklearn.linear_model import LogisticRegression

    known = [[s for s in samples if s.code in set(s.scores.codes)] for samples in sets]

    def accuracy(weights: AxisWeights) -> float:
        return float(
            np.mean([np.mean([s.scores.decide(weights).first == s.code for s in part]) for part in known])
        )

    tried = {ratio: accuracy(AxisWeights(retrieval=1 - ratio, model=ratio)) for ratio in _RATIOS}
    log.info(
        f"  {axis.value}: accuracy by the model's share: "
        + ", ".join(f"{r:.2f}: {a:.4f}" for r, a in tried.items())
    )
    # The composed texts share an author with the training texts and flatter the model; real texts do not, so
    # neither arm may be left out, and a neighbour's accuracy counts as well against a lucky ratio.
    smooth = {r: np.mean([tried[q] for q in _RATIOS if abs(q - r) < 0.06]) for r in _RATIOS}
    ratio = max(smooth, key=lambda r: smooth[r])

    def loss(scale: float) -> float:
        weights = AxisWeights(retrieval=(1 - ratio) * 2 * scale, model=ratio * 2 * scale)
        return float(np.mean([np.mean([_surprise(s, weights) for s in part]) for part in known]))

    scale = min(_TEMPERATURES, key=loss)
    weights = AxisWeights(retrieval=(1 - ratio) * 2 * scale, model=ratio * 2 * scale)
    features, right, share = [], [], []
    for part in known:
        for sample in part:
            decision = sample.scores.decide(weights)
            p = min(max(float(decision.probabilities[decision.order[0]]), 1e-6), 1 - 1e-6)
            features.append([np.log(p / (1 - p)), float(decision.agree)])
            right.append(decision.first == sample.code)
            share.append(1 / len(part))
    _both(right, f"first codes on the axis {axis.value}")
    platt = LogisticRegression(C=10.0).fit(features, right, sample_weight=np.array(share) / np.mean(share))
    none_above = _none_threshold([s for samples in sets for s in samples], weights)
    fitted = AxisWeights(
        retrieval=round(weights.retrieval, 4),
        model=round(weights.model, 4),
        slope=round(float(platt.coef_[0][0]), 4),
        agreement=round(float(platt.coef_[0][1]), 4),
        offset=round(float(platt.intercept_[0]), 4),
        none_above=none_above,
    )
    log.info(f"  {axis.value}: {fitted}; accuracy {accuracy(fitted):.4f} on {[len(p) for p in known]}")
    return fitted


def _fit_confidence(
    contexts: Sequence[Resources], rows: Sequence[Row], lines: Sequence[CatalogueLine]
) -> Weights:
    """How sure the agent is of each axis' code, after the joint decision and the checks."""
    texts = [(row.raw, row.codes) for row in rows]
    texts += [(line.text, (line.code, UNKNOWN, UNKNOWN)) for line in lines]
    weights = contexts[0].weights
    told: dict[CodeSystem, list[list[tuple[dict[str, float], bool]]]] = {axis: [[], []] for axis in AXES}
    batches = list(itertools.product(contexts, range(0, len(texts), _BATCH)))
    for context, start in _paced("batches of answers", batches, len(batches)):
        batch = texts[start : start + _BATCH]
        found = findings(graph.invoke({"texts": [text for text, _ in batch]}, context=context))
        for number, of_text in itertools.groupby(found, key=lambda one: one.statement.text):
            text, codes = batch[number]
            among = list(of_text)
            one = among[leading(text, [it.segment for it in among], [it.tumour for it in among])]
            for axis, gold in zip(AXES, codes, strict=True):
                if one.tumour and gold not in (NONE, UNKNOWN) and one.signals[axis]:
                    chosen = one.agreement.codes.get(axis) or one.decisions[axis].first
                    told[axis][start + number >= len(rows)].append((one.signals[axis], chosen == gold))
    axes = {}
    for axis, parts in told.items():
        coefficients = fit_signals([part for part in parts if part])
        axes[axis] = replace(weights.axes[axis], confidence=coefficients)
        log.info(f"  {axis.value}: confidence {coefficients}")
    return replace(weights, axes=axes)


def fit_signals(parts: Sequence[Sequence[tuple[dict[str, float], bool]]]) -> dict[str, float]:
    """Coefficients of `agent.decide.confidence` and an offset, from signals with whether the code was right. Each
    part counts the same, however many answers it has."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    names = list(parts[0][0][0])
    told = [signals for part in parts for signals, _ in part]
    values = np.array([[signals[name] for name in names] for signals in told])
    right = [right for part in parts for _, right in part]
    _both(right, "answers")
    share = np.concatenate([np.full(len(part), len(told) / len(parts) / len(part)) for part in parts])
    # A signal that hardly changes tells nothing: an adapter that never learnt "no code fits" gives it 1e-14 each time,
    # and a coefficient per unit would be 1e14.
    values[:, np.ptp(values, axis=0) < _STEADY] = 0.0
    scaler = StandardScaler().fit(values)
    logistic = LogisticRegression(C=_LEASH, max_iter=1000).fit(
        scaler.transform(values), right, sample_weight=share
    )
    weights = logistic.coef_[0] / scaler.scale_
    offset = float(logistic.intercept_[0] - weights @ scaler.mean_)
    return {"offset": round(offset, 4)} | {
        name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)
    }


def _both(right: Sequence[bool], what: str) -> None:
    """Raises `ModelError` where nothing can be told apart."""
    if len(set(right)) < 2:
        raise ModelError(
            f"{len(right)} {what} were all {'right' if any(right) else 'wrong'}: that is too few for a fit; give more "
            "with --texts"
        )


def _surprise(sample: Sample, weights: AxisWeights) -> float:
    decision = sample.scores.decide(weights)
    return -float(np.log(max(decision.probabilities[decision.codes.index(sample.code)], 1e-9)))


def _none_threshold(samples: Sequence[Sample], weights: AxisWeights) -> float:
    """The probability of "no code fits" above which an axis abstains: the fewest wrong decisions."""
    none = np.array([s.scores.decide(weights).none for s in samples])
    empty = np.array([s.code is None for s in samples])
    if not empty.any():
        return 0.5
    grid = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    return min(grid, key=lambda t: (int(((none > t) != empty).sum()), abs(t - 0.5)))


def _fit_recognition(
    context: Resources, corpus: Path, given: Material, composed: Sequence[Row], texts: int
) -> RecognitionWeights:
    from sklearn.linear_model import LogisticRegression

    from agent.decide.recognise import tumour_signals
    from agent.prepare import prepare

    negative = [
        row
        for part in ("other", "around")
        for row in read_rows(corpus / f"{part}.parquet")
        if is_measured(row)
    ]
    positive = [row for row in composed if row.tumour == 1][:texts]
    positive += [
        Row(line.text, line.text, ("", "", ""), 1, "development") for line in given.split.development[:texts]
    ] * 3
    rows, raw = [], []
    for row in positive + random.Random(13).sample(negative, k=min(len(negative), 5 * texts // 3)):
        # Of a note the agent asks about the stretch that holds the diagnosis, and of what is denied it does not ask.
        held = next((s for s in prepare(row.raw).diagnoses if s.core == row.core), None)
        if held is None or not held.denied:
            rows.append(row)
            raw.append(held.wording if held is not None else row.raw)
    documents = [document for document in load_annotated() if is_held_out(document.text)]
    random.Random(13).shuffle(documents)
    # Preparing them takes longer than all the rest: no more of them than are heard.
    told = [*itertools.islice(stretches(documents), min(2 * texts, len(rows)))]
    raw += [one.text for one in told]
    signals = tumour_signals(context, raw, [row.core for row in rows] + [one.core for one in told])
    tumour = np.array([row.tumour for row in rows] + [int(one.tumour) for one in told])
    # Screened for, feared or somebody else's: the corpus holds many more of these than any clinic writes.
    weight = np.where((tumour == 0) & (signals[:, 3] > 0), _NAMED_IN_VAIN, 1.0)
    weight[len(rows) :] = _ANNOTATED
    logistic = LogisticRegression(class_weight="balanced").fit(signals, tumour, sample_weight=weight)
    for name, values in (
        ("n-grams of the text", signals[:, 0]),
        ("n-grams of the core", signals[:, 1]),
        ("model", signals[:, 2]),
        ("a word", signals[:, 3] - 0.5),
        ("all", logistic.decision_function(signals)),
    ):
        log.info(f"  recognition by {name}: {np.mean((values > 0) == tumour):.4f} (n={len(raw)})")
    n_grams, core, model, named = (round(float(weight), 4) for weight in logistic.coef_[0])
    offset = float(logistic.intercept_[0] + np.log(_MISSED))
    return RecognitionWeights(n_grams, model, core, named, round(offset, 4))
