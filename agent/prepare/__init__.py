"""Turns one German diagnosis text into what the models read; needs no catalogue and no model.

from agent.prepare import prepare
prepare("Z.n. Prostata-Ca, Gleason 3+4=7").diagnoses[0].core        # 'Prostatakarzinom'
"""

from agent.prepare.leading import core_of, leading
from agent.prepare.pipeline import MAX_CHARACTERS, prepare
from agent.prepare.records import Prepared, Segment

__all__ = ["MAX_CHARACTERS", "Prepared", "Segment", "core_of", "leading", "prepare"]
