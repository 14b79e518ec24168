"""Candidates for a text: exact search against brute force, the sum over lines by hand, term hits, letters."""

from __future__ import annotations

import random
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueFile, NotACatalogue, parse_all
from index.catalogue.store import walk
from index.records import AXES, CatalogueLine, CodeSystem
from index.search.encoder import Encoder, Prototypes
from index.search.index import Index, Space
from index.search.retriever import Retriever, search
from tests.index.tiny_encoder import TableEncoder, catalogue_of

ICD10, TOPOGRAPHY, MORPHOLOGY, OPS = CodeSystem
LINES = (("C50.9", "Brustkrebs"), ("C64", "Nierenkrebs"), ("C64", "Nierentumor"), ("C61", "Prostata Ca"))
TABLE = {
    "Brustkrebs": (1.0, 0.0, 0.0),
    "Nierenkrebs": (0.0, 1.0, 0.0),
    "Nierentumor": (0.0, 0.6, 0.8),
    "Prostata Ca": (0.0, 0.0, 1.0),
    "Frage": (0.6, 0.8, 0.0),
    "NIEREN-krebs": (1.0, 0.0, 0.0),
}


@lru_cache
def embedded() -> Retriever:
    encoder = Encoder.load(device="cpu")
    return Retriever(Index.build(Catalogue.builtin(), encoder), encoder)


def tiny(prototypes: Prototypes | None = None, lines: tuple[tuple[str, str], ...] = LINES) -> Retriever:
    encoder = TableEncoder(TABLE, prototypes={ICD10: prototypes} if prototypes else None)
    return Retriever(Index.build(catalogue_of(*lines), encoder), encoder)


def queries(lines: tuple[CatalogueLine, ...], n: int, seed: int = 0) -> list[str]:
    """Lines as people change them: words left out, in another order, misspelt, joined with another line."""
    chance = random.Random(seed)
    made = []
    for _ in range(n):
        words = chance.choice(lines).text.split()
        kind = chance.randrange(4)
        if kind == 0 and len(words) > 1:
            words.pop(chance.randrange(len(words)))
        elif kind == 1:
            chance.shuffle(words)
        elif kind == 2:
            at = chance.randrange(len(words))
            cut = chance.randrange(len(words[at]))
            words[at] = words[at][:cut] + words[at][cut + 1 :]
        else:
            words += chance.choice(lines).text.split()
        made.append(" ".join(words))
    return made


def equals_brute_force(space: Space, vectors: np.ndarray, k: int) -> None:
    """FAISS' rows are NumPy's, except where two lines are equally near."""
    for start in range(0, len(vectors), 256):
        batch = vectors[start : start + 256]
        every = batch @ space.vectors.T
        similarity, rows = search(space, batch, k)
        best = -np.sort(np.partition(-every, k - 1, axis=1)[:, :k], axis=1)
        np.testing.assert_allclose(similarity, best, atol=2e-6)
        np.testing.assert_allclose(np.take_along_axis(every, rows, axis=1), similarity, atol=2e-6)
        # Whatever is clearly nearer than the last row found has been found.
        missed = every > similarity[:, -1:] + 5e-6
        np.put_along_axis(missed, rows, False, axis=1)
        assert not missed.any()


@pytest.mark.parametrize("axis", AXES)
def test_faiss_equals_numpy(axis: CodeSystem) -> None:
    retriever = embedded()
    space = retriever.index.spaces[axis.value]
    equals_brute_force(space, retriever.encoder.encode(queries(space.lines, 500), axis), 50)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.timeout(1200)
def test_faiss_equals_numpy_on_ten_thousand_queries_over_all_catalogues(shared: Path) -> None:
    files: list[CatalogueFile] = []
    for path in walk([shared / "catalogues"]):
        with suppress(NotACatalogue):
            files += parse_all(path)
    encoder = Encoder.load(device="cpu")
    index = Index.build(Catalogue.from_files(files), encoder)
    retriever = Retriever(index, encoder)
    by_space = {axis: index.spaces[axis.value] for axis in AXES}
    for (axis, space), n in zip(by_space.items(), (6000, 2000, 2000), strict=True):
        asked = queries(space.lines, n, seed=1)
        equals_brute_force(space, encoder.encode(asked, axis), 20)
        for text, found in zip(asked, retriever.retrieve(asked, axis), strict=True):
            assert 0 < len(found) <= 20 and len({c.code for c in found}) == len(found), text


def test_a_code_is_scored_by_the_sum_over_its_lines() -> None:
    found = tiny().distribution(["Frage"], ICD10)
    assert found.codes == ("C50.9", "C61", "C64")
    # cosines to the four lines: 0.6, 0.8, 0.48, 0; scale 2; each code begins with exp(2 x 0 - 3)
    floor = np.exp(-3.0)
    shares = np.array([floor + np.exp(1.2), floor + np.exp(0.0), floor + np.exp(1.6) + np.exp(0.96)])
    np.testing.assert_allclose(found.log_shares[0], np.log(shares / shares.sum()), atol=1e-6)


