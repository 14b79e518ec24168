"""Texts to vectors: the routes of the embedded encoder, foreign models by path, and what is refused."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from index.errors import ModelError, OnkokodeError
from index.records import AXES, CodeSystem
from index.search.encoder import EMBEDDED, Encoder, Prototypes, save_prototypes
from tests.index.tiny_encoder import save_static_model

ICD10, TOPOGRAPHY, MORPHOLOGY, OPS = CodeSystem
TEXTS = ["Mammakarzinom", "Fibroadenom der Mamma", "Bronchialkarzinom"]


@lru_cache
def embedded() -> Encoder:
    return Encoder.load(device="cpu")


def cosine(texts: list[str], system: CodeSystem) -> float:
    one, other = embedded().encode(texts, system)
    return float(one @ other)


@pytest.mark.parametrize("system", list(CodeSystem))
def test_vectors_have_unit_length_and_the_width_that_is_told(system: CodeSystem) -> None:
    vectors = embedded().encode(TEXTS, system)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, embedded().dimension(system))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_each_axis_has_its_own_neighbourhood() -> None:
    pair = ["Mammakarzinom", "Fibroadenom der Mamma"]
    assert cosine(pair, TOPOGRAPHY) > cosine(pair, ICD10) + 0.1
    assert cosine(pair, TOPOGRAPHY) > cosine(pair, MORPHOLOGY) + 0.1
    same_tissue = ["Plattenepithelkarzinom der Zunge", "Plattenepithelkarzinom der Lunge"]
    assert cosine(same_tissue, MORPHOLOGY) > cosine(same_tissue, TOPOGRAPHY) + 0.1


def test_procedures_share_the_space_of_the_diagnoses() -> None:
    np.testing.assert_array_equal(embedded().encode(TEXTS, OPS), embedded().encode(TEXTS, ICD10))


def test_a_vector_does_not_depend_on_its_batch() -> None:
    together = embedded().encode([*TEXTS, "Lungenkrebs " * 200], ICD10)[: len(TEXTS)]
    alone = np.concatenate([embedded().encode([text], ICD10) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "😀", "qxqxqx", "\ud800", "Mamma\udcff-Ca", "東京", "a" * 20_000]
)
@pytest.mark.parametrize("system", AXES)
def test_no_text_gives_a_vector_without_meaning(text: str, system: CodeSystem) -> None:
    vector = embedded().encode([text], system)[0]
    length = float(np.linalg.norm(vector))
    assert np.isfinite(vector).all()
    assert length == 0 or length == pytest.approx(1, abs=1e-5)


def test_an_empty_text_is_the_zero_vector_also_beside_others() -> None:
    vectors = embedded().encode(["", "Mammakarzinom"], ICD10)
    assert not vectors[0].any() and vectors[1].any()


def test_an_empty_batch_keeps_the_width() -> None:
    for axis in AXES:
        assert embedded().encode([], axis).shape == (0, embedded().dimension(axis))


@pytest.mark.parametrize("axis", AXES)
def test_prototypes_stand_for_codes(axis: CodeSystem) -> None:
    prototypes = embedded().prototypes(axis)
    assert prototypes is not None
    assert prototypes.vectors.shape == (len(prototypes.codes), embedded().dimension(axis))
    assert prototypes.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(prototypes.vectors, axis=1), 1, atol=1e-4)


def test_prototypes_lie_where_their_codes_are_named() -> None:
    prototypes = embedded().prototypes(ICD10)
    assert prototypes is not None
    near = prototypes.vectors @ embedded().encode(["Prostatakarzinom"], ICD10)[0]
    assert prototypes.codes[int(np.argmax(near))] == "C61"


def test_prototypes_and_settings_come_back_from_disk(tmp_path: Path) -> None:
    folder = save_static_model(tmp_path / "model")
    kept = Prototypes(("C50.9", "C50.9", "C64"), np.eye(8, dtype=np.float32)[:3])
    save_prototypes(folder, {ICD10: kept}, {"scale": 7.5, "fingerprint": "f00"})
    encoder = Encoder.load(folder, device="cpu")
    found = encoder.prototypes(ICD10)
    assert found is not None and found.codes == kept.codes
    np.testing.assert_array_equal(found.vectors, kept.vectors)
    assert (encoder.scale, encoder.fingerprint) == (7.5, "f00")
    assert encoder.prototypes(TOPOGRAPHY) is None


def test_a_foreign_model_has_one_space_for_all_axes(tmp_path: Path) -> None:
    encoder = Encoder.load(save_static_model(tmp_path / "foreign"), device="cpu")
    spaces = [encoder.encode(["Brust Krebs", "Niere"], axis) for axis in AXES]
    assert spaces[0].shape == (2, 8)
    for space in spaces[1:]:
        np.testing.assert_array_equal(space, spaces[0])
    np.testing.assert_allclose(np.linalg.norm(spaces[0], axis=1), 1, atol=1e-5)
    assert encoder.prototypes(ICD10) is None
    assert encoder.fingerprint != embedded().fingerprint
    assert encoder.encode([], ICD10).shape == (0, 8)


def test_a_text_of_unknown_words_is_the_zero_vector(tmp_path: Path) -> None:
    encoder = Encoder.load(save_static_model(tmp_path / "foreign"), device="cpu")
    vectors = encoder.encode(["Quark Xylophon", "Brust", ""], ICD10)
    assert [bool(vector.any()) for vector in vectors] == [False, True, False]
    assert np.isfinite(vectors).all()


def test_a_folder_with_pickled_weights_only_is_refused(tmp_path: Path) -> None:
    folder = save_static_model(tmp_path / "pickled")
    for weights in folder.rglob("*.safetensors"):
        weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(ModelError, match="pickled"):
        Encoder.load(folder)


def test_a_pickled_module_beside_a_sound_one_is_refused(tmp_path: Path) -> None:
    folder = save_static_model(tmp_path / "mixed")
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"2_Dense.*pickled"):
        Encoder.load(folder)


def test_a_path_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing-model"):
        Encoder.load(tmp_path / "missing-model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty"):
        Encoder.load(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ModelError, match=r"notes\.txt"):
        Encoder.load(tmp_path / "notes.txt")


def test_a_truncated_weights_file_is_a_clear_error(tmp_path: Path) -> None:
    folder = shutil.copytree(EMBEDDED, tmp_path / "cut")
    weights = next(folder.rglob("*_0_StaticEmbedding/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(OnkokodeError, match="cut"):
        Encoder.load(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"scale": "wide"}'])
def test_damaged_settings_are_a_clear_error(tmp_path: Path, content: str) -> None:
    folder = save_static_model(tmp_path / "settings")
    (folder / "onkokode.json").write_text(content)
    with pytest.raises(OnkokodeError, match="settings"):
        Encoder.load(folder)
