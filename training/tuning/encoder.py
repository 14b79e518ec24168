"""Encoders with sentence-transformers' own losses: a static one from scratch, or any model by folder or hub name.

    tune_encoder(material(catalogues), Path("runs/static"), TuningPlan())               # from scratch
    tune_encoder(material(catalogues), Path("runs/e5"), TuningPlan(), model="intfloat/multilingual-e5-base")
    Encoder.load("runs/e5")                                                                    # as `--encoder runs/e5`

A pair is a query and a catalogue line of its code. The other lines of a batch are the negatives, so a batch
holds at most one line per code (`OneLinePerCode`); explicit hard negatives are the neighbours that the first
encoder takes for near although they carry another code. Trained from scratch, each axis gets a route of its
own, as in the embedded encoder; another model keeps its one space. The epoch that is best on development
lines is kept, and a killed run goes on from its last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agent.prepare import core_of
from index.errors import ModelError
from index.io.atomic import new_file
from index.records import CodeSystem
from index.search.encoder import CONFIG, Encoder, sentence_model
from training.plan import TuningPlan
from training.runs import (
    RUN_FILE,
    each_epoch,
    log,
    read_epochs,
    same_run,
    train_on,
    trainer_settings,
    write_json,
)
from training.tuning.query_pairs import (
    OneLinePerCode,
    QueryPairs,
    composed_queries,
    known_lines,
    mine_negatives,
    query_pairs,
)

if TYPE_CHECKING:
    from datasets import DatasetDict
    from sentence_transformers import SentenceTransformer

    from training.fit import Material

_CARD = Path(__file__).parents[1] / "cards" / "encoder.md"
_RECALL_AT = 20
# What a run that goes on reads instead of making it again; deleted at the end.
_NEGATIVES = "negatives.npz"


@dataclass(frozen=True)
class TuningResult:
    """Development scores after an epoch: per axis n, accuracy of the nearest line, recall of the first 20 codes."""

    epoch: int
    axes: dict[str, tuple[int, float, float]]

    @property
    def accuracy(self) -> float:
        """Mean over the axes; the epoch is chosen by it."""
        return sum(accuracy for _, accuracy, _ in self.axes.values()) / len(self.axes)


def tune_encoder(
    given: Material,
    out: Path,
    plan: TuningPlan,
    *,
    model: str | Path | None = None,
    composed: Path | None = None,
) -> list[TuningResult]:
    """Train an encoder into `out`; returns the development scores before training and after each epoch.

    `model` None trains a static encoder from scratch; `composed` is a file that `onkokode train compose` wrote.

    Raises:
        ModelError: the model cannot be used, or `out` holds a run with other settings.
    """
    if model is None and plan.loss != "mnrl":
        raise ModelError(
            "a static model needs no cached loss and cannot be trained with it: leave out --loss"
        )
    data = _data_hash(given.files, composed)
    out.mkdir(parents=True, exist_ok=True)
    settings = {"model": str(model) if model else None, "data": data, "plan": asdict(plan)}
    same_run(out, settings)
    write_json(out / RUN_FILE, settings)
    results = read_epochs(out, TuningResult)
    if (out / "README.md").is_file():
        log.info(f"{out}: trained already")
        return results
    known = {
        CodeSystem(axis): known_lines(given, CodeSystem(axis), plan.max_lines, plan.seed)
        for axis in plan.axes
    }
    # One loader, so that one rule says what may be loaded: no pickle, no remote code.
    network = _new_model(known, plan) if model is None else sentence_model(model)
    encoder = Encoder(network, "in training", scale=plan.scale)
    negatives = _negatives(encoder, known, plan, out / _NEGATIVES)
    extra = composed_queries(composed, given.split, plan.composed_rows, plan.seed) if composed else {}
    pairs = {
        axis: query_pairs(lines, negatives.get(axis.value), extra.get(axis, ()), given.split, plan)
        for axis, (lines, _) in known.items()
    }
    trainer = _trainer(network, _dataset(pairs), out, plan, static=model is None)
    for axis, (lines, development) in known.items():
        log.info(
            f"{axis.value}: {len(lines):,} lines, {len(pairs[axis].anchors):,} pairs, {len(development):,} to develop on"
        )

    def measure(epoch: int, _seconds: float) -> None:
        if any(result.epoch == epoch for result in results):
            return
        training = network.training
        scores = {}
        for axis, (lines, development) in known.items():
            texts = [core_of(line.text) for line in development]
            found = nearest_codes(encoder, axis, [(line.text, line.code) for line in lines], texts)
            asked = list(zip(development, found, strict=True))
            first, among = (
                sum(line.code in codes[:k] for line, codes in asked) / max(len(asked), 1)
                for k in (1, _RECALL_AT)
            )
            scores[axis.value] = (len(asked), first, among)
        network.train(training)
        results.append(TuningResult(epoch, scores))
        log.info(_line(results[-1]))
        if epoch and _best(results).epoch == epoch:
            _save(network, out, plan.scale)
        # After the weights: a run that is killed between the two measures and saves the epoch once more.
        write_json(out / "epochs.json", [asdict(result) for result in results])

    trainer.add_callback(each_epoch(measure, ceil(len(trainer.get_train_dataloader()))))
    train_on(trainer, out)
    (out / _NEGATIVES).unlink(missing_ok=True)
    (out / "README.md").write_text(_card(model, data, plan, results), encoding="utf-8")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return results


def nearest_codes(
    encoder: Encoder, axis: CodeSystem, lines: Sequence[tuple[str, str]], texts: Sequence[str]
) -> list[list[str]]:
    """Per text the 20 codes whose nearest line is nearest, best first; `lines` are (text, code)."""
    order = sorted(range(len(lines)), key=lambda row: lines[row][1])
    codes, first = np.unique([lines[row][1] for row in order], return_index=True)
    bank = encoder.encode([lines[row][0] for row in order], axis)
    found: list[list[str]] = []
    for start in range(0, len(texts), 512):
        similarity = encoder.encode(texts[start : start + 512], axis) @ bank.T
        best = np.maximum.reduceat(similarity, first, axis=1)
        found += [
            [str(code) for code in codes[row]]
            for row in np.argsort(-best, axis=1, kind="stable")[:, :_RECALL_AT]
        ]
    return found


def _new_model(
    known: Mapping[CodeSystem, tuple[Sequence[Any], Any]], plan: TuningPlan
) -> SentenceTransformer:
    """A random table per axis over our own tokeniser, as routes of one model."""
    from training.compact.encoder import routed, train_tokenizer

    texts = {axis: [line.text for line in lines] for axis, (lines, _) in known.items()}
    tokenizer = train_tokenizer([text for own in texts.values() for text in own])
    tables = {}
    generator = torch.Generator().manual_seed(plan.seed)
    for axis, own in texts.items():
        weights = torch.randn(tokenizer.get_vocab_size(), plan.dimension, generator=generator) * 0.1
        # Pieces that no line of the axis has would only add noise to a text's mean.
        seen = torch.zeros(len(weights), dtype=torch.bool)
        seen[[i for e in tokenizer.encode_batch(own, add_special_tokens=False) for i in e.ids]] = True
        weights[~seen] = 0.0
        tables[axis] = weights
    return routed(tokenizer, tables)


def _negatives(
    encoder: Encoder, known: Mapping[CodeSystem, tuple[Sequence[Any], Any]], plan: TuningPlan, path: Path
) -> dict[str, np.ndarray]:
    """Near lines of other codes by axis, of the first encoder: a run that goes on reads what it wrote."""
    if not plan.hard_negatives:
        return {}
    if not path.is_file():
        mined = {
            axis.value: mine_negatives(encoder.encode([line.text for line in lines], axis), lines)
            for axis, (lines, _) in known.items()
        }
        with new_file(path) as half, half.open("wb") as file:
            np.savez(file, **mined)  # type: ignore[arg-type]  # the stub takes the names for options
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _dataset(pairs: Mapping[CodeSystem, QueryPairs]) -> DatasetDict:
    from datasets import Dataset, DatasetDict

    made = {}
    for axis, rows in pairs.items():
        columns: dict[str, Any] = {"anchor": rows.anchors, "positive": rows.positives}
        for n, texts in enumerate(rows.negatives, start=1):
            columns[f"negative_{n}"] = texts
        made[axis.value] = Dataset.from_dict({**columns, "label": rows.codes})
    return DatasetDict(made)


def _trainer(
    network: SentenceTransformer, data: DatasetDict, out: Path, plan: TuningPlan, *, static: bool
) -> Any:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.modules.router import Router
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from transformers.trainer_callback import PrinterCallback

    class Trainer(SentenceTransformerTrainer):
        """Without the library's own card, which quotes training texts and looks models up on the hub."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            pass

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            self.model.save_pretrained(
                output_dir or str(self.args.output_dir), create_model_card=False, safe_serialization=True
            )

    loss: torch.nn.Module
    if plan.loss == "mnrl":
        loss = MultipleNegativesRankingLoss(network, scale=plan.scale)
    else:
        loss = CachedMultipleNegativesRankingLoss(network, scale=plan.scale, mini_batch_size=plan.mini_batch)
    routed = any(isinstance(module, Router) for module in network)
    # Weights stay float32 and the computation is bf16: bf16 weights lose updates of 2e-5.
    own = {
        "max_steps": plan.steps or -1,
        "learning_rate": plan.learning_rate or (0.02 if static else 2e-5),
        "lr_scheduler_type": "linear",
        "warmup_steps": 0.05,
        "batch_sampler": OneLinePerCode,
        "router_mapping": {axis: dict.fromkeys(data[axis].column_names, axis) for axis in data if routed},
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    trainer = Trainer(
        model=network,
        args=SentenceTransformerTrainingArguments(**trainer_settings(plan, out, **own)),
        train_dataset=data,
        loss=loss,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _save(network: SentenceTransformer, out: Path, scale: float) -> None:
    network.save_pretrained(str(out), create_model_card=False, safe_serialization=True)
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    write_json(out / CONFIG, {"scale": scale, "fingerprint": digest.hexdigest()[:16]})


def _best(results: Sequence[TuningResult]) -> TuningResult:
    return max(
        (result for result in results if result.epoch), key=lambda result: (result.accuracy, -result.epoch)
    )


def _line(result: TuningResult) -> str:
    scores = (
        f"{axis} {accuracy:.1%} nearest line, {recall:.1%} among {_RECALL_AT} (n={n})"
        for axis, (n, accuracy, recall) in result.axes.items()
    )
    return f"epoch {result.epoch}: " + "; ".join(scores)


def _data_hash(files: Mapping[str, str], composed: Path | None) -> str:
    digest = hashlib.sha256(json.dumps(sorted(files.items())).encode())
    if composed is not None:
        with composed.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _card(model: str | Path | None, data: str, plan: TuningPlan, results: Sequence[TuningResult]) -> str:
    best = _best(results)
    rows = (
        f"| {result.epoch} | {axis} | {n} | {accuracy:.1%} | {recall:.1%} |{' kept' if result is best else ''} |"
        for result in results
        for axis, (n, accuracy, recall) in result.axes.items()
    )
    return Template(_CARD.read_text(encoding="utf-8")).substitute(
        base=f"base_model: {model}\n" if model else "",
        start=f"from `{model}`" if model else "from scratch (static, our own tokeniser)",
        data=data,
        table="\n".join(rows),
        plan=json.dumps(asdict(plan), indent=2),
    )
