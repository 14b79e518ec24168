"""Publishing into a copy of the package: every part with its card, and nothing of the run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import save_rules, shipped_rules
from training import publish as publishing
from training.commands import train
from training.fit import Material
from training.runs import log
from training.split import Split

PARTS = ("encoder", "model", "adapter", "adapter-with-candidates")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the package's weights, with an older adapter in it."""
    folder = tmp_path / "package"
    targets = {name: folder / name for name in PARTS}
    shipped = publishing._PARTS.values()
    monkeypatch.setattr(publishing, "_PARTS", {targets[name]: (name, what) for name, what in shipped})
    monkeypatch.setattr(publishing, "EMBEDDED", targets["encoder"])
    monkeypatch.setattr(publishing, "EMBEDDED_ADAPTER", targets["adapter"])
    monkeypatch.setattr(publishing, "EMBEDDED_WITH_CANDIDATES", targets["adapter-with-candidates"])
    monkeypatch.setattr(publishing, "WEIGHTS", folder)
    monkeypatch.setattr(publishing, "save_rules", partial(save_rules, path=folder / "crosswalk.json"))
    targets["adapter"].mkdir(parents=True)
    (targets["adapter"] / "old.safetensors").write_bytes(b"old")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder as `train all` leaves it, with files that belong to the run alone."""
    out = tmp_path / "out"
    for name in PARTS:
        (out / name / "checkpoints").mkdir(parents=True)
        (out / name / "model.safetensors").write_bytes(name.encode())
        (out / name / "run.json").write_text("{}")
        (out / name / "epochs.png").write_bytes(b"png")
        (out / name / "README.md").write_text(
            f"---\nx\n---\n\n# {out / 'model'}\n\nEpochs of {name} on {out / 'model'}\n"
        )
    for name in ("recogniser.safetensors", "decision.json"):
        (out / name).write_text("{}")
    plan = {
        "plan": {"seed": 13},
        "files": {"alphabet.txt": "0123456789abcdef0123"},
        "rows": {"catalogue": 1234},
    }
    (out / "plan.json").write_text(json.dumps(plan))
    return out


def test_every_part_is_published_with_its_card(weights: Path, out: Path) -> None:
    catalogue = Catalogue.builtin()
    publishing.publish(Material(catalogue, Split((), ()), {}), out)
    for name in PARTS:
        assert (weights / name / "model.safetensors").read_bytes() == name.encode()
        card = (weights / name / "README.md").read_text(encoding="utf-8")
        assert f"# onkokode-embedded: {name}\n" in card and "catalogue 1,234" in card
        assert "| `alphabet.txt` | `0123456789abcdef` |" in card and '"seed": 13' in card
        # What the trainer wrote of an adapter stays in its card, without the folder of the run.
        assert (f"Epochs of {name} on agent/weights/model" in card) == name.startswith("adapter")
        assert str(out) not in card
        assert not (weights / name / "run.json").exists() and not (weights / name / "epochs.png").exists()
    assert not (weights / "adapter" / "old.safetensors").exists()
    assert (weights / "decision.json").is_file() and (weights / "recogniser.safetensors").is_file()
    assert sorted(map(repr, shipped_rules(weights / "crosswalk.json"))) == sorted(map(repr, catalogue.rules))
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in weights.rglob("*") if path.is_file())


def test_the_adapter_with_candidates_is_one_of_the_packages_parts() -> None:
    assert {name for name, _ in publishing._PARTS.values()} == set(PARTS)
    assert publishing._PARTS[publishing.EMBEDDED_WITH_CANDIDATES][0] == "adapter-with-candidates"


def test_the_command_line_prints_what_a_training_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.recipe.material", lambda catalogues: None)

    class Fitted:
        def save(self, path: Path) -> None:
            log.info("60 % of the axes: 0.97")

    monkeypatch.setattr("training.fit.fit", lambda given, resources, corpus, texts: Fitted())
    monkeypatch.setattr("training.fit.trained_context", lambda given, out: None)
    for _ in range(2):  # each command once, also where one process runs several
        done = CliRunner().invoke(
            train, ["fit", "--catalogues", str(tmp_path), "--out", str(tmp_path / "out")]
        )
        assert done.output == "60 % of the axes: 0.97\n" and done.exit_code == 0
