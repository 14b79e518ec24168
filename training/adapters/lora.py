"""LoRA adapters for open-weight models, on instruction pairs, with PEFT and the `Trainer` of transformers.

    train_lora("Qwen/Qwen3-8B", Path("runs/pairs"), Path("runs/icd10gm-8b"), LoraPlan())
    train_lora(EMBEDDED_MODEL, Path("runs/pairs"), Path("runs/full"), LoraPlan(rank=0, learning_rate=2e-4))

A pair becomes tokens by the agent's own `PromptEncoder`, so training and use read the same prompt: the chat
template of the family, no default system header (Llama), thinking off (Qwen3), or the compact model's tokens.
Only the answer's tokens count in the loss. The development pairs are answered before training and after every
epoch; the epoch that answers most of them right is kept. A killed run goes on from its last checkpoint. Rank 0
trains all weights instead of an adapter. Under `accelerate launch` several processes train together.

The trainer's checkpoints hold its optimiser as a `.pt` file, which PyTorch reads with `weights_only`; they are
deleted at the end, and what is kept is safetensors.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.models.store.names import model_folder
from agent.models.store.stored import licence_of
from agent.models.tokens import PromptEncoder
from index.io.progress import Pace
from training.adapters.data import Example, PairFolder
from training.adapters.measure import TaskScore, answer_pairs, by_task
from training.adapters.report import EpochResult, best_epoch, plot_runs, write_card
from training.adapters.trainer import load_base, progress, trainer_for
from training.adapters.trees import Trees, write_trees
from training.plan import LoraPlan
from training.runs import RUN_FILE, each_epoch, log, read_epochs, same_run, train_on, write_json


def train_lora(model: str | Path, pairs: Path, out: Path, plan: LoraPlan) -> list[EpochResult]:
    """Train an adapter, or with rank 0 the model, into `out`; the results before training and after each epoch.

    Raises:
        ModelError: the model or the pairs cannot be used, or `out` holds a run with other settings.
    """
    from accelerate import PartialState

    together = PartialState(cpu=not torch.cuda.is_available())
    given = PairFolder.open(pairs)
    settings = {"model": str(model), "data": given.sha256, "plan": asdict(plan)}
    same_run(out, settings)
    results = read_epochs(out, EpochResult)
    done = (out / "README.md").is_file()
    together.wait_for_everyone()
    if done:
        log.info(f"{out}: trained already")
        return results

    base = load_base(model, plan)
    encoder, tokenizer = base.encoder, base.encoder.tokenizer
    style = plan.style or Prompts.of(model_folder(model)).style
    given = PairFolder.open(pairs, style, tokenizer.get_vocab())
    if together.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / RUN_FILE, settings)
    with together.main_process_first():
        train, development, asked = _data(given, base, plan, out / "checkpoints")
    trainer = trainer_for(base, train, development, out, plan)
    sizes = {
        "trainable_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "train_texts": len(train),
        "train_tokens": int(train.sizes().sum()),
        "development_pairs": len(asked),
        "left_out": given.left_out,
        "processes": together.num_processes,
    }
    if together.is_main_process:
        write_json(out / RUN_FILE, settings | sizes)
    log.info(f"{plan.kind()}: {sizes['trainable_parameters']:,} trainable parameters, {len(train):,} texts")

    def measure(epoch: int, seconds: float) -> None:
        if any(result.epoch == epoch for result in results):
            return
        results.append(_measured(trainer, encoder, given.prompts, asked, epoch, seconds))
        log.info(results[-1].line())
        trained = [result for result in results if result.epoch]
        if epoch and best_epoch(trained).epoch == epoch:
            _keep(trainer, tokenizer, given.prompts, out, full=plan.rank == 0)
        # After the weights: a run that is killed between the two measures and saves the epoch once more.
        if together.is_main_process:
            write_json(out / "epochs.json", [asdict(result) for result in results])
        together.wait_for_everyone()

    trainer.add_callback(each_epoch(measure))
    if not sys.stderr.isatty():
        trainer.add_callback(progress(trainer))
    train_on(trainer, out)
    together.wait_for_everyone()
    if together.is_main_process:
        plot_runs({out.name: results}, out / "epochs.png")
        licence = None if given.prompts.style == "compact" else licence_of(model_folder(model))
        write_card(out, str(model), given.sha256, plan, results, licence)
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    log.info(f"weights, card and curve: {out}")
    return results


def _data(
    given: PairFolder, base: LocalModel, plan: LoraPlan, folder: Path
) -> tuple[Trees, Trees, list[Example]]:
    """Both parts as trees of tokens, on disk, and the development pairs as they are answered."""
    asked = [
        pair
        for chunk in given.read("development", plan.tasks, plan.development_rows, plan.seed)
        for pair in chunk
    ]
    train = given.read("train", plan.tasks, plan.rows, plan.seed)
    parts = {"train": _with_progress(train, given.count("train")), "development": iter([asked])}
    with_end = given.prompts.style != "compact"
    for part, chunks in parts.items():
        path = folder / f"{part}.arrow"
        if not path.is_file():
            write_trees(
                chunks, base.encoder, path, longest=plan.longest, with_end=with_end, grouped=base.method.tree
            )
    return Trees.open(folder / "train.arrow"), Trees.open(folder / "development.arrow"), asked


def _with_progress(chunks: Iterable[list[Example]], rows: int) -> Iterator[list[Example]]:
    pace = Pace(rows, "rows read", log.info)
    for chunk in chunks:
        yield chunk
        if chunk:
            pace.step(chunk[-1].row + 1 - pace.done)


def _measured(
    trainer: Any, encoder: PromptEncoder, prompts: Prompts, asked: list[Example], epoch: int, seconds: float
) -> EpochResult:
    """Loss and greedy answers of the development pairs; every process computes its share in step."""
    # The random state belongs to the training: measuring must not move it.
    state = torch.get_rng_state()
    loss = float(trainer.evaluate()["eval_loss"])
    trainer.model.eval()
    # Writing has another shape with every token; compiled layers would be compiled for each.
    with torch.compiler.set_stance("force_eager"):
        hits = answer_pairs(trainer.model, encoder, prompts, asked)
    trainer.model.train()
    torch.set_rng_state(state)
    whole = TaskScore.of(hits)
    n = whole.n
    tasks = {
        task: (score.n, score.exact / score.n, score.partial / score.n)
        for task, score in by_task(hits).items()
    }
    shares = (whole.exact / n, whole.partial / n, loss, whole.malformed / n)
    return EpochResult(epoch, n, *shares, tasks, round(seconds, 2))


def _keep(trainer: Any, tokenizer: Any, prompts: Prompts, out: Path, *, full: bool) -> None:
    """Save the weights as they are now. Written beside and moved: a kill leaves no half file under a whole name,
    and PEFT's own README, which would look like a finished run, stays behind."""
    state = None
    if trainer.is_fsdp_enabled:
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        # All processes gather the shards together, of an adapter only its own: the base would fill the memory.
        gathered = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=not full)
        state = get_model_state_dict(trainer.model, options=gathered)
    if not trainer.accelerator.is_main_process:
        return
    folder = out / "checkpoints" / "kept"
    shutil.rmtree(folder, ignore_errors=True)
    network = trainer.accelerator.unwrap_model(trainer.model)
    # Training turns the cache off, which would slow down whoever loads the model.
    network.config.use_cache = True
    network.save_pretrained(str(folder), state_dict=state)
    network.config.use_cache = False
    if full:
        tokenizer.save_pretrained(str(folder))
    prompts.save(folder)
    for path in sorted(folder.iterdir()):
        if path.name != "README.md":
            path.replace(out / path.name)
