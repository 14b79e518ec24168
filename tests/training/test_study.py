"""The studies' arms at a tiny size: what each learns from."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.catalogue.catalogue import Catalogue
from index.records import AXES, CatalogueLine
from training.corpus import (
    Row,
    catalogue_rows,
    composed_rows,
    tumour_lines,
)
from training.fit import Material
from training.studies.arms import (
    ARM_FILE,
    ARMS,
    Budget,
    StudyTexts,
    carried_topographies,
    train_arms,
)

_, SITE, _ = AXES
TINY = Budget(encoder_steps=6, model_steps=4, batch=32, layers=1, width=32, inner=32)


class NoBans:
    held_out: tuple[CatalogueLine, ...] = ()

    def bans(self, text: str) -> bool:
        return False


@pytest.fixture(scope="module")
def given() -> Material:
    catalogue = Catalogue.builtin()
    lines = list(catalogue.searchable_lines[::41])
    # The lexicon stands in for ICD-O-3, whose files a user's machine may lack.
    lines = [replace(line, edition="icdo3-2019") if line.system is SITE else line for line in lines]
    return Material(replace(catalogue, searchable_lines=tuple(lines)), NoBans(), {})  # type: ignore[arg-type]


def _write(rows: Iterable[Row], path: Path) -> None:
    columns = ("raw", "core", *(axis.value for axis in AXES), "tumour", "origin", "line")
    made = [(r.raw, r.core, *r.codes, r.tumour, r.origin, r.line) for r in rows]
    pq.write_table(pa.table(dict(zip(columns, map(list, zip(*made, strict=True)), strict=True))), path)


@pytest.fixture(scope="module")
def corpus(given: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    lines = tumour_lines(given.catalogue, given.split)
    _write(catalogue_rows(lines, 1, given.split, 13), folder / "catalogue.parquet")
    for n in (1, 2):
        rows = composed_rows(given.catalogue.rules, 200, given.split, n, False)
        _write(rows, folder / f"composed_{n}.parquet")
    return folder


@pytest.fixture(scope="module")
def arms(given: Material, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("arms")
    train_arms(given, corpus, out, seeds=(13,), budget=TINY)
    return out


def _rows(given: Material, corpus: Path, name: str) -> tuple[list[Row], list[Row]]:
    arm = next(arm for arm in ARMS if arm.name == name)
    return StudyTexts.read(given, corpus).of_arm(arm)


def test_each_arm_learns_from_its_own_texts(given: Material, corpus: Path) -> None:
    plain, none = _rows(given, corpus, "catalogue")
    assert plain and not none and len({row.line for row in plain}) == len(plain)
    noisy, _ = _rows(given, corpus, "noise")
    assert len(noisy) > 1.5 * len(plain)
    no_lines, composed = _rows(given, corpus, "composed")
    assert composed and not no_lines and {row.origin for row in composed} == {"composed"}
    assert all(map(len, _rows(given, corpus, "both")))


def test_only_terms_of_a_unique_topography_are_carried_over(given: Material, corpus: Path) -> None:
    carried = carried_topographies(given.catalogue)
    assert carried["C25.0"] == "C25.0" and "D05.1" not in carried
    own, _ = _rows(given, corpus, "icd-o")
    more, _ = _rows(given, corpus, "carried")
    assert len(more) > len(own) > 0
    for row in more:
        assert row.codes[0] == "" or row.codes[1] == carried[row.codes[0]]


def test_a_second_run_trains_nothing(
    given: Material, corpus: Path, arms: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = json.loads((arms / "both-13" / ARM_FILE).read_text(encoding="utf-8"))
    assert record["seed"] == 13 and record["budget"]["model_steps"] == 4
    caplog.set_level(logging.INFO, "training")
    train_arms(given, corpus, arms, seeds=(13,), budget=TINY)
    assert not caplog.messages