def test_prototypes_are_lines_that_need_no_catalogue() -> None:
    prototypes = Prototypes(("C61", "C61", "C99.9"), np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32))
    found = tiny(prototypes).distribution(["Frage"], ICD10)
    assert found.codes == ("C50.9", "C61", "C64")
    floor = np.exp(-3.0)
    shares = np.array(
        [
            floor + np.exp(1.2),
            floor + np.exp(0.0) + np.exp(1.2) + np.exp(1.6),
            floor + np.exp(1.6) + np.exp(0.96),
        ]
    )
    np.testing.assert_allclose(found.log_shares[0], np.log(shares / shares.sum()), atol=1e-6)


def test_an_equal_term_decides_against_the_vectors() -> None:
    first, *others = tiny().retrieve(["NIEREN-krebs"], ICD10)[0]
    assert first.code == "C64" and first.exact
    assert not any(candidate.exact for candidate in others)
    assert first.score > others[0].score + 4


def test_a_term_of_two_codes_speaks_for_both() -> None:
    found = tiny(lines=(*LINES, ("C65", "Nierenkrebs"))).retrieve(["NIEREN-krebs"], ICD10, k=4)[0]
    assert {candidate.code for candidate in found if candidate.exact} == {"C64", "C65"}
    assert all(candidate.exact for candidate in found[:2])


def test_shares_are_a_distribution() -> None:
    texts = ["Mammakarzinom", "", "Xyz", "Basaliom", "\ud800"]
    for axis in AXES:
        found = embedded().distribution(texts, axis)
        assert found.log_shares.shape == (len(texts), len(found.codes)) and (found.log_shares <= 0).all()
        np.testing.assert_allclose(np.exp(found.log_shares.astype(np.float64)).sum(axis=1), 1, atol=1e-4)


def test_candidates_are_ranked_and_carry_their_own_lines() -> None:
    for axis in AXES:
        for found in embedded().retrieve(["Mammakarzinom oben außen", "Melanom am Rücken"], axis, k=20):
            assert len(found) == 20 and len({candidate.code for candidate in found}) == 20
            scores = [candidate.score for candidate in found]
            # Lexical search may put up to four codes last.
            assert scores[:16] == sorted(scores[:16], reverse=True)
            for candidate in found:
                similarities = [match.similarity for match in candidate.matches]
                assert similarities == sorted(similarities, reverse=True) and len(similarities) <= 5
                assert all(match.line.code == candidate.code for match in candidate.matches)


def test_the_first_is_the_first_however_many_are_asked_for() -> None:
    for text in ("Gallenblasenkarzinom", "Mammakarzinom", "Mycosis fungoides"):
        best = embedded().retrieve([text], ICD10, k=20)[0][0]
        for k in (1, 2, 3, 4, 5, 10):
            found = embedded().retrieve([text], ICD10, k=k)[0]
            assert len(found) == k and found[0] == best


def test_letters_add_what_the_vectors_miss() -> None:
    names = "Bein Arm Ohr Auge Nase Mund Hals Haut Herz Hirn Hand Fuß Knie Haar Zahn Lid Kinn Nabel Milz Galle Zunge"
    lines = tuple((f"C{n}.0", f"Krebs an {name}") for n, name in enumerate(names.split(), start=10))
    table = {text: (1.0, 0.0) for _, text in lines[:-1]} | {
        lines[-1][1]: (-1.0, 0.0),
        "Zungenkrebs": (1.0, 0.0),
    }
    encoder = TableEncoder(table)
    retriever = Retriever(Index.build(catalogue_of(*lines), encoder), encoder)
    assert lines[-1][0] not in [
        retriever.distribution(["Zungenkrebs"], ICD10).codes[n]
        for n in np.argsort(-retriever.distribution(["Zungenkrebs"], ICD10).log_shares[0])[:20]
    ]
    found = [candidate.code for candidate in retriever.retrieve(["Zungenkrebs"], ICD10, k=20)[0]]
    assert lines[-1][0] in found[-4:] and len(found) == 20


def test_nothing_asked_nothing_found() -> None:
    for axis in AXES:
        assert embedded().retrieve([], axis) == []
        assert embedded().distribution([], axis).log_shares.shape[0] == 0
    assert embedded().non_tumour_lines([]) == []


@pytest.mark.parametrize("text", ["", " ", "\ud800", "\x00", "😀", "§§§", "x" * 10_000])
def test_texts_without_meaning_get_candidates_and_no_term_hit(text: str) -> None:
    for axis in AXES:
        found = embedded().retrieve([text], axis)[0]
        assert len(found) == 20 and not any(candidate.exact for candidate in found)
        assert all(np.isfinite(candidate.score) for candidate in found)


def test_a_text_is_answered_the_same_alone_and_in_a_batch() -> None:
    texts = ["Mammakarzinom", "", "Rektumkarzinom", "Lungenmetastase"]
    together = embedded().retrieve(texts, ICD10)
    for text, found in zip(texts, together, strict=True):
        alone = embedded().retrieve([text], ICD10)[0]
        assert [candidate.code for candidate in alone] == [candidate.code for candidate in found]
        np.testing.assert_allclose([c.score for c in alone], [c.score for c in found], atol=1e-4)


def test_what_is_no_tumour_is_found_beside_the_axes() -> None:
    for match in embedded().non_tumour_lines(["Appendektomie"], k=3)[0]:
        assert match.line.system is OPS or not match.line.code.startswith(("C", "D0", "D1", "D2", "D3"))
