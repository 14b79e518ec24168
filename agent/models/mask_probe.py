"""How a network may be scored, found out on the network itself: does it obey the mask of a prefix tree?

    method = method_for(network, folder, name="gemma-3-270m", pad_id=0)     # measured once, then read
    method.description                                                      # 'prefix tree', 'each answer alone'

Many decoders take a mask of ours and the positions of a tree, some ignore them or count columns (learned distances,
recurrent states), and some change their logits after the head. No list of names knows. A few prompts of different
lengths, with answers that begin one another, are scored as trees and each alone; a way of scoring is taken where both
agree. Sliding windows are tried with the window set to a few tokens.

What was found is kept in a file beside the weights, or under ONKOKODE_HOME where that folder cannot be written, for
this configuration, these versions, this device. A record that cannot be read or is of something else is measured again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agent.models.prefix_tree import AnswerTokens
from agent.models.tree_rows import ScoreRequest
from agent.models.tree_scoring import AnswerScorer, Method, text_settings
from index.catalogue.store import home
from index.io.atomic import write_whole

RECORD = "onkokode.scoring"
# Seconds of measuring from which on the result is worth a file.
_WORTH_KEEPING = 0.5
# Goes up when the way of scoring or of measuring changes, so that older records are measured again.
_REVISION = 1
_RECORDS = 8
# No token of the probe stands later than this; and a window that its tokens feel.
_DEEPEST, _NARROW = 64, 16
_log = logging.getLogger(__name__)


def method_for(network: Any, folder: Path | None, *, name: str, pad_id: int) -> Method:
    """The kept method of a network, or the measured one, which is then kept. `folder` holds the network's weights;
    None where it is none of the user's. Says in the log when answers have to be scored one by one."""
    key = _key(network)
    files = [
        *([folder / RECORD] if folder is not None else []),
        home() / "scoring" / f"{key[:16]}.scoring",
    ]
    method = next((found for file in files if (found := _read(file).get(key)) is not None), None)
    if method is None:
        start = time.perf_counter()
        method = measured_method(network, pad_id=pad_id)
        if time.perf_counter() - start >= _WORTH_KEEPING:
            _keep(files, key, method)
    if not method.tree:
        _log.warning("%s: does not obey the mask of a prefix tree; each answer is scored alone", name)
    return method


@torch.inference_mode()
def measured_method(network: Any, *, pad_id: int = 0) -> Method:
    """Tries the quick ways of scoring on the network and returns the quickest that gives what scoring alone gives."""

    def scored(method: Method, *, keep: int = 0) -> np.ndarray:
        requests = _requests(text_settings(network).vocab_size)
        scorer = AnswerScorer(network, method, pad_id=pad_id, keep=keep)
        # The second time the prefix that both calls share comes from the cache.
        scores = [scorer.score(requests) for _ in range(1 + (keep > 0))][-1]
        return np.concatenate([values for text in scores for values in text])

    def agrees(method: Method, expected: np.ndarray, **how: Any) -> bool:
        try:
            return _agree(scored(method, **how), expected, _dtype(network))
        except _REFUSALS:
            return False

    def tree_used(method: Method) -> bool:
        """Where what a token sees is limited to less than the probe's length, no tree would have been tried."""
        reach = AnswerScorer(network, method, pad_id=pad_id).reach
        return reach is None or reach >= _DEEPEST

    own = _has_own_head(network)
    ways = [Method(tree=True, own_head=True)] * own + [Method(tree=True)] + [Method(own_head=True)] * own
    with _window(network, _DEEPEST):
        alone = scored(Method())
        ways = [way for way in ways if not way.tree or tree_used(way)]
        method = next((way for way in ways if agrees(way, alone)), Method())
        if not method.tree:
            return method
        if agrees(replace(method, cached=True), alone, keep=1):
            method = replace(method, cached=True)
    if getattr(text_settings(network), "sliding_window", None):
        with _window(network, _NARROW):
            narrow = scored(Method())
            # A narrow window that changes nothing would prove nothing.
            if not _agree(narrow, alone, _dtype(network)):
                windowed = (replace(method, windows=True, by_layer=by_layer) for by_layer in (True, False))
                keep = int(method.cached)
                method = next((way for way in windowed if agrees(way, narrow, keep=keep)), method)
    return method


# What networks raise for inputs that they know nothing of.
_REFUSALS = (
    RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, AssertionError,
)  # fmt: skip


