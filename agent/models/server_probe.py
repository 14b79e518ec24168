"""What a model server can do, found out with questions of our own; no patient's text is asked.

    probe = ServerProbe(client, "gemma-3-270m")
    probe.exists(client.models())
    offer = probe.offer(tokenizer, listed=True)
    offer.method, offer.choice_field                   # 'token', 'grammar'
    probe.still(offer)                                 # later: is it the same model?

A method counts as offered only where its numbers are right: token ids are the served model's own, a token's value is
that of this token (no shift by a token that was added or left out), and a probability is that from before the
constraint. A server that gives other numbers falls back to a weaker method instead of giving wrong codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from agent.models.openai_api import ApiClient, RefusedError
from index.catalogue.store import home
from index.errors import ModelError

ScoringMethod = Literal["prompt", "token", "forced", "labelled", "choice", "asked"]
T = TypeVar("T")

WHICH = "Welche Antwort auf die Frage ist richtig?"
# Our own words, and an answer that no model would give to them. Umlauts, digits and a code tell tokenizers apart.
_PROBE = "Nenne eine Farbe."
_DIVIDED = "Nenne eine Farbe. Größe 2,5 cm, C50.9 und 8500/3: »Übergangsepithel«"
_UNLIKELY = "7713/9"
_NO_MODEL = "onkokode-asks-for-no-model"
# Under this name a server takes allowed answers: vLLM now and before, llama.cpp, Ollama and others.
_CHOICE_FIELDS = ("structured_outputs", "guided_choice", "grammar", "response_format")
# In the log-probability of one token: what batches of other sizes change, another token, another model.
_SAME, _DIFFERENT, _OTHER = 0.1, 1e-3, 0.5


@dataclass(frozen=True)
class Offer:
    """What a server offers: the best method, the field for allowed answers, whether it chats, the tokenizer, and
    the log-probability of an answer of ours, which is another one for another model."""

    method: ScoringMethod
    choice_field: str | None
    chats: bool
    tokenizer: Any | None
    listed: bool = False
    reference: float | None = None


class ServerProbe:
    """Asks a server what it can do, in words of our own."""

    def __init__(self, client: ApiClient, model: str) -> None:
        self._client = client
        self._model = model

    def exists(self, served: Mapping[str, str | None]) -> bool:
        """Whether the server knows the model, by one way of asking or the other. Some answer to any name; then it
        is one of those that they tell of."""
        if not self._answers(self._model):
            return False
        return self._model in served or not served or not self._answers(_NO_MODEL)

    def offer(self, tokenizer: Any | None, *, listed: bool) -> Offer:
        """The best method and what goes with it. Raises `ModelError` where there is none, or the tokenizer is not
        the served model's."""
        chats = self._chats(self._model)
        field = self._choice_field(chats)
        method = self._method(tokenizer, field, chats)
        offer = Offer(method, field, chats, tokenizer, listed)
        return Offer(method, field, chats, tokenizer, listed, self._reference(offer))

    def still(self, offer: Offer) -> bool:
        """Whether the model is the one that made the offer, as far as the server lets us see."""
        if offer.reference is not None:
            now = self._reference(offer)
            return now is not None and abs(now - offer.reference) < _OTHER
        return not offer.listed or self._model in self._client.models()

    def _reference(self, offer: Offer) -> float | None:
        if offer.method not in ("prompt", "token"):
            return None
        ids, token = self._unlikely(offer.tokenizer)
        if offer.method == "token":
            told = self._ask(lambda: self._client.token_log_probabilities(self._model, ids, [token]))
            return told[0] if told is not None else None
        found = self._ask(lambda: self._client.prompt_log_probabilities(self._model, [[*ids, token]]))
        return found[0][-1] if found is not None else None

    def _answers(self, model: str) -> bool:
        return self._chats(model) or (
            self._ask(lambda: self._client.complete(model, _PROBE, 1, None)) is not None
        )

    def _chats(self, model: str) -> bool:
        return self._ask(lambda: self._client.chat(model, _PROBE, max_tokens=1)) is not None

    def _method(self, tokenizer: Any | None, field: str | None, chats: bool) -> ScoringMethod:
        if tokenizer is not None and tokenizer.eos_token_id is not None:
            scores: tuple[tuple[ScoringMethod, Callable[[Any], bool]], ...]
            scores = (("prompt", self._scores_prompts), ("token", self._scores_tokens))
            for method, offered in scores:
                if offered(tokenizer):
                    self._check_tokens(tokenizer)
                    return method
        if field is not None and chats and self._scores_forced(field):
            return "forced"
        options = ("Rot", "Blau")
        if self._ask(lambda: self._client.decide(self._model, _PROBE, WHICH, options)) is not None:
            return "labelled"
        if field is not None:
            return "choice"
        if chats or self._answers(self._model):
            return "asked"
        raise ModelError(
            f"{self._client.url}: answers neither scored completions nor chats for {self._model!r}; serve it "
            "with vLLM or llama-server, and give its folder or hub name with --model, so that its tokenizer is found"
        )

    def _choice_field(self, chats: bool) -> str | None:
        """The name under which the server takes a list of allowed answers."""
        for field in _CHOICE_FIELDS:
            choices = (field, [_UNLIKELY])
            if chats:
                answer = self._forced(field)
                text = answer[0] if answer is not None else None
            else:
                text = self._ask(lambda: self._client.complete(self._model, _PROBE, 24, choices))  # noqa: B023
            if text is not None and text.strip().strip('"') == _UNLIKELY:
                return field
        return None

    def _scores_prompts(self, tokenizer: Any) -> bool:
        """Whether the value at a token's place is this token's: what follows must not matter, the token must."""
        ids, token = self._unlikely(tokenizer)
        probes = [[*ids, token, ids[-1]], [*ids, token, token], [*ids, ids[-1]]]
        found = self._ask(lambda: self._client.prompt_log_probabilities(self._model, probes))
        if found is None:
            return False
        one, other, third = (values[len(ids)] for values in found)
        return abs(one - other) < _SAME and abs(one - third) > max(abs(one - other), _DIFFERENT)

    def _scores_tokens(self, tokenizer: Any) -> bool:
        """Whether a forced token's value is that from before the bias, after which it is certain."""
        ids, token = self._unlikely(tokenizer)
        told = self._ask(lambda: self._client.token_log_probabilities(self._model, ids, [token]))
        return told is not None and told[0] < -1e-3

    def _scores_forced(self, field: str) -> bool:
        """Whether log-probabilities are those before the constraint, and the end token is told behind the answer's,
        without which answers that begin others cannot be compared."""
        answer = self._forced(field, scored=True)
        if answer is None or not answer[1]:
            return False
        spelt = "".join(token for token, _ in answer[1][:-1]).strip()
        return spelt == _UNLIKELY and sum(value for _, value in answer[1][:-1]) < -1e-3

    def _forced(self, field: str, *, scored: bool = False) -> tuple[str, list[tuple[str, float]]] | None:
        return self._ask(
            lambda: self._client.chat(self._model, _PROBE, choices=(field, [_UNLIKELY]), scored=scored)
        )

    def _check_tokens(self, tokenizer: Any) -> None:
        """Raises `ModelError` where the server divides text otherwise; by number where it does not tell its tokens."""
        ours: Sequence[int] = tokenizer(_DIVIDED).input_ids
        theirs = self._ask(lambda: self._client.tokens(self._model, _DIVIDED))
        if theirs is not None:
            same = theirs == list(ours)
        else:
            counted = self._ask(lambda: self._client.count_tokens(self._model, _DIVIDED))
            same = counted is None or counted == len(ours)
        if not same:
            raise ModelError(
                f"{self._client.url}: {self._model} divides text into other tokens than the tokenizer of that name "
                "on this machine; remove or update the folder"
            )

    @staticmethod
    def _unlikely(tokenizer: Any) -> tuple[list[int], int]:
        """The tokens of our question, and the first one of an unlikely answer."""
        return list(tokenizer(_PROBE).input_ids), int(
            tokenizer(_UNLIKELY, add_special_tokens=False).input_ids[0]
        )

    @staticmethod
    def _ask(question: Callable[[], T]) -> T | None:
        try:
            return question()
        except RefusedError:
            return None


def served_tokenizer(name: str, root: str | None) -> tuple[Any, Path | None]:
    """The served model's tokenizer from a folder, from a model of this user's (`onkokode model add`) or from what
    the hub's client has stored already, and the folder. Nothing is fetched: only the server is talked to."""
    from transformers import AutoTokenizer

    installed = home() / "models" / name
    for source in dict.fromkeys(filter(None, (name, root, str(installed)))):
        folder = Path(source).expanduser()
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder) if folder.is_dir() else source, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, ImportError):
            continue
        return tokenizer, folder if folder.is_dir() else None
    return None, None
