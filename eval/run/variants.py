"""The arms of the ablation as small YAML files.

    variants = read_variants([Path("eval/run/variants")])
    variants[0].name, variants[0].answer              # 'agent', 'agent'

A variant names its adapter by role, never by path, so that the same files serve any model: `none`, `plain`
(trained without candidates) or `candidates` (trained with retrieved candidates in its prompts).

    answer: retrieval     the code with the largest share of retrieval; no language model
    answer: written       what the model writes, greedily; the first code counts (agent.answers), none is malformed
    answer: scored        the model's own distribution over the codes that it is asked about
    answer: fused         that and the retrieval's distribution, fused with fitted weights, each axis by itself
    answer: agent         the whole agent through its public API
    answer: candidates    no answer: whether the lists of k candidates that retrieval makes hold the given code
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import get_args, get_type_hints

from index.errors import OnkokodeError

VARIANTS = Path(__file__).parent / "variants"
ANSWERS = ("retrieval", "written", "scored", "fused", "agent", "candidates")
WITHOUT_MODEL = ("retrieval", "candidates")
ADAPTERS = ("none", "plain", "candidates")


class VariantError(OnkokodeError):
    """A variant file that cannot be used; the message names file, key and remedy."""


@dataclass(frozen=True)
class Variant:
    """An arm. `candidates` is how many retrieved lines its prompt shows; None as the adapter's `onkokode.json`
    says. `examples` is how many answered questions stand before it. `max_new_tokens` bounds what it writes."""

    name: str
    about: str
    answer: str
    adapter: str = "none"
    candidates: int | None = None
    examples: int = 0
    thinking: bool = False
    max_new_tokens: int = 24


def read_variants(paths: Iterable[Path]) -> tuple[Variant, ...]:
    """The variants of files, and of the `*.yaml` of folders, by name.

    Raises:
        VariantError: a file is missing, no YAML mapping, lacks a key, has one that is not known or of another type,
            contradicts itself, or two files have the same name inside.
    """
    files: list[Path] = []
    for path in paths:
        own = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not own:
            raise VariantError(f"{path}: holds no variant (*.yaml)")
        files += own
    found: dict[str, Variant] = {}
    for file in files:
        variant = read_variant(file)
        if variant.name in found:
            raise VariantError(f"{file}: name: {variant.name} is taken by another file; choose another")
        found[variant.name] = variant
    return tuple(found[name] for name in sorted(found))


def read_variant(file: Path) -> Variant:
    """One file. Raises `VariantError`."""
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise VariantError(f"{file}: cannot be read; check the path") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        raise VariantError(f"{file}, row {where.line + 1 if where else 1}: is no YAML") from None
    if not isinstance(values, dict):
        raise VariantError(f"{file}: holds no keys; a variant needs name, about and answer")
    types = get_type_hints(Variant)
    for key, value in values.items():
        if key not in types:
            raise VariantError(f"{file}: {key}: is no key of a variant; known are {', '.join(types)}")
        allowed = get_args(types[key]) or (types[key],)
        if type(value) not in allowed:
            names = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in allowed)
            raise VariantError(f"{file}: {key}: {value!r} is no {names}")
    for one in fields(Variant):
        if one.default is MISSING and one.name not in values:
            raise VariantError(f"{file}: {one.name}: is missing")
    variant = Variant(**values)
    if problem := _contradiction(variant):
        raise VariantError(f"{file}: {problem}")
    return variant


def _contradiction(variant: Variant) -> str | None:
    """What cannot be done with the keys together, as `key: what is wrong`."""
    name, answer, adapter, candidates = variant.name, variant.answer, variant.adapter, variant.candidates
    if not name or not all(sign.isalnum() or sign in "-_" for sign in name):
        return "name: use letters, digits, - and _ only; it names a folder"
    if answer not in ANSWERS:
        return f"answer: {answer} is none of {', '.join(ANSWERS)}"
    if adapter not in ADAPTERS:
        return f"adapter: {adapter} is none of {', '.join(ADAPTERS)}"
    if answer in WITHOUT_MODEL and (adapter != "none" or candidates):
        return f"answer: {answer} asks no model; leave out adapter and candidates"
    if answer == "agent" and candidates is not None:
        return "candidates: the agent shows as many as its adapter asks for; leave it out"
    if candidates is not None and candidates < 0:
        return "candidates: cannot be negative"
    if not 0 <= variant.examples <= 3:
        return "examples: there are three"
    if variant.max_new_tokens < 1:
        return "max_new_tokens: has to be at least 1"
    if variant.thinking and answer != "written":
        return "thinking: is for answer: written only; the others write nothing"
    return None