def _requests(vocabulary: int) -> list[ScoreRequest]:
    """Three texts of different lengths under one instruction: prompts that branch at several depths, answers that
    begin one another, rows with padding."""
    token = iter(np.random.default_rng(19).integers(0, vocabulary, 80).tolist())

    def some(count: int) -> list[int]:
        return [next(token) for _ in range(count)]

    start, text, other, longest = some(26), some(4), some(1), some(9)
    first, second, third, fourth, fifth = some(5)
    nested = AnswerTokens.of(
        [[first], [first, second], [first, second, third], [first, fourth, third], [fifth]]
    )
    pair = AnswerTokens.of([[second, first], [second, fourth]])
    single = AnswerTokens.of([[third], [fifth]])
    return [
        [([*start, *text, *some(2)], nested), ([*start, *text, *some(3)], pair)],
        [([*start, *other], nested), ([*start, *longest], pair), ([*start, *longest, *some(1)], single)],
        [([*start, *longest, *some(2)], single)],
    ]


# The first two texts begin with the same answers, seven of them.
_ASKED_TWICE = 7


def _agree(found: np.ndarray, expected: np.ndarray, dtype: torch.dtype) -> bool:
    """Whether scores differ by no more than rounding does, seen beside what a prompt's words change in them: a network
    that hardly reads would agree with anything."""
    if not np.isfinite(found).all():
        return False
    error = np.abs(found - expected)
    effect = float(np.abs(expected[:_ASKED_TWICE] - expected[_ASKED_TWICE : 2 * _ASKED_TWICE]).mean())
    if dtype in (torch.float32, torch.float64):
        return bool(error.max() < min(1e-3, 0.01 * effect))
    return bool(error.mean() < 0.2 * effect and error.max() < effect)


def _has_own_head(network: Any) -> bool:
    """Whether logits are the output embeddings times the decoder's states. Computed alike, they are equal to the last
    digit; a cap or a factor changes them."""
    base = network.get_base_model() if hasattr(network, "peft_config") else network
    [(prompt, _), *_] = _requests(text_settings(network).vocab_size)[0]
    ids = torch.tensor([prompt], device=next(network.parameters()).device)
    try:
        states = base.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        own = base.get_output_embeddings()(states)
        return torch.allclose(own.float(), base(input_ids=ids, use_cache=False).logits.float(), 1e-5, 1e-6)
    except _REFUSALS:
        return False


@contextmanager
def _window(network: Any, tokens: int) -> Iterator[None]:
    """For the time of the block a network that has a sliding window has one of so many tokens."""
    settings = text_settings(network)
    before = getattr(settings, "sliding_window", None)
    if before:
        settings.sliding_window = tokens
    try:
        yield
    finally:
        if before:
            settings.sliding_window = before


def _dtype(network: Any) -> torch.dtype:
    dtype: torch.dtype = network.dtype
    return dtype


def _key(network: Any) -> str:
    """What the result holds for: the configuration, the code that runs it, the kind of numbers, the device."""
    import transformers

    settings = network.config.to_dict()
    for name in ("_name_or_path", "transformers_version"):
        settings.pop(name, None)
    told = {
        "revision": _REVISION,
        "settings": settings,
        "attention": network.config._attn_implementation,
        "versions": [transformers.__version__, torch.__version__],
        "dtype": str(_dtype(network)),
        "device": next(network.parameters()).device.type,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _read(file: Path) -> dict[str, Method]:
    """The methods of a record by their keys; what is no record of ours is empty."""
    try:
        methods = json.loads(file.read_text(encoding="utf-8"))["methods"]
        return {str(key): Method(**told) for key, told in methods.items() if _is_method(told)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _is_method(told: dict[str, Any]) -> bool:
    return set(told) == {field.name for field in fields(Method)} and all(
        type(v) is bool for v in told.values()
    )


def _keep(files: list[Path], key: str, method: Method) -> None:
    """Writes into the first file that can be written. Without any, the next start measures again."""
    for file in files:
        with suppress(OSError):
            if file.parent.parent == home():
                file.parent.mkdir(parents=True, exist_ok=True)
            methods = dict([*_read(file).items(), (key, method)][-_RECORDS:])
            told = {"methods": {key: asdict(method) for key, method in methods.items()}}
            write_whole(file, json.dumps(told, indent=1) + "\n")
            return
