"""Studies of the training texts: arms that differ in one thing, trained with the same budget, several seeds.

    train_arms(material, Path("runs/models/corpus"), Path("runs/study"), seeds=(13, 14, 15))

Every arm becomes a folder `<arm>-<seed>` with an encoder, and for `TEXTS` a small language model; `onkokode eval
run --encoder … --model …` measures it. An arm that is there already is skipped, so a stopped study goes on.

`TEXTS` asks whether composed clinical texts help: catalogue lines as they stand, the same with clinical
noise, composed texts alone, and noise with composed texts. `TOPOGRAPHY` asks whether the topography axis
catches up with ICD-10: the terms of ICD-O-3 alone, with the alphabet's terms that the crosswalk carries over,
and with composed texts.
"""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from index.catalogue.catalogue import Catalogue
from index.records import AXES, CatalogueLine, CodeSystem
from training.corpus import Row, is_tumour_diagnosis, read_rows, tumour_lines
from training.fit import Material
from training.recipe import alternating, paced, question_ids
from training.runs import log, write_json

if TYPE_CHECKING:
    from training.compact.model import Batch

ICD, TOPOGRAPHY_AXIS = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY
ARM_FILE = "arm.json"
_TOKENIZER_SAMPLE = 60_000
_BANK = 13_000


@dataclass(frozen=True)
class Arm:
    """What an arm learns from. `lines`: `catalogue` (the ICD-10 lines), `icd-o` (the terms of ICD-O-3 alone),
    `carried` (those and the alphabet's, by the crosswalk) or none."""

    study: str
    name: str
    axis: CodeSystem
    lines: str | None
    noise: bool
    composed: bool


ARMS = (
    Arm("texts", "catalogue", ICD, "catalogue", noise=False, composed=False),
    Arm("texts", "noise", ICD, "catalogue", noise=True, composed=False),
    Arm("texts", "composed", ICD, None, noise=False, composed=True),
    Arm("texts", "both", ICD, "catalogue", noise=True, composed=True),
    Arm("topography", "icd-o", TOPOGRAPHY_AXIS, "icd-o", noise=True, composed=False),
    Arm("topography", "carried", TOPOGRAPHY_AXIS, "carried", noise=True, composed=False),
    Arm("topography", "carried-composed", TOPOGRAPHY_AXIS, "carried", noise=True, composed=True),
)


@dataclass(frozen=True)
class Budget:
    """The same for every arm: steps of encoder and language model with `batch` texts each. The language model
    is small (2 layers x 128), so that twelve of them can be trained on two cores in half an hour."""

    encoder_steps: int = 400
    model_steps: int = 400
    batch: int = 256
    layers: int = 2
    width: int = 128
    inner: int = 320


def train_arms(
    given: Material,
    corpus: Path,
    out: Path,
    *,
    studies: Sequence[str] = ("texts", "topography"),
    seeds: Sequence[int] = (13, 14, 15),
    budget: Budget = Budget(),
) -> None:
    """Train every arm of the studies that is not there yet. `corpus` is the folder that `train all` wrote."""
    texts = StudyTexts.read(given, corpus)
    for seed in seeds:
        for arm in (arm for arm in ARMS if arm.study in studies):
            folder = out / f"{arm.name}-{seed}"
            if (folder / ARM_FILE).is_file():
                continue
            log.info(f"{arm.study}: {folder.name}")
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            _train_arm(arm, texts, part, seed, budget)
            record = {**asdict(arm), "seed": seed, "budget": asdict(budget)}
            write_json(part / ARM_FILE, record)
            part.rename(folder)


