"""Dates as people write them, of which a part may be all that is known.

iso_date("01.03.2026"), iso_date("03/2026"), iso_date(2026)       # '2026-03-01', '2026-03', '2026'
year_of("12.3.98")                                                # 1998
"""

from __future__ import annotations

import re
from datetime import date as Day

from index.errors import OnkokodeError
from index.io.language import say

Date = Day | int | str | None
"""A date, a year, or how either is written; None where it is not known."""

_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<year>\d{4})(?:-(?P<month>\d\d?)(?:-(?P<day>\d\d?)(?:[T ].*)?)?|\.0)?",
        r"(?:(?P<day>\d\d?)[./] ?)?(?P<month>\d\d?)[./] ?(?P<year>\d{4})(?: \d\d?:\d\d(?::\d\d)?)?",
        r"(?P<day>\d\d?)\. ?(?P<month>\d\d?)\. ?(?P<short>\d\d)",
        r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)",
    )
)


class DateError(OnkokodeError):
    """A date that cannot be read; the message says how dates are written."""

    translated = True

    def __init__(self) -> None:
        super().__init__(say("how-dates"))


def iso_date(date: Date) -> str | None:
    """A date as ISO 8601 writes it, as far as it is known; None for none. Raises `DateError`."""
    if date is None or (isinstance(date, str) and not date.strip()):
        return None
    if isinstance(date, bool):
        raise DateError()
    written = date.isoformat() if isinstance(date, Day) else str(date).strip()
    found = next((match for form in _FORMS if (match := form.fullmatch(written))), None)
    if found is None:
        raise DateError()
    # Registries write 00 for a day or month that is not known.
    parts = {name: int(value) for name, value in found.groupdict().items() if value and int(value)}
    if "month" not in parts:
        parts.pop("day", None)
    if "short" in parts:
        # The last century where it would else lie ahead.
        this_year = Day.today().year
        parts["year"] = 2000 + parts["short"] - 100 * (2000 + parts["short"] > this_year)
    if "year" not in parts:
        raise DateError()
    try:
        whole = Day(parts["year"], parts.get("month", 1), parts.get("day", 1))
    except ValueError:
        raise DateError() from None
    if not 1900 <= whole.year <= 2100:
        raise DateError()
    return whole.isoformat()[: 10 if "day" in parts else 7 if "month" in parts else 4]


def year_of(date: Date) -> int | None:
    """The year of a date; None for none. Raises `DateError`."""
    found = iso_date(date)
    return None if found is None else int(found[:4])
