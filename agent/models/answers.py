"""The code in what a language model writes, as the study reads it (arXiv 2510.13624).

first_code("Der Kode ist C50.9.", CodeSystem.ICD10GM)      # 'C50.9'
stem("8500/3")                                             # '8500'
"""

from __future__ import annotations

import re

from index.records import CodeSystem

_TOPOLOGICAL = re.compile(r"\b(?<![\w/])[A-Z](?![A-Z])\d{1,2}(?:\.\d{1,2})?(?!\.\d|\w|-|/)")
_MORPHOLOGICAL = re.compile(r"(?<![\w/.-])\d{4}/\d(?![\w/])")


def code_pattern(system: CodeSystem) -> re.Pattern[str]:
    """What a code in an answer looks like. ICD-10 and topography share one form."""
    return _MORPHOLOGICAL if system is CodeSystem.MORPHOLOGY else _TOPOLOGICAL


def first_code(answer: str | None, system: CodeSystem) -> str | None:
    """The first code in an answer, None where it has none."""
    if answer is None:
        return None
    found = code_pattern(system).search(answer)
    return found[0] if found else None


def stem(code: str) -> str:
    """What partial accuracy compares: `C50.4` -> `C50`, `8500/3` -> `8500`."""
    return re.split(r"[./]", code, maxsplit=1)[0]
