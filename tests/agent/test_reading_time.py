"""No text takes long to prepare: worst cases drawn from the patterns and tables (`worst_cases`), and those found before.

What is measured is processor time; a text that takes longer than `LIMIT` is stopped, so that a hang is a failure and
no hang of the tests.
"""

from __future__ import annotations

import gc
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from agent.prepare import MAX_CHARACTERS, prepare
from agent.prepare.alternatives import by_first_letter
from agent.prepare.context import TOPOGRAPHY, TUMOUR
from agent.prepare.drafts import REACH
from index.text import normalise
from tests.agent.worst_cases import (
    UNITS,
    Place,
    all_patterns,
    is_one_way,
    longest_assertion,
    loops_of,
    pattern_attack,
    places_of,
    repeated,
    table_attack,
    table_units,
    tree_of,
)

PER_THOUSAND = 0.1  # seconds for a thousand characters; what takes less is not compared
# What takes more may take so many times as long as an ordinary text of that length, read just then: a slow or busy
# machine is slow for both.
AS_ORDINARY = 12
ORDINARY = (
    "Mammakarzinom links, invasiv duktal, G2, pT2 pN1a (2/14) M0. Z.n. Ablatio 3/2020. Diabetes.\n" * 11
)
LONGER = 4.6  # times as long for four times the text, at most
FLOOR = 0.02  # seconds; what takes less is not compared
LIMIT = 20.0
SHORTEST = 1_000
# Each of these once took seconds, for ever, or raised.
FOUND = (
    "Mammakarzinom pT1" + "M0a" * 22 + "_",
    "Mammakarzinom pT1" + "M0a" * 6_000 + "_",
    "Mammakarzinom pT1" + "G1/G2" * 30 + "x",
    "Mammakarzinom, " + "oss" * 24 + "x, Leber",
    "Mammakarzinom a/d li. 12.9.: Leber",
    "Mammakarzinom x-C re. " + " ".join(f"{n}.{n}" for n in range(10, 99)),
    "Mammakarzinom " + "a.-" * 2_000 + "a.",
    "Mamma\n" + "xyzk\n" * 200,
    "Mamma\n" + "(x)\n" * 200,
    "Mammakarzinom pT1" + "DNET\n" * 196,
    "a" + "\u0316\u0301" * 9_999,
)


