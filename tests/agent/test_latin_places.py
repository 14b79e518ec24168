"""Organs in the Latin genitive, as older records have them."""

from __future__ import annotations

import pytest

from tests.agent.tiny_agent import embedded_agent

PLACES = {
    "vesicae": "C67.9", "vesicae felleae": "C23", "vesicae urinariae": "C67.9", "pulmonis": "C34.9", "laryngis": "C32.9",
    "sigmatis": "C18.7", "pharyngis": "C14.0", "ani": "C21.0", "labii": "C00.9", "labii majoris": "C51.0", "uteri": "C55",
    "cervicis uteri": "C53.9", "corporis uteri": "C54.1", "recti": "C20", "ventriculi": "C16.9", "mammae": "C50.9",
}  # fmt: skip


@pytest.mark.parametrize(("place", "code"), PLACES.items())
def test_a_latin_genitive_names_its_organ(place: str, code: str) -> None:
    assert embedded_agent().code(f"Ca {place}").icd10gm.code == code
