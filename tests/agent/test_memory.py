"""The agent holds no text after it has answered: the whole heap is searched for a word that was coded."""

from __future__ import annotations

import gc
import re

from tests.agent.tiny_agent import embedded_agent

# The words are put together where they are coded, so that no constant of this file is found.
_HALVES, _KEPT = ("Qwx", "vorm"), ("Qwx", "kept")
_SEARCHED = re.compile("qwx(?:vorm|kept)", re.IGNORECASE)
_TEXTS = (
    "Z.n. {0}-Ca links (Frau {0}om), {0}zell. Karzinom pT2 G2",
    "{0}z. Adeno-Ca. {0}-Tumor ({0} Mamma) a.e. {0}-NPL",
    "V.a. {0}. Prostata-Ca der {0}, DD {0}om, kein {0}-Lymphom; Mamma-Ca re. ({0}ales Mamma-Karzinom)",
)  # fmt: skip


def _held() -> set[str]:
    """Every string with one of the words that an object known to Python refers to, whatever object that is."""
    gc.collect()
    found: set[str] = set()
    seen: set[int] = set()
    todo = [gc.get_objects()]
    while todo:
        more: list[object] = []
        for thing in todo.pop():
            for held in gc.get_referents(thing):
                if type(held) is str:
                    if _SEARCHED.search(held):
                        found.add(f"{type(thing).__name__}: {held[:60]}")
                elif type(held) is bytes:
                    if _SEARCHED.search(held.decode("latin-1")):
                        found.add(f"{type(thing).__name__}: {held[:60]!r}")
                elif not gc.is_tracked(held) and id(held) not in seen and type(held) in (tuple, dict):
                    # A tuple or dictionary of nothing but strings is not in the collector's list.
                    seen.add(id(held))
                    more.append(held)
        if more:
            todo.append(more)
    return found


def _code() -> int:
    agent, word = embedded_agent(), "".join(_HALVES)
    texts = [text.format(word) for text in _TEXTS]
    answers = [*map(agent.code, texts), *agent.code_many(texts)]
    return len(answers) + len(list(agent.stream(texts[0])))


def test_no_word_of_a_text_is_held_after_the_answer() -> None:
    kept = ["".join(_KEPT)]
    assert _code() >= 6
    assert _held() == {f"list: {kept[0]}"}, "a word is held, or the search does not find what is"