class TooSlow(Exception):
    """The text took longer than `LIMIT`."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _seconds(text: str, read: Callable[[str], object] = prepare, *, times: int = 1) -> float:
    """Processor time of one reading, the mean of `times`."""
    gc.disable()  # what other tests left behind is not this text's
    try:
        start = time.process_time()
        with _limited():
            for _ in range(times):
                read(text)
        return (time.process_time() - start) / times
    finally:
        gc.enable()


def _read(text: str) -> None:
    """What is done to a text before any model reads it."""
    prepare(text)
    normalise(text)


def _slow(text: str, read: Callable[[str], object] = _read) -> str | None:
    """Why a text is too slow, None where it is not; one that was slow once is measured again."""
    thousands = max(SHORTEST, len(text)) / 1_000
    try:
        taken = _seconds(text, read)
        for _ in range(3):
            if taken <= PER_THOUSAND * thousands:
                return None
            if taken <= AS_ORDINARY * thousands * _seconds(ORDINARY, _read):
                return None
            taken = min(taken, _seconds(text, read))
    except TooSlow:
        taken = LIMIT
    return f"{taken:.2f} s for {len(text)} characters: {text[:120]!r}...{text[-20:]!r}"


def _grows(made: Callable[[int], str], length: int) -> str | None:
    """Why the time of a text grows faster than its length, None where it does not."""
    factors = (1, 2, 4)
    texts = [made(length * factor) for factor in factors]
    try:
        taken = [_seconds(text, _read) for text in texts]
        if taken[2] <= LONGER * max(taken[0], FLOOR):
            return None
        # Again, and the short ones as often as takes as long as the long one: what disturbs the machine meets all alike.
        taken = [LIMIT, LIMIT, LIMIT]
        for _ in range(7):
            again = [
                _seconds(text, _read, times=4 // factor) for text, factor in zip(texts, factors, strict=True)
            ]
            taken = [min(pair) for pair in zip(taken, again, strict=True)]
            if taken[2] <= LONGER * max(taken[0], FLOOR):
                return None
    except TooSlow:
        taken = [LIMIT]
    return f"{' / '.join(f'{t:.3f}' for t in taken)} s: {texts[0][:120]!r}...{texts[0][-20:]!r}"


@cache
def _places() -> dict[str, list[Place]]:
    return {name: places_of(tree_of(pattern)) for name, pattern in all_patterns().items()}


def _drawn(rng: random.Random) -> Callable[[int], str]:
    """A worst case that can be made in any length: of a pattern mostly, else of the tables."""
    seed = rng.random()
    if rng.random() < 0.25:
        return lambda length: table_attack(table_units(), random.Random(seed), length)
    names = [*_places()]
    name = rng.choice(names)
    return lambda length: pattern_attack(_places()[name], random.Random(seed), length)


def _of_unit(unit: str, lead: str, end: str) -> Callable[[int], str]:
    return lambda length: repeated(lead, unit, end, length)


@pytest.mark.parametrize("cased", [False, True])
def test_alternatives_by_first_letter_match_what_they_match_in_a_row(cased: bool) -> None:
    listed = r"mamma|brust|mund(?!art|e[rn])|[ou]aq|n[äa]vus|s[|)]x|kolon|a\|b|\bLK\b|mu|a?x"
    flags = 0 if cased else re.IGNORECASE
    grouped, in_a_row = re.compile(by_first_letter(listed, cased=cased), flags), re.compile(listed, flags)
    rng = random.Random(17)
    for _ in range(20):
        read = "".join(
            rng.choice(
                (
                    "mamma",
                    "MU",
                    "nd",
                    "art",
                    "brust",
                    "ſ|x",
                    "\u212aolon",
                    "NÄ",
                    "vus",
                    "a|b",
                    "LK",
                    " ",
                    "oaq",
                    "s)x",
                )
            )
            for _ in range(500)
        )
        assert [m.span() for m in grouped.finditer(read)] == [m.span() for m in in_a_row.finditer(read)]


@pytest.mark.parametrize("text", FOUND, ids=lambda text: text[:24])
def test_a_text_that_was_slow_once_is_not(text: str) -> None:
    assert _slow(text) is None


def test_time_grows_with_the_length_for_the_units_that_once_did_not() -> None:
    made = [
        _of_unit(unit, lead, end)
        for unit in UNITS
        for lead, end in (("Mammakarzinom ", ""), ("", " Mammakarzinom"))
    ]
    assert [why for text in made if (why := _grows(text, SHORTEST // 2))] == []


def test_drawn_worst_cases_are_fast() -> None:
    rng = random.Random(17)
    drawn = [_drawn(rng)(SHORTEST) for _ in range(200)]
    assert [why for text in drawn if (why := _slow(text))] == []


def test_patterns_beside_the_preparation_are_fast() -> None:
    rng = random.Random(17)
    for name, pattern in all_patterns().items():
        if not name.startswith("agent.prepare."):
            drawn = [pattern_attack(_places()[name], rng, SHORTEST) for _ in range(20)]
            assert [why for text in drawn if (why := _slow(text, pattern.findall))] == [], name


def test_a_loop_over_a_group_is_short_or_read_in_one_way() -> None:
    """Where a loop of more than a few turns reads more than one character a turn, a turn cannot be read in two ways."""
    loose = [
        (name, pattern.pattern[:60])
        for name, pattern in all_patterns().items()
        for turns, body in loops_of(tree_of(pattern))
        if turns > 8 and not is_one_way(body)
    ]
    assert loose == []


def test_what_is_known_of_a_draft_reaches_far_enough() -> None:
    for pattern in (TUMOUR, TOPOGRAPHY):
        assert tree_of(pattern).getwidth()[1] + longest_assertion(tree_of(pattern)) < REACH


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_ten_thousand_drawn_worst_cases() -> None:
    seed = time.time_ns()
    rng = random.Random(seed)
    slowest: list[tuple[float, int, Callable[[int], str]]] = []
    failed: list[str] = []
    for number in range(10_000):
        made = _drawn(rng)
        length = MAX_CHARACTERS if number % 20 == 0 else 4_000 if number % 5 == 0 else SHORTEST
        text = made(length)
        try:
            taken = _seconds(text, _read) / len(text)
        except TooSlow:
            taken = LIMIT
        if taken > PER_THOUSAND / 1_000 and (why := _slow(text)):
            failed.append(why)
        slowest.append((taken, number, made))
    slowest.sort(key=lambda item: item[:2], reverse=True)
    for _, _, made in slowest[:60]:
        failed += [why for why in (_grows(made, MAX_CHARACTERS // 4),) if why]
    assert failed == [], f"seed {seed}"


@pytest.mark.slow
def test_time_grows_with_the_length_up_to_the_cap() -> None:
    made = [
        _of_unit(unit, lead, end)
        for unit in UNITS
        for lead in ("", "Mammakarzinom ")
        for end in ("", " Mammakarzinom")
    ]
    assert [why for text in made if (why := _grows(text, MAX_CHARACTERS // 4))] == []
