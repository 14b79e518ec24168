"""How far a long run is, and how long it still takes, as plain lines for where there is no terminal.

pace = Pace(3_400, "steps", print)
pace.step(1, note=lambda: "1,234 tokens/s")
# at most every 30 s: "120 of 3,400 steps, 1,234 tokens/s, 12 min left"
"""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY_SECONDS = 30.0


class Pace:
    """Counts what is done and says so now and then; `done` is what an earlier run did already. `form` words
    a line in another language, from what is done, the total, and the time left."""

    def __init__(
        self,
        total: int,
        unit: str,
        say: Callable[[str], None],
        *,
        done: int = 0,
        every: float = EVERY_SECONDS,
        form: Callable[[int, int, str], str] | None = None,
    ) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._say, self._every = say, every
        self._form = form
        self._first, self._started = done, time.monotonic()
        self._said = self._started

    def step(self, count: int = 1, note: Callable[[], str] | None = None) -> None:
        """Count, and say a line if it is time; `note` is asked only then."""
        self.done += count
        now = time.monotonic()
        if now - self._said < self._every or self.done >= self.total:
            return
        self._said = now
        left = (now - self._started) / (self.done - self._first) * (self.total - self.done)
        if self._form is not None:
            self._say(self._form(self.done, self.total, _duration(left)))
            return
        parts = [
            f"{self.done:,} of {self.total:,} {self.unit}",
            *([note()] if note else []),
            f"{_duration(left)} left",
        ]
        self._say(", ".join(parts))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
