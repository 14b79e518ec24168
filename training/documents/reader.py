"""Trains the reader (`agent.reading.tagger`) on composed documents.

    onkokode train reader --documents runs/documents.jsonl --out runs/reader

Three losses are added: the role of each piece, the move of each sentence, and whether two mentions speak of the same
tumour (binary, over all pairs of a document's mentions of the patient's tumours). Length-preserving noise - line breaks
instead of blanks, case, swapped letters - is put on anew in each epoch, so places stay right.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, trainers

from agent.models.loading import computes_bf16
from agent.reading.labels import MOVES, TAGS
from agent.reading.network import PADDING, WINDOW, Network, own_encoder
from agent.reading.pieces import Lexicon, pieces_of, word_splitter
from agent.reading.tagger import Tagger
from index.io.progress import Pace
from index.search.encoder import Encoder
from training.documents.annotated import is_held_out, load_annotated
from training.documents.calibration import fit_calibration
from training.plan import ReaderPlan
from training.runs import RUN_FILE, is_finished, keep_state, log, resume_state, same_run, write_json

PIECES = 8000
_IGNORED = -100
_WORDS = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")  # what a text is divided at, for `re`
_STEP = 64  # lengths are padded to its multiples
_TAG, _MOVE = ({name: n for n, name in enumerate(names)} for names in (TAGS, MOVES))
_LINE_BREAKS, _UPPER, _LOWER, _SWAPS = 0.25, 0.03, 0.06, 0.004
_STRANGERS = 0.03  # of the words, replaced by others of their length
_LONG_WORD = re.compile(r"[^\W\d_]{7,}")  # no negation is so long
_PIECE_DROPOUT = 0.1  # of the merges of BPE (Provilkov et al. 2020)


@dataclass(frozen=True, slots=True)
class Example:
    """A document as numbers: piece ids, tags, moves, and the tumour of each mention's first piece (-1: none); the number
    of each piece's word, and what is known of the words."""

    ids: np.ndarray
    tags: np.ndarray
    moves: np.ndarray
    tumours: np.ndarray
    words: np.ndarray
    vectors: np.ndarray

    def window(self, first: int) -> Example:
        """As many pieces as the network sees at once, from one on."""
        cut = slice(first, first + WINDOW)
        return Example(
            self.ids[cut], self.tags[cut], self.moves[cut], self.tumours[cut], self.words[cut], self.vectors
        )


def train_tokenizer(texts: Iterable[str], pieces: int = PIECES) -> Tokenizer:
    """A cased BPE tokenizer over words, single digits, marks and line breaks; blanks are no pieces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = word_splitter()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces, special_tokens=["<pad>", "<unk>"], continuing_subword_prefix="##",
        min_frequency=2, show_progress=False, limit_alphabet=300,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def example(
    document: dict[str, Any], tokenizer: Tokenizer, lexicon: Lexicon, text: str | None = None
) -> Example:
    """The labels of a composed document's pieces; `text` is the same with length-preserving noise."""
    pieces = pieces_of(text if text is not None else document["text"], tokenizer, lexicon)
    starts, ends = pieces.offsets[:, 0], pieces.offsets[:, 1]
    tags, moves = np.zeros((2, len(starts)), dtype=np.int64)
    tumours = np.full(len(starts), -1, dtype=np.int64)
    for said in document["sentences"]:
        first, last = np.searchsorted(starts, said["start"]), np.searchsorted(starts, said["end"])
        moves[first:last] = _MOVE.get(said["move"], 0)
    for mention in document["mentions"]:
        # A word may hold more than the slot: "Sigma" of "Sigmatumor".
        first = int(np.searchsorted(ends, mention["start"], side="right"))
        last = int(np.searchsorted(starts, mention["end"]))
        if first >= last:
            continue
        role = "name" if mention["role"] == "other" else mention["role"]
        tags[first], tags[first + 1 : last] = _TAG[f"B-{role}"], _TAG[f"I-{role}"]
        if mention["tumour"] is not None and mention["role"] != "other":
            tumours[first] = mention["tumour"]
    return Example(pieces.ids, tags, moves, tumours, pieces.words, pieces.vectors)


Strangers = Mapping[int, Sequence[str]]
"""Words by their length, to take the place of others."""


def strangers_of(texts: Iterable[str]) -> Strangers:
    """The long words of texts, each once."""
    found: dict[int, set[str]] = defaultdict(set)
    for text in texts:
        for word in _LONG_WORD.findall(text):
            found[len(word)].add(word)
    return {length: sorted(words) for length, words in found.items()}


