"""From prompt and answer texts to token ids; a diagnosis text inside a prompt never becomes a control token.

encoder = PromptEncoder(tokenizer)
ids = encoder.prompts(["Mammakarzinom<|icd10gm|>"])[0] + encoder.answers(["C50.9"])[0]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agent.models.base import nested
from agent.models.prompts import CANDIDATES_FOLLOW
from index.errors import ModelError

_CONTENT = "ONKOKODE-CONTENT"
# Llama's and SmolLM's templates ask for today's date; a text must get the same answer tomorrow.
_DAY = "26 Jul 2024"
_ONE_DAY = f"{{%- macro strftime_now(form) %}}{_DAY}{{% endmacro %}}"
# Llama 3 writes its cut-off date and that day into every prompt, whatever is asked.
_DEFAULT_SYSTEM = re.compile(
    r"<\|start_header_id\|>system<\|end_header_id\|>\s*Cutting Knowledge Date:.*?<\|eot_id\|>", re.DOTALL
)
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class PromptEncoder:
    """Turns prompts and answers into token ids; training and inference share it.

    With a chat template the prompt is one user turn (thinking off, Llama's default system
    block removed) and may hold no control token. Without one the prompt is taken as it is, and may end with
    control tokens of the embedded model: its question, and before it the candidates behind `CANDIDATES_FOLLOW`;
    every other one is broken up as foreign text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._control = {
            token.content: number
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special or re.fullmatch(r"<.+>|\[.+\]", token.content)
        }
        # The unknown-word token is what an unknown word becomes; it asks for nothing.
        self._control_ids = frozenset(self._control.values()) - {tokenizer.unk_token_id}
        # Two leading characters tell nearly every text apart at the price of a few substring searches.
        self._openers = {content[:2] for content in self._control}
        self._lengths = sorted({len(content) for content in self._control}, reverse=True)
        longest_first = sorted(self._control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)
        # Whether a text's pieces are the same with a question behind it.
        self._apart = all(
            token.special and not (token.normalized or token.lstrip or token.rstrip or token.single_word)
            for token in tokenizer.added_tokens_decoder.values()
        )
        self.chat = bool(tokenizer.chat_template)
        self._bos: list[int] = []
        self._before, self._after = "", ""
        if self.chat:
            self._before, self._after = self._turn()
        elif tokenizer.bos_token_id is not None:
            self._bos = [i for i in tokenizer("a").input_ids[:1] if i == tokenizer.bos_token_id]

    def _turn(self) -> tuple[str, str]:
        """What the chat template writes before and after the user's words."""
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": _CONTENT}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
            chat_template=_ONE_DAY + self.tokenizer.get_chat_template(),
            date_string=_DAY,
        )
        before, found, after = rendered.partition(_CONTENT)
        if not found or _CONTENT in after:
            raise ModelError(
                f"{self.tokenizer.name_or_path}: the chat template does not show the user's turn once"
            )
        return _DEFAULT_SYSTEM.sub("", before), after

    def sanitise(self, text: str) -> str:
        """The text without lone surrogates, control and invisible characters, and with control tokens broken.

        >>> encoder.sanitise("Ca<|im_end|>")
        'Ca< |im_end|>'
        """
        text = text.encode("utf-8", "replace").decode("utf-8")
        text = _INVISIBLE.sub("", _CONTROL_CHARACTERS.sub(" ", text))
        lowered = text.lower()
        if any(opener.lower() in lowered for opener in self._openers):
            text = self._pattern.sub(lambda hit: f"{hit[0][0]} {hit[0][1:]}", text)
        return text

    def prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token ids of whole prompts, up to where the answer begins.

        Raises:
            ValueError: a prompt has no token.
        """
        if not prompts:
            return []
        bodies, tails = [], []
        for prompt in prompts:
            body, tail = (prompt, self._after) if self.chat else self._question(prompt)
            bodies.append(self.sanitise(body))
            tails.append(tail)
        whole = self._whole(bodies, tails)
        expected: dict[str, tuple[list[int], list[int], int]] = {}
        for row, (ids, body, tail) in enumerate(zip(whole, bodies, tails, strict=True)):
            if tail not in expected:
                head, end = self._ids([self._before, tail])
                expected[tail] = head, end, sum(i in self._control_ids for i in (*head, *end))
            head, end, controls = expected[tail]
            if sum(i in self._control_ids for i in ids) != controls:
                # A tokenizer that normalises before it looks for control tokens found one in the text.
                kept = [i for i in self._ids([body])[0] if i not in self._control_ids]
                whole[row] = [*head, *kept, *end]
            whole[row] = self._bos + whole[row]
        if not all(whole):
            raise ValueError("a prompt has no token")
        return whole

    def _whole(self, bodies: Sequence[str], tails: Sequence[str]) -> list[list[int]]:
        if self.chat or not self._apart or not all(tails):
            return self._ids(
                [f"{self._before}{body}{tail}" for body, tail in zip(bodies, tails, strict=True)]
            )
        # The questions of a text have it in common.
        parts = list(dict.fromkeys([*bodies, *tails]))
        ids = dict(zip(parts, self._ids(parts), strict=True))
        return [ids[body] + ids[tail] for body, tail in zip(bodies, tails, strict=True)]

    def answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of answers as they follow a prompt."""
        return self._ids(answers) if answers else []

    def scored_answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of answers whose probabilities are compared: where one begins another, all get an end token, so
        that each is one event."""
        ids = self.answers(answers)
        if nested(map(tuple, ids)):
            ids = [[*answer, self.tokenizer.eos_token_id] for answer in ids]
        return ids

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=False).input_ids

    def _question(self, prompt: str) -> tuple[str, str]:
        """A plain prompt's text, and the control tokens that it ends with, or nothing."""
        body, separator, tail = prompt.rpartition(CANDIDATES_FOLLOW)
        if separator:
            # A candidate that this vocabulary has no token for is not shown.
            return body, "".join(self._pattern.findall(tail))
        length = next((n for n in self._lengths if prompt[-n:] in self._control), 0)
        return prompt[: len(prompt) - length], prompt[len(prompt) - length :]
