"""What is written about trained adapters: results per epoch, model card, curve, and runs side by side.

results = read_epochs(Path("runs/8b"), EpochResult)
table = compare_runs([Path("runs/rank8"), Path("runs/full")], Path("runs/compared"), task="icd10gm")
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle
from pathlib import Path
from string import Template
from typing import Any

from index.errors import ModelError
from index.io.markdown import markdown_table
from training.runs import RUN_FILE, read_epochs

_TERMS = (
    "It is under the {licence}, and so is what is made from it, this folder too: whoever passes it on passes the "
    "terms on. "
)
_CARD = Path(__file__).parents[1] / "cards" / "adapter.md"


@dataclass(frozen=True)
class EpochResult:
    """How the development pairs were answered: shares of exact, partial and malformed answers, and the mean loss.

    `tasks` holds per task n and the shares of exact and partial answers. `seconds` is the epoch's training time
    without measuring; after a kill only what was trained since.
    """

    epoch: int
    n: int
    exact: float
    partial: float
    loss: float
    malformed: float = 0.0
    tasks: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    seconds: float = 0.0

    def of_task(self, task: str | None, folder: Path) -> EpochResult:
        """With n and shares of one task alone (None: of all). Raises `ModelError` naming the folder."""
        if task is None:
            return self
        if task not in self.tasks:
            raise ModelError(f"{folder}: has no results for {task}; it has {', '.join(self.tasks) or 'none'}")
        n, exact, partial = self.tasks[task]
        return replace(self, n=n, exact=exact, partial=partial)

    def line(self) -> str:
        """One line for the terminal."""
        parts = "; ".join(
            f"{task} {exact:.1%} / {partial:.1%} of {n:,}" for task, (n, exact, partial) in self.tasks.items()
        )
        return (
            f"epoch {self.epoch}: exact {self.exact:.1%}, partial {self.partial:.1%}, malformed "
            f"{self.malformed:.1%}, loss {self.loss:.3f}" + (f" ({parts})" if len(self.tasks) > 1 else "")
        )


def best_epoch(results: Sequence[EpochResult]) -> EpochResult:
    """The epoch that is kept: most exact answers, then the lower loss, then the earlier one."""
    return max(results, key=lambda result: (result.exact, -result.loss, -result.epoch))


def write_card(
    out: Path, model: str, data: str, plan: Any, results: Sequence[EpochResult], licence: str | None = None
) -> None:
    """The model card of an adapter, or of a whole model where the rank is 0. `licence` is the base model's: None for
    our own, empty where it is not known."""
    best = best_epoch([result for result in results if result.epoch])
    tasks = sorted(best.tasks)
    head = ("epoch", "exact", "partial", "malformed", "loss", *tasks, "")
    rows = []
    for result in results:
        shares = [f"{share:.1%}" for share in (result.exact, result.partial, result.malformed)]
        by_task = [result.tasks.get(task, (0, 0.0, 0.0)) for task in tasks]
        cells = [f"{exact:.1%} / {partial:.1%} (n = {n:,})" for n, exact, partial in by_task]
        kept = "kept" if result is best else ""
        rows.append((str(result.epoch), *shares, f"{result.loss:.3f}", *cells, kept))
    adapter = plan.rank > 0
    card = Template(_CARD.read_text(encoding="utf-8")).substitute(
        model=model,
        data=data,
        license="apache-2.0" if licence is None else "other",
        terms="" if licence is None else _TERMS.format(licence=licence or "terms of its maker"),
        table=markdown_table(head, rows),
        n=best.n,
        epoch=best.epoch,
        plan=json.dumps(asdict(plan), indent=2),
        library="peft" if adapter else "transformers",
        kind="LoRA adapter" if adapter else "Fully fine-tuned model",
        use=(
            f"`onkokode code --model {model} --adapter THIS_FOLDER`. The files are PEFT's, as vLLM loads them with "
            "`--lora-modules`."
            if adapter
            else "`onkokode code --model THIS_FOLDER`. The folder holds a whole model, with its tokenizer."
        ),
    )
    (out / "README.md").write_text(card, encoding="utf-8")


def compare_runs(folders: Sequence[Path], out: Path, task: str | None = None) -> str:
    """Several runs' epochs side by side: `compare.md`, whose text is returned, and `compare.png`.

    Raises:
        ModelError: a folder holds no run, or a run has no results for the task.
    """
    runs = {name: _run(folder, task) for name, folder in zip(_names(folders), folders, strict=True)}
    sizes = {results[0].n for _, results in runs.values()}
    epochs = sorted({result.epoch for _, results in runs.values() for result in results})
    head = ("run", "rank", "trainable parameters", "learning rate", "pairs", "s per epoch", *map(str, epochs))
    rows = []
    for name, (about, results) in runs.items():
        plan = about["plan"]
        seconds = [one.seconds for one in results if one.epoch]
        by_epoch = {one.epoch: f"{one.exact:.1%} / {one.partial:.1%}" for one in results}
        rows.append(
            (name, str(plan["rank"]) if plan["rank"] else "0 (full)", f"{about.get('trainable_parameters', 0):,}",
             f"{plan['learning_rate']:g}", f"{about.get('train_texts', 0):,}",
             f"{sum(seconds) / len(seconds):,.0f}" if seconds else "", *(by_epoch.get(one, "") for one in epochs))
        )  # fmt: skip
    parts = [
        f"# Runs side by side: {task or 'all tasks'}",
        f"Greedy answers to development pairs (n = {', '.join(f'{n:,}' for n in sorted(sizes))}), exact / partial in "
        "%; epoch 0 is before training. Each run is one seed.",
        *(["**The runs were measured on different pairs; their figures must not be compared.**"]
          if len(sizes) > 1 else []),
        markdown_table(head, rows),
    ]  # fmt: skip
    text = "\n\n".join(parts) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / "compare.md").write_text(text, encoding="utf-8")
    plot_runs({name: results for name, (_, results) in runs.items()}, out / "compare.png", task)
    return text


def _run(folder: Path, task: str | None) -> tuple[dict[str, Any], list[EpochResult]]:
    results = read_epochs(folder, EpochResult)
    if not results or not (folder / RUN_FILE).is_file():
        raise ModelError(f"{folder}: holds no run with results; train one with `onkokode train lora`")
    about = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    return about, [result.of_task(task, folder) for result in results]


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' last names, or the whole paths where those would be the same."""
    short = [folder.resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


def plot_runs(runs: Mapping[str, Sequence[EpochResult]], path: Path, task: str | None = None) -> None:
    """The curves of exact and partial answers over the epochs, as PNG, beside each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    for panel, what in zip(panels, ("exact", "partial"), strict=True):
        for (name, results), marker in zip(runs.items(), cycle("osD^vP*X")):
            epochs, shares = [one.epoch for one in results], [100 * getattr(one, what) for one in results]
            panel.plot(epochs, shares, marker=marker, label=name)
        panel.set(title=f"{what}, {task or 'all tasks'}", xlabel="epoch (0: before training)", ylabel="%")
        panel.set_xticks(sorted({one.epoch for results in runs.values() for one in results}))
        panel.grid(alpha=0.3)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(4, len(runs)), fontsize=9)
    figure.savefig(path, dpi=150)