@dataclass(frozen=True)
class StudyTexts:
    """The corpus by origin: `plain` holds each catalogue line once, `noisy` also its copies."""

    catalogue: Catalogue
    lines: list[CatalogueLine]
    plain: list[Row]
    noisy: list[Row]
    composed: list[Row]

    @classmethod
    def read(cls, given: Material, corpus: Path) -> StudyTexts:
        noisy = read_rows(corpus / "catalogue.parquet")
        # The copies of a line follow the line itself.
        plain = [row for i, row in enumerate(noisy) if not i or noisy[i - 1].line != row.line]
        composed = [row for n in (1, 2) for row in read_rows(corpus / f"composed_{n}.parquet")]
        return cls(given.catalogue, tumour_lines(given.catalogue, given.split), plain, noisy, composed)

    def of_arm(self, arm: Arm) -> tuple[list[Row], list[Row]]:
        """The rows of an arm that come from lines, and its composed ones, with a code on the arm's axis."""
        place = AXES.index(arm.axis)
        known = set(self.catalogue.codable_codes(arm.axis))
        near: list[Row] = []
        if arm.lines is not None:
            carried = carried_topographies(self.catalogue) if arm.lines == "carried" else {}
            for row in self.noisy if arm.noise else self.plain:
                line = self.lines[row.line]
                if line.system is not arm.axis and line.code in carried and is_tumour_diagnosis(line):
                    codes = (row.codes[0], carried[line.code], row.codes[2])
                    near.append(Row(row.raw, row.core, codes, row.tumour, row.origin, row.line))
                elif line.system is arm.axis and (arm.lines != "icd-o" or is_icdo_term(line)):
                    near.append(row)
        far = self.composed if arm.composed else []
        return ([r for r in near if r.codes[place] in known], [r for r in far if r.codes[place] in known])


def is_icdo_term(line: CatalogueLine) -> bool:
    """Whether a line stands in ICD-O-3 itself."""
    return line.system is TOPOGRAPHY_AXIS and line.edition.startswith("icdo3-")


def carried_topographies(catalogue: Catalogue) -> dict[str, str]:
    """ICD-10 codes that the crosswalk reaches from one topography only, with that topography: an alphabet
    term of such a code is a term of the topography too."""
    sources: dict[str, set[str]] = defaultdict(set)
    for rule in catalogue.rules:
        sources[rule.icd10].add(rule.topography.replace("\\", ""))
    known = set(catalogue.codable_codes(TOPOGRAPHY_AXIS))
    return {
        icd10: next(iter(topographies))
        for icd10, topographies in sources.items()
        if len(topographies) == 1 and topographies <= known
    }


def _train_arm(arm: Arm, texts: StudyTexts, out: Path, seed: int, budget: Budget) -> None:
    from training.compact.encoder import Settings, save_encoder, train_axis, train_tokenizer

    place = AXES.index(arm.axis)
    near, far = texts.of_arm(arm)
    rng = random.Random(seed)
    sample = rng.sample(far, k=min(len(far), _TOKENIZER_SAMPLE))
    tokenizer = train_tokenizer([row.core for row in near] + [row.core for row in sample])
    # What a text is compared with in training: the lines, or as many composed texts where there are none.
    first_of_line = list({row.line: row for row in reversed(near)}.values())
    bank_row = {row.line: n for n, row in enumerate(first_of_line)}
    compared = first_of_line or rng.sample(far, k=min(len(far), _BANK))
    bank = [(row.core, row.codes[place]) for row in compared]

    queries = alternating(near, far, bank_row, place)
    codes = texts.catalogue.codable_codes(arm.axis)
    settings = Settings(steps=budget.encoder_steps, batch=budget.batch, seed=seed)
    report = paced(f"encoder, {len(near):,} + {len(far):,} texts,", settings.steps)
    table = train_axis(bank, queries, codes, tokenizer, settings, report)
    save_encoder(out / "encoder", tokenizer, {arm.axis: table}, settings, f"{arm.name}-{seed}")
    if arm.study != "texts":
        return

    from training.compact.batches import batches
    from training.compact.model import Shape, code_tokenizer, new_model, save_model, train

    fast = code_tokenizer(tokenizer, {axis: texts.catalogue.codable_codes(axis) for axis in AXES})
    shape = Shape(layers=budget.layers, width=budget.width, inner=budget.inner)
    model = new_model(fast, {arm.axis: table}, shape, seed)
    pools = {name: rows for name, rows in (("catalogue", near), ("composed", far)) if rows}
    stream = batches(pools, dict.fromkeys(pools, 1 / len(pools)), fast, budget.batch, seed)
    train(
        model,
        question_ids(fast)[:1],
        _first_question(stream),
        budget.model_steps,
        report=paced(f"model, {model.num_parameters() / 1e6:.1f} M parameters,", budget.model_steps),
    )
    save_model(model, fast, out / "model")


def _first_question(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Batches that ask for ICD-10 alone."""
    from training.compact.model import IGNORED, Batch

    for batch in batches:
        labels = batch.labels[:, :1]
        if bool((labels != IGNORED).any()):
            yield Batch(batch.ids, batch.lengths, labels)