def noisy(text: str, rng: random.Random, strangers: Strangers = MappingProxyType({})) -> str:
    """The text with noise that keeps its length: words that nobody expects there, wrapped lines, another case, swapped
    letters."""

    def replaced(match: re.Match[str]) -> str:
        words = strangers.get(len(match.group()), ())
        return rng.choice(words) if words and rng.random() < _STRANGERS else match.group()

    if strangers:
        text = _LONG_WORD.sub(replaced, text)
    draw = rng.random()
    if draw < _LINE_BREAKS:
        width, kept, column = rng.randint(50, 95), [], 0
        for character in text:
            column = 0 if character == "\n" else column + 1
            if character == " " and column >= width:
                character, column = "\n", 0
            kept.append(character)
        text = "".join(kept)
    draw = rng.random()
    if draw < _UPPER:
        text = "".join(c.upper() if len(c.upper()) == 1 else c for c in text)
    elif draw < _LOWER:
        text = text.lower() if len(text.lower()) == len(text) else text
    if rng.random() < 0.3:
        letters = list(text)
        for place in range(1, len(letters) - 2):
            if letters[place].isalpha() and letters[place + 1].isalpha() and rng.random() < _SWAPS:
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
        text = "".join(letters)
    return text


def batches(
    documents: Sequence[dict[str, Any]], tagger: Tagger, pieces: int, rng: random.Random, strangers: Strangers
) -> Iterator[list[Example]]:
    """One epoch in batches of so many pieces, documents of like lengths together."""
    order = list(range(len(documents)))
    rng.shuffle(order)
    for start in range(0, len(order), 1024):
        examples = []
        chunk = [(n, noisy(documents[n]["text"], rng, strangers)) for n in order[start : start + 1024]]
        # Asked for at once: the encoder is slow with few words.
        tagger.lexicon.vectors([word for _, text in chunk for word in _WORDS.findall(text)])
        for number, text in chunk:
            one = example(documents[number], tagger.tokenizer, tagger.lexicon, text)
            if len(one.ids) > WINDOW:
                one = one.window(rng.randrange(len(one.ids) - WINDOW + 1))
            if len(one.ids):
                examples.append(one)
        examples.sort(key=lambda one: len(one.ids))
        groups: list[list[Example]] = [[]]
        for one in examples:
            longest = _padded(len(one.ids))
            if groups[-1] and longest * (len(groups[-1]) + 1) > pieces:
                groups.append([])
            groups[-1].append(one)
        rng.shuffle(groups)
        yield from groups


def _padded(length: int) -> int:
    return -(-length // _STEP) * _STEP


def losses(network: Network, batch: Sequence[Example]) -> dict[str, torch.Tensor]:
    """The losses of a batch by head."""
    longest = _padded(max(len(one.ids) for one in batch))

    def stacked(name: str, filler: int) -> torch.Tensor:
        rows = np.full((len(batch), longest), filler, dtype=np.int64)
        for row, one in zip(rows, batch, strict=True):
            row[: len(one.ids)] = getattr(one, name)
        return torch.from_numpy(rows).to(network.device)

    ids, tags, moves = stacked("ids", PADDING), stacked("tags", _IGNORED), stacked("moves", _IGNORED)
    tumours = stacked("tumours", -1)
    mask = torch.zeros_like(ids)
    vectors = torch.zeros(len(batch), longest, batch[0].vectors.shape[1], device=network.device)
    for row, known, one in zip(mask, vectors, batch, strict=True):
        row[: len(one.ids)] = 1
        known[: len(one.ids)] = torch.from_numpy(one.vectors[one.words])
    kind = network.device.type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=kind != "cpu" or computes_bf16()):
        tag_scores, move_scores, links = network(ids, mask, vectors)
    pair_losses = []
    for row in range(len(batch)):
        places = (tumours[row] >= 0).nonzero().squeeze(1)
        if len(places) < 2:
            continue
        vectors, of = links[row, places].float(), tumours[row, places]
        scores = vectors @ vectors.T / vectors.shape[1] ** 0.5 + network.link_offset
        same = (of[:, None] == of[None, :]).float()
        above = torch.triu(torch.ones_like(same), diagonal=1) > 0
        pair_losses.append(F.binary_cross_entropy_with_logits(scores[above], same[above]))
    return {
        "tags": F.cross_entropy(tag_scores.float().flatten(0, 1), tags.flatten(), ignore_index=_IGNORED),
        "moves": F.cross_entropy(move_scores.float().flatten(0, 1), moves.flatten(), ignore_index=_IGNORED),
        "links": torch.stack(pair_losses).mean() if pair_losses else torch.zeros((), device=network.device),
    }


