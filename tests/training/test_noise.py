"""Clinical noise changes how a diagnosis looks and never what it says."""

from __future__ import annotations

import random
import re

import pytest

from training.texts.noise import perturb

TEXTS = (
    "Plattenepithelkarzinom des Larynx links, pT2 pN1a (3/14) L0 V0 R0 M0 G2",
    "Melanoma in situ am Rücken, UICC IIIb",
    "Verdacht auf Mammakarzinom rechts oben außen, ER 90%, kein Nachweis von Metastasen",
    "Ca",
    "ä",
    " , . ",
    "Lokalisation: Zervix\nHistologie: nicht verhornendes Plattenepithelkarzinom",
    "Astrozytom WHO Grad II",
)
KEPT = re.compile(r"[^\s,;]*\d[^\s,;]*|\bI{2,3}b?\b|\bin situ\b|\bkein\b|\bnicht\b", re.IGNORECASE)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_label_bearing_parts_stay(text: str, strength: float) -> None:
    rng = random.Random(11)
    for _ in range(400):
        noisy = perturb(text, rng, strength)
        assert noisy.strip() or not text.strip()
        assert sorted(part.lower().strip(",.;") for part in KEPT.findall(noisy)) == sorted(
            part.lower().strip(",.;") for part in KEPT.findall(text)
        ), noisy


def test_roman_grades_and_formulas_keep_their_case() -> None:
    rng = random.Random(4)
    noisy = [perturb("Astrozytom WHO Grad II, pT2 pNx", rng, 2.0) for _ in range(500)]
    assert all("II" in text and "pT2" in text and "pNx" in text for text in noisy)


def test_same_generator_same_noise() -> None:
    first, second = random.Random(9), random.Random(9)
    assert [perturb(text, first) for text in TEXTS] == [perturb(text, second) for text in TEXTS]


def test_strength_zero_and_empty_text_are_left_alone() -> None:
    rng = random.Random(1)
    assert perturb(TEXTS[0], rng, 0.0) == TEXTS[0]
    assert perturb("", rng) == ""


def test_typos_spare_the_first_two_letters() -> None:
    rng = random.Random(3)
    for _ in range(500):
        assert perturb("Glioblastom", rng, 1.0)[:2].lower() == "gl"


def test_noise_changes_many_texts_in_many_ways() -> None:
    rng = random.Random(8)
    made = {perturb(TEXTS[0], rng) for _ in range(300)}
    assert len(made) > 60


def test_parts_change_places_only_where_nothing_governs_them() -> None:
    rng = random.Random(5)
    made = {perturb("Aufnahme bei malignem Melanom, Rücken, ED 2020", rng, 3.0) for _ in range(300)}
    assert all(text.lower().startswith("au") for text in made)
