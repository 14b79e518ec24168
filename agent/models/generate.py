"""What a language model writes when nothing holds it to the answers, and the code in it.

    [ids] = greedy(network, tokenizer, encoder.prompts(prompts[:1]), 24)
    first_code(answer_text(ids, tokenizer, "icd10gm", style), CodeSystem.ICD10GM)

Training and evaluation measure greedy answers; the agent scores codes instead. The code in an answer
is read as the study reads it (arXiv 2510.13624): the first one counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from agent.models.prompts import Prompts
from index.records import CodeSystem

if TYPE_CHECKING:  # what only reads codes starts without torch
    import torch

    from agent.models.prompt_cache import Prefix


_TOPOLOGICAL = re.compile(r"\b(?<![\w/])[A-Z](?![A-Z])\d{1,2}(?:\.\d{1,2})?(?!\.\d|\w|-|/)")
_MORPHOLOGICAL = re.compile(r"(?<![\w/.-])\d{4}/\d(?![\w/])")


def code_pattern(system: CodeSystem) -> re.Pattern[str]:
    """What a code in an answer looks like. ICD-10 and topography share one form."""
    return _MORPHOLOGICAL if system is CodeSystem.MORPHOLOGY else _TOPOLOGICAL


def first_code(answer: str | None, system: CodeSystem) -> str | None:
    """The first code in an answer, None where it has none."""
    found = code_pattern(system).search(answer or "")
    return found[0] if found else None


def stem(code: str) -> str:
    """What partial accuracy compares: `C50.4` -> `C50`, `8500/3` -> `8500`."""
    return re.split(r"[./]", code, maxsplit=1)[0]


def answer_text(ids: Sequence[int], tokenizer: Any, task: str, prompts: Prompts) -> str:
    """The answer in words: `C50.9` for the compact model's token of that code, if it is one of this task."""
    if prompts.style != "compact":
        return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
    token = str(tokenizer.convert_ids_to_tokens(list(ids[:1]))[0]) if ids else ""
    inner = token.removeprefix(f"<|{task}:")
    return inner.removesuffix("|>") if inner != token else ""


def batches_by_length(ids: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """The positions of prompts in batches of up to `size`, the short ones first, so that little is padded."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def greedy(
    network: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    enough: Callable[[list[int]], bool] | None = None,
) -> list[list[int]]:
    """The likeliest next token, again and again, up to the end token (which is not returned) or the limit. Answers
    of which `enough` is written are not written on, once that holds for all of them; what all prompts begin with,
    an instruction and its examples, is read once.

    `generate` would do the same, but it calls the inner network: one that is sharded over processes (FSDP2) has
    to be called from its outermost module, by all processes equally often.
    """
    import torch

    end = tokenizer.eos_token_id
    prefix = _shared_beginning(network, prompts) if max_new_tokens > 1 else None
    past = prefix.for_rows(len(prompts)) if prefix is not None else None
    shared = len(prefix) if prefix is not None else 0
    ids, seen = left_padded([prompt[shared:] for prompt in prompts], network, tokenizer)
    seen = torch.cat([seen.new_ones(len(prompts), shared), seen], dim=1)
    # As a tensor: a slice's states lie apart in memory, and a CPU multiplied them by a large vocabulary seventy times
    # more slowly (39 s instead of 0.6 s for 32 prompts of Gemma 3 270M).
    last = torch.tensor([-1], device=ids.device)
    position = (seen.cumsum(1) - 1).clamp(min=0)[:, shared:]
    finished = torch.zeros(len(prompts), dtype=torch.bool, device=ids.device)
    written: list[torch.Tensor] = []
    with torch.no_grad():
        while True:
            output = network(
                input_ids=ids,
                attention_mask=seen,
                position_ids=position,
                past_key_values=past,
                use_cache=max_new_tokens > 1,
                logits_to_keep=last,
            )
            chosen = output.logits[:, -1].argmax(-1)
            written.append(chosen)
            finished |= chosen == end
            if enough is not None:
                said = torch.stack(written, dim=1).tolist()
                finished |= torch.tensor([enough(row) for row in said], device=ids.device)
            if len(written) == max_new_tokens or _finished_everywhere(finished):
                break
            past = output.past_key_values
            ids = chosen[:, None]
            seen = torch.cat([seen, seen.new_ones(len(prompts), 1)], dim=1)
            position = position[:, -1:] + 1
    return [_before(end, row) for row in torch.stack(written, dim=1).tolist()]


def code_is_written(text: str, system: CodeSystem) -> bool:
    """Whether nothing that follows can change `first_code`: two characters of something else stand behind it."""
    found = code_pattern(system).search(text)
    return found is not None and found.end() + 2 <= len(text)


def _shared_beginning(network: Any, prompts: Sequence[Sequence[int]]) -> Prefix | None:
    """What all prompts begin with, read; None where that is short."""
    import torch

    from agent.models.prompt_cache import PromptCache

    window = getattr(network.config, "sliding_window", None)
    # Padding stands between beginning and rest, and a window would count it. Processes with prompts of their own
    # would call the network a different number of times.
    if len(prompts) < 2 or processes()[0] > 1 or max(map(len, prompts)) > (window or 1 << 30):
        return None
    with torch.no_grad():
        kept = PromptCache(network.get_decoder(), keep=1)
        return kept.prefix_of([tuple(prompt) for prompt in prompts], texts=len(prompts))


def pad_id(tokenizer: Any) -> int:
    """What fills a row: the tokenizer's own padding, or else its end token."""
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def processes() -> tuple[int, int]:
    """How many processes run together, and which of them this is."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0


def _finished_everywhere(finished: torch.Tensor) -> bool:
    """True where no process has an answer that is still being written."""
    import torch

    left = (~finished).sum()
    if processes()[0] > 1:
        torch.distributed.all_reduce(left)
    return int(left) == 0


def left_padded(
    prompts: Sequence[Sequence[int]], network: Any, tokenizer: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (prompts, longest prompt) and the mask of those that are no padding, on the network's device."""
    import torch

    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad_id(tokenizer))
    seen = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        seen[row, width - len(prompt) :] = 1
    device = next(network.parameters()).device
    return ids.to(device), seen.to(device)


def _before(end: int, tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
