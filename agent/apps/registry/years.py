"""Which edition of ICD-10-GM the codes of a tumour are of: the one named beside a code, else that of its diagnosis.

year_told(["10 2024 GM"], ["01.03.2026"])       # 2024
year_told([""], ["01.03.2026"])                 # 2026
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from index.dates import DateError, year_of

_EDITION = re.compile(r"10 (\d{4}) GM")


def year_told(versions: Sequence[str], dates: Sequence[str]) -> int | None:
    """The year that version elements name, else that of the first date that can be read; None where neither says one."""
    named = [int(found[1]) for version in versions if (found := _EDITION.fullmatch(version))]
    return next(iter(named), None) or next(
        (year for date in dates if (year := _year(date)) is not None), None
    )


def readable(date: str) -> bool:
    """Whether a Diagnosedatum is a date, or says nothing."""
    return not date.strip() or _year(date) is not None


def _year(date: str) -> int | None:
    try:
        return year_of(date)
    except DateError:
        return None