def train_reader(path: Path, out: Path, plan: ReaderPlan, start: Path | None = None) -> None:
    """Train a reader on the documents of a file (`onkokode train documents`) and on the annotated ones, into `out`. The
    losses on documents held out are logged before training and after each epoch. `start` is a reader to go on from.
    A killed run goes on where it was last saved.

    Raises:
        ModelError: `out` holds a run with other documents or another plan, `start` no reader.
    """
    composed = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    annotated = [json.loads(one.to_json()) for one in load_annotated()] if plan.annotated else []
    held_out = {
        "composed": composed[: plan.held_out],
        "annotated": [one for one in annotated if is_held_out(one["text"])],
    }
    learnt = [one for one in annotated if not is_held_out(one["text"])]
    documents = composed[plan.held_out :] + learnt * plan.annotated
    data = hashlib.sha256("\n".join(one["text"] for one in (*composed, *annotated)).encode()).hexdigest()
    settings = {"documents": data, "start": str(start) if start else None, "plan": asdict(plan)}
    same_run(out, settings)
    state = out / "checkpoint.safetensors"
    if is_finished(out):
        log.info(f"{out}: trained already")
        return
    torch.manual_seed(plan.seed)
    # A tokenizer that is trained again is another one.
    tagger, encoder = _tagger(documents, plan, out if start is None and state.is_file() else start)
    learning = [values for values in tagger.network.parameters() if values.requires_grad]
    before = [values.detach().clone() for values in learning] if plan.keep else []
    optimiser = torch.optim.AdamW(learning, lr=plan.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    steps = _steps(documents, tagger, plan)
    warm = min(200, steps // 10 + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, max(0.01, 1 - step / steps))
    )
    size = sum(values.numel() for values in learning)
    log.info(
        f"reader: {size:,} parameters to learn, {len(composed)} composed and {len(learnt)} annotated documents, about {steps} steps"
    )

    def measure(when: str) -> None:
        for name, rows in held_out.items():
            if rows:
                log.info(f"{when}: {name} held out {_shown(measured(tagger, rows, plan))}")

    done = resume_state(state, learning, optimiser, schedule)
    if done:
        log.info(f"goes on from step {done}")
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / RUN_FILE, settings)
        measure("before training")
    strangers = strangers_of(one["text"] for one in documents)
    pace = Pace(steps, "steps", log.info, done=done)
    step = 0
    running: dict[str, float] = {}
    for epoch in range(plan.epochs):
        rng = random.Random(f"{plan.seed}/{epoch}")
        tagger.network.train()
        # A language model knows the pieces that it has learnt.
        tagger.tokenizer.model.dropout = _PIECE_DROPOUT if tagger.base is None else None
        for batch in batches(documents, tagger, plan.pieces, rng, strangers):
            step += 1
            if step <= done:
                continue
            found = losses(tagger.network, batch)
            optimiser.zero_grad()
            torch.stack(list(found.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimiser.step()
            schedule.step()
            for name, value in found.items():
                running[name] = 0.95 * running.get(name, float(value.detach())) + 0.05 * float(value.detach())
            pace.step(1, lambda: _shown(running))
            if step % plan.save_steps == 0:
                tagger.save(out, encoder)
                keep_state(state, learning, optimiser, step)
        tagger.network.eval()
        tagger.tokenizer.model.dropout = None
        if step > done:
            measure(f"epoch {epoch + 1}")
    if plan.keep:
        with torch.no_grad():
            for values, old in zip(learning, before, strict=True):
                values.lerp_(old, plan.keep)
        measure(f"{1 - plan.keep:g} of it and {plan.keep:g} of before")
    tagger.calibration = fit_calibration(tagger, held_out["annotated"])
    tagger.save(out, encoder)
    write_json(out / RUN_FILE, settings | {"finished": True})
    state.unlink(missing_ok=True)


def _steps(documents: Sequence[dict[str, Any]], tagger: Tagger, plan: ReaderPlan) -> int:
    """About so many: what noise does to the lengths of documents is not known before."""
    sample = [documents[n] for n in range(0, len(documents), max(1, len(documents) // 2000))]
    lengths = [_padded(min(len(tagger.tokenizer.encode(one["text"]).ids), WINDOW)) for one in sample]
    return max(1, int(plan.epochs * sum(lengths) / len(lengths) * len(documents) / plan.pieces * 1.08))


def _tagger(documents: Sequence[dict[str, Any]], plan: ReaderPlan, start: Path | None) -> tuple[Tagger, str]:
    """A new tagger, or that of `start`, and the fingerprint of its encoder."""
    encoder = Encoder.load()
    if start is not None:
        return Tagger.load(encoder, start, trainable=True), encoder.fingerprint
    if plan.model is not None:
        return Tagger.new(plan.model, plan.layers or 12, plan.rank, Lexicon(encoder)), encoder.fingerprint
    rng = random.Random(plan.seed)
    tokenizer = train_tokenizer(noisy(one["text"], rng) for one in documents[-20_000:])
    lexicon = Lexicon(encoder)
    own = own_encoder(tokenizer.get_vocab_size(), width=plan.width, layers=plan.layers or 4)
    return Tagger(Network(own, lexicon.width), tokenizer, lexicon), encoder.fingerprint


@torch.inference_mode()
def measured(tagger: Tagger, documents: Sequence[dict[str, Any]], plan: ReaderPlan) -> dict[str, float]:
    """The mean losses on documents."""
    sums: dict[str, list[float]] = {}
    for batch in batches(documents, tagger, plan.pieces, random.Random(plan.seed), {}):
        for name, value in losses(tagger.network, batch).items():
            sums.setdefault(name, []).append(float(value))
    return {name: sum(values) / len(values) for name, values in sums.items()}


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
