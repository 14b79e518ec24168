"""Codes German tumour diagnosis texts with ICD-10-GM and ICD-O-3.

from agent import CodingAgent
CodingAgent.load().code("Mamma-Ca li. oben außen, G2").icd10gm.code        # 'C50.4'

agent     the public class; results  its answers; resources  what it loads
graph     the steps from text to answer; state  what travels through them; untraced  and tells nobody
prepare/  from a clinical text to the stretches that name a diagnosis
models/   language models, on this machine or served, and how they are asked
reading/  whole documents: which tumours a patient has
decide/   from scores to codes, or to an abstention with its reason
parallel/ how the machine's cores are shared
apps/     command line, files, registry messages, FHIR, service, review
weights/  the models that ship
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Before torch is loaded: threads that wait by spinning take the cores from each other on a busy machine
# (36 instead of 270 texts a second beside two other processes).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from agent.agent import CodingAgent
    from agent.prepare import Case
    from agent.results import CodedText, Coding

__all__ = ["Case", "CodedText", "Coding", "CodingAgent"]


def __getattr__(name: str) -> Any:
    # Heavy imports wait until a name is used, so that `onkokode --help` is quick.
    if name == "CodingAgent":
        from agent.agent import CodingAgent

        return CodingAgent
    if name == "Case":
        from agent.prepare import Case

        return Case
    if name in ("CodedText", "Coding"):
        from agent import results

        return getattr(results, name)
    raise AttributeError(f"module 'agent' has no attribute {name!r}")
