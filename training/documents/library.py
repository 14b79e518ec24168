"""The voices' rows by move, and their frames by status: what a writer draws from.

library = Library(load_voices())
library.candidates(rng, voice, "lesion", running=True)
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from training.documents.skeletons import PARAGRAPH, Frame, Skeleton, Voice, Whole
from training.texts.wrappers import one

_OWN_VOICE, _OWN_KIND = 0.55, 0.9
# Whose sentences run on behind a list of diagnoses.
_RUNNING = {"list": ("letter", "practice", "aftercare")}


class Library:
    """The voices' rows by move, and their frames by status."""

    def __init__(self, voices: Sequence[Voice]) -> None:
        self.frames: dict[str, list[tuple[Voice, Frame]]] = defaultdict(list)
        self.rows: dict[str, dict[str, list[Skeleton]]] = defaultdict(lambda: defaultdict(list))
        self.kinds: dict[str, set[str]] = defaultdict(set)
        self.documents: tuple[tuple[Voice, Whole], ...] = tuple(
            (voice, document) for voice in voices for document in voice.documents
        )
        for voice in voices:
            self.kinds[voice.kind].add(voice.name)
            for frame in voice.frames:
                self.frames[frame.status].append((voice, frame))
            for skeleton in voice.skeletons:
                move = skeleton.moves[0] if len(skeleton.moves) == 1 else PARAGRAPH
                self.rows[voice.name][move].append(skeleton)

    def candidates(self, rng: random.Random, voice: Voice, move: str, running: bool) -> list[Skeleton]:
        """Rows of a move, mostly of the voice or of its kind; running text of a list's document is a letter's."""
        kinds = _RUNNING.get(voice.kind, (voice.kind,)) if running else (voice.kind,)
        own = (
            voice.name
            if voice.kind in kinds
            else one(rng, tuple(sorted(self.kinds[kinds[0]] or [voice.name])))
        )
        draw = rng.random()
        if draw < _OWN_VOICE and self.rows[own][move]:
            return self.rows[own][move]
        if draw < _OWN_KIND:
            rows = [
                row for kind in kinds for name in sorted(self.kinds[kind]) for row in self.rows[name][move]
            ]
            if rows:
                return rows
        # An entry of a list and a sentence of a letter are too different to be mixed.
        others = [kind for kind in self.kinds if (kind == "list") == (voice.kind == "list" and not running)]
        return [
            row
            for kind in sorted(others)
            for name in sorted(self.kinds[kind])
            for row in self.rows[name][move]
        ]
