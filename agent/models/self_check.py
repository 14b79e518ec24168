"""One known text at loading: do the embedded models still say what they were trained to say?

    check_encoder(encoder)
    check_model(model, prompts)
    check_recogniser(recogniser)

Numbers can be finite and of the right shape and yet be those of another model: weights of another training, a
tokenizer that numbers its tokens otherwise. A text of our own wording, which each part answers with a wide margin,
tells within a few hundredths of a second. Catalogues have no part in it, so a user's own cannot spoil it.
"""

from __future__ import annotations

import numpy as np

from agent.decide.recognise import Recogniser
from agent.models.base import CodeModel, Question
from agent.models.prompts import Prompts
from index.errors import ModelError
from index.records import AXES, CodeSystem
from index.search.encoder import Encoder

TEXT = "Kleinzelliges Bronchialkarzinom im Oberlappen"
CODES = {CodeSystem.ICD10GM: "C34.1", CodeSystem.TOPOGRAPHY: "C34.1", CodeSystem.MORPHOLOGY: "8041/3"}
NO_TUMOUR = "Arterielle Hypertonie"
_LIKELY = np.log(0.5)
_REMEDY = "its weights are not those that belong together; install onkokode again"


def check_encoder(encoder: Encoder) -> None:
    """Raises `ModelError` unless the nearest prototype of the text stands for its code, on each axis."""
    for axis, code in CODES.items():
        prototypes = encoder.prototypes(axis)
        found = None
        if prototypes is not None and len(prototypes.codes):
            [vector] = encoder.encode([TEXT], axis)
            found = prototypes.codes[int(np.argmax(prototypes.vectors @ vector))]
        if found != code:
            raise ModelError(
                f"{encoder.name}: the encoder places a known text at {found} instead of {code}; {_REMEDY}"
            )


def check_model(model: CodeModel, prompts: Prompts) -> None:
    """Raises `ModelError` unless the language model finds the text's codes likely, and that it is a tumour."""
    asked = [Question(prompts.question(TEXT, axis), (prompts.answer(CODES[axis], axis),)) for axis in AXES]
    asked.append(Question(prompts.tumour_question(TEXT), (prompts.tumour_answer(True),)))
    [scores] = model.score([asked])
    for question, (score,) in zip(asked, scores, strict=True):
        if not score > _LIKELY:
            raise ModelError(
                f"{model.name}: the language model gives {question.answers[0]} {np.exp(score):.0%} for a known text; "
                f"{_REMEDY}"
            )


def check_recogniser(recogniser: Recogniser) -> None:
    """Raises `ModelError` unless the text is a tumour and another one is none."""
    tumour, none = recogniser.log_odds([TEXT, NO_TUMOUR])
    if not tumour > 0 > none:
        raise ModelError(f"the recogniser does not tell a known tumour from {NO_TUMOUR}; {_REMEDY}")
