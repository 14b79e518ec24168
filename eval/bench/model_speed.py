"""How fast a language model scores candidates, beside scoring each answer alone and beside writing codes.

    section = measure_model_speed("models/gemma-3-270m", None, texts=64, slow_texts=4)

All ways run in one process on the same weights, texts and questions: three axes with twenty retrieved candidates each.
Writing is what the study does (arXiv 2510.13624): `generate`, padded on the left, twenty new tokens, greedy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from agent.decide.scores import retrieve
from agent.models.base import Question
from agent.models.generate import left_padded, pad_id
from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.models.store.names import model_folder
from agent.models.tree_scoring import Method
from agent.resources import Resources
from eval.bench.speed import query_texts
from eval.report.section import Reading, Section
from index.records import AXES

CANDIDATES = 20
_NEW_TOKENS = 20
_BATCH = 32


def measure_model_speed(
    model: str, adapter: Path | None, *, texts: int, slow_texts: int, dtype: str = "auto"
) -> Section:
    """Codes scored per second, and texts per second, of each way; the slow ways on the first `slow_texts` texts.

    Raises:
        ModelError: the model cannot be loaded.
    """
    loaded = LocalModel.load(model, adapter, dtype=dtype)
    prompts = Prompts.of(model_folder(model), adapter)
    asked = _questions(prompts, query_texts(texts))
    plain = LocalModel(loaded.model, loaded.encoder.tokenizer, loaded.name, method=Method())
    among = LocalModel(loaded.model, loaded.encoder.tokenizer, loaded.name, method=loaded.method)
    among.restrict({answer for text in asked for question in text for answer in question.answers})
    section = Section("model-speed", f"Speed of {loaded.name}", f"onkokode eval model-speed --model {model}")
    ways: tuple[tuple[str, Callable[[Sequence[Sequence[Question]]], object], int], ...] = (
        (loaded.scoring, loaded.score, texts),
        (f"{loaded.scoring}, among the tokens of answers", among.score, texts),
        ("each answer alone", plain.score, slow_texts),
        ("generate", lambda batch: _write(loaded, batch), slow_texts),
    )
    for name, way, count in ways:
        way(asked[:1])
        start = time.perf_counter()
        way(asked[:count])
        seconds = time.perf_counter() - start
        codes = len(AXES) * (CANDIDATES if name != "generate" else 1)
        for unit, rate in (("texts/s", count / seconds), ("codes/s", count * codes / seconds)):
            section.readings.append(Reading(name, rate, unit, count, rate, rate, None, True))
    kind = str(loaded.model.dtype).removeprefix("torch.")
    section.notes.append(
        f"{kind} on {loaded.model.device.type}, {torch.get_num_threads()} threads; three axes with {CANDIDATES} "
        f"candidates each; `generate` writes one code an axis, {_NEW_TOKENS} tokens each."
    )
    return section


def _questions(prompts: Prompts, texts: Sequence[str]) -> list[list[Question]]:
    found = retrieve(Resources.load(), texts, AXES)
    asked = []
    for row, text in enumerate(texts):
        questions = []
        for axis, retrieval in found.items():
            best = (-retrieval.log_shares[row]).argsort()[:CANDIDATES]
            answers = tuple(prompts.answer(retrieval.codes[n], axis) for n in best)
            questions.append(Question(prompts.question(text, axis), answers))
        asked.append(questions)
    return asked


def _write(loaded: LocalModel, batch: Sequence[Sequence[Question]]) -> None:
    ids = loaded.encoder.prompts([question.prompt for text in batch for question in text])
    tokenizer = loaded.encoder.tokenizer
    for start in range(0, len(ids), _BATCH):
        padded, seen = left_padded(ids[start : start + _BATCH], loaded.model, tokenizer)
        with torch.inference_mode():
            loaded.model.generate(
                input_ids=padded,
                attention_mask=seen,
                max_new_tokens=_NEW_TOKENS,
                min_new_tokens=_NEW_TOKENS,
                do_sample=False,
                pad_token_id=pad_id(tokenizer),
            )
