"""Copies trained models into the package, with model cards.

    publish(Path("runs/models"))

The crosswalk goes along in a form of its own (codes only), so that a fresh machine can check the axes
against each other.
"""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from string import Template
from typing import Any

from agent.resources import EMBEDDED_ADAPTER, EMBEDDED_MODEL, EMBEDDED_WITH_CANDIDATES, WEIGHTS
from index.catalogue.crosswalk import save_rules
from index.search.encoder import EMBEDDED
from training.fit import Material
from training.runs import log

_CARD = Path(__file__).parent / "cards" / "model.md"
_KEPT = (".json", ".safetensors", ".md")
_OF_THE_RUN = ("run.json", "epochs.json")
# Where each part goes, its folder under `out`, and what its card says of it.
_PARTS = {
    EMBEDDED: ("encoder", "Static encoder, one table per axis, with code prototypes (sentence-transformers)"),
    EMBEDDED_MODEL: (
        "model",
        "Compact causal language model from scratch (Qwen3 architecture), a token per code",
    ),
    EMBEDDED_ADAPTER: ("adapter", "LoRA adapter of the compact model for clinical wording (PEFT)"),
    EMBEDDED_WITH_CANDIDATES: (
        "adapter-with-candidates",
        "LoRA adapter of the compact model, trained with retrieved candidates in its prompts, for the ablation",
    ),
}


def publish(given: Material, out: Path) -> None:
    """Replace the package's weights by those under `out`."""
    for target, (name, _) in _PARTS.items():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(out / name, target, ignore=_other_files)
    for name in ("recogniser.safetensors", "decision.json"):
        shutil.copy(out / name, WEIGHTS / name)
    save_rules(given.catalogue.rules)
    plan = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    _cards(plan, out)
    for path in [p for folder in (EMBEDDED.parent, WEIGHTS) for p in folder.rglob("*") if p.is_file()]:
        path.chmod(0o644)  # safetensors writes files that only their owner can read
    size = sum(
        path.stat().st_size for folder in (EMBEDDED, WEIGHTS) for path in folder.rglob("*") if path.is_file()
    )
    log.info(f"published {size / 1e6:.1f} MB")


def _cards(plan: dict[str, Any], out: Path) -> None:
    card = Template(_CARD.read_text(encoding="utf-8"))
    files = "\n".join(f"| `{name}` | `{sha256[:16]}` |" for name, sha256 in sorted(plan["files"].items()))
    rows = ", ".join(f"{name} {count:,}" for name, count in plan["rows"].items())
    settings = json.dumps(plan["plan"], indent=2)
    for folder, (name, what) in _PARTS.items():
        text = card.substitute(
            name=name, what=what, files=files, rows=rows, settings=settings, date=date.today().isoformat()
        )
        if folder in (EMBEDDED_ADAPTER, EMBEDDED_WITH_CANDIDATES):
            # What the trainer wrote: the answers before training and after each epoch.
            epochs = (folder / "README.md").read_text(encoding="utf-8")
            epochs = epochs.replace(str(out / "model"), "agent/weights/model")
            text += "\n## While it was trained\n" + epochs.partition("\n\n")[2].partition("\n\n")[2]
        (folder / "README.md").write_text(text, encoding="utf-8")


def _other_files(folder: str, names: list[str]) -> list[str]:
    return [
        name
        for name in names
        if (Path(folder) / name).is_file() and (Path(name).suffix not in _KEPT or name in _OF_THE_RUN)
    ]
