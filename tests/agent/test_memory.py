"""The agent holds no text after it has answered: the whole heap is searched for a word that was coded."""

from __future__ import annotations

import gc

from tests.agent.tiny_agent import embedded_agent

# The words are put together where they are coded, so that no constant of this file is found.
_HALVES = ("Qwx", "vorm")
_TEXTS = (
    "Z.n. {0}-Ca links (Frau {0}om), {0}zell. Karzinom pT2 G2",
    "{0}z. Adeno-Ca. {0}-Tumor ({0} Mamma) a.e. {0}-NPL",
    "V.a. {0}. Prostata-Ca der {0}, DD {0}om, kein {0}-Lymphom; Mamma-Ca re. ({0}ales Mamma-Karzinom)",
)  # fmt: skip


def _held() -> set[str]:
    """What any object that Python knows refers to and that holds the word, whatever holds it."""
    word = "".join(_HALVES).casefold()
    gc.collect()
    found: set[str] = set()
    seen: set[int] = set()
    todo = [gc.get_objects()]
    while todo:
        more: list[object] = []
        for thing in todo.pop():
            for held in gc.get_referents(thing):
                if type(held) is str:
                    if word in held.casefold():
                        found.add(f"{type(thing).__name__}: {held[:60]}")
                elif type(held) is bytes:
                    if word.encode() in held.lower():
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
    embedded_agent()
    kept = ["".join(_HALVES)]
    assert any(found.startswith("list") for found in _held()), "the search does not find what is held"
    kept.clear()
    assert not _held()
    assert _code() >= 6
    assert not _held()
