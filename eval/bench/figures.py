"""The accuracy figures: held-out catalogue lines, the development sets, and our own clinical texts.

    section = measure_heldout(agent, split.held_out)             # an agent that has never seen those lines
    section = measure_devsets(agent, read_development_sets(shared))
    section = measure_clinical(agent, read_testset(CLINICAL))

`agent` is anything with the methods of `Agent`; the tests use one that answers from a script. How answers are
scored stands in `eval.scoring`, how figures are written in `eval.report.report`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

from agent.results import CodedText, Coding
from eval.report.report import Section, Share, tracked
from eval.scoring import Score, coded, coverage_at_error, first_choice, first_confidence, score
from eval.statistics import mcnemar, wilson
from eval.testset import LETTERS, Row
from index.catalogue.layouts import CatalogueFile, NotACatalogue, parse_all
from index.catalogue.store import walk
from index.records import AXES, Candidate, CatalogueLine, CodeSystem
from index.text import term_key

RECALL_AT = (1, 5, 10, 20, 50)
_ASKED_RECALL = {20: 0.98}
_BATCH = 256
_T = TypeVar("_T")
_AXIS_NAMES = {
    CodeSystem.ICD10GM: "ICD-10",
    CodeSystem.TOPOGRAPHY: "topography",
    CodeSystem.MORPHOLOGY: "morphology",
}
_PARTIAL_NAMES = {
    CodeSystem.ICD10GM: "partial",
    CodeSystem.TOPOGRAPHY: "partial",
    CodeSystem.MORPHOLOGY: "partial (histology)",
}


class Finds(Protocol):
    """What retrieval offers; `index.search.retriever.Retriever` is one."""

    def retrieve(self, texts: Sequence[str], system: CodeSystem, k: int = 20) -> list[list[Candidate]]: ...


class Agent(Protocol):
    """What the figures need of an agent; `agent.CodingAgent` is one. An agent may also have
    `arms(texts, system)`, the codes that each part would choose alone, by the name of the part."""

    @property
    def retriever(self) -> Finds: ...

    def code_many(self, texts: Iterable[str]) -> Iterator[CodedText]: ...

    def info(self) -> Mapping[str, Any]: ...


def catalogue_files(shared: Path) -> list[CatalogueFile]:
    """Every catalogue in `shared/catalogues`, parsed; files that are none are left out."""
    found: list[CatalogueFile] = []
    for path in tracked(list(walk([shared / "catalogues"])), "catalogue files"):
        try:
            found += parse_all(path)
        except NotACatalogue:
            continue
    return found


def measure_heldout(
    agent: Agent, lines: Sequence[CatalogueLine], *, recall_at: Sequence[int] = RECALL_AT
) -> Section:
    """Retrieval and decision on the ICD-10 axis, over catalogue lines that the agent has not seen."""
    system = CodeSystem.ICD10GM
    section = Section("heldout", "Held-out lines of the alphabet 2023, C00-D48", "onkokode eval heldout")
    texts, gold = [line.text for line in lines], [line.code for line in lines]
    for k in recall_at:
        hits = _recalled(agent.retriever, texts, gold, k)
        section.shares.append(Share.of(f"retrieval recall@{k}", hits, asked=_ASKED_RECALL.get(k)))
    answers = list(tracked(agent.code_many(texts), "decision", len(texts)))
    codings = [answer.coding(system) for answer in answers]
    firsts = score(gold, [first_choice(coding) for coding in codings], system)
    committed = score(gold, [coded(coding) for coding in codings], system)
    section.shares += [
        Share.of("combined, first choice: exact", firsts.exact_hits, asked=0.88),
        Share.of("combined, first choice: partial", firsts.partial_hits, asked=0.92),
        _malformed("combined, first choice: malformed", firsts, asked=0.0),
        Share.of("combined, coded: exact", committed.exact_hits),
        Share.of("combined, coded: partial", committed.partial_hits),
        Share.of("combined: abstained", [coding.abstained for coding in codings]),
        Share.of("recognised as a tumour", [answer.tumour for answer in answers]),
    ]
    _add_arms(section, agent, texts, gold, firsts)
    confidences = [first_confidence(coding) for coding in codings]
    covered = coverage_at_error(confidences, firsts.exact_hits)
    section.shares.append(
        Share.of("coverage at 2 % error, by confidence", [i < covered.accepted for i in range(len(lines))])
    )
    section.details["coverage_at_2_percent_error"] = asdict(covered)
    section.notes += [
        "The lines' terms are removed from every catalogue file and the lexicon before the index is built; "
        "that encoder, model and adapter have not seen them is for their model cards to say.",
        "First choice: where the axis abstains, its first alternative counts. Coded: abstaining is wrong.",
        "The threshold of the coverage is chosen on the same lines, so it is an upper bound.",
    ]
    section.rows = [
        {
            "row": line.line_id,
            "gold": line.code,
            "first_choice": first_choice(coding),
            "confidence": round(confidence, 4),
            "abstained": coding.abstained,
        }
        for line, coding, confidence in zip(lines, codings, confidences, strict=True)
    ]
    return section


def measure_devsets(agent: Agent, rows: Sequence[Row], lines: Iterable[CatalogueLine] = ()) -> Section:
    """The development sets of the shared folder, through the public API. Rows are not recorded one by one:
    nothing may be tuned on single rows of them. Rows that none of `lines` (all that training may have read)
    says are measured once more by themselves."""
    section = Section(
        "devsets", "Development sets (small; first figures of the public API)", "onkokode eval devsets"
    )
    answers = _answers(agent, rows)
    _add_recognition(section, rows, answers, asked=0.92)
    for system in AXES:
        _add_axis(
            section, rows, answers, system, asked_partial=0.80 if system is CodeSystem.ICD10GM else None
        )
    _add_letters(section, rows, answers, agent)
    if known := {term_key(line.text) for line in lines}:
        new = [i for i, row in enumerate(rows) if term_key(row.text) not in known]
        _add_unread(section, [rows[i] for i in new], [answers[i] for i in new])
    section.notes += [
        "Recognition: all rows whose note says tumour or non_tumour. Codes: tumour rows that have one; rows whose "
        "text is literally a catalogue line stand apart; exact leaves out doubtful codes and subsites that the "
        "text does not name.",
        "Clustered: bootstrap over clusters, since some letters are near-duplicates of one another.",
        "These sets are not the unpublished texts of the study: do not set the figures beside published ones.",
    ]
    return section


def measure_recognition(agent: Agent, rows: Sequence[Row], others: Mapping[str, Sequence[str]]) -> Section:
    """Tumour recognition on the development sets and on sets of texts that are no tumour diagnosis, by name."""
    section = Section("recognition", "Tumour recognition", "onkokode eval recognition")
    stated = [
        (row, answer.tumour)
        for row, answer in zip(rows, _answers(agent, rows), strict=True)
        if row.tumour_stated
    ]
    section.shares.append(_recognised("development sets", stated, asked=0.98))
    right = [row.tumour == said for row, said in stated]
    for name, texts in others.items():
        hits = [not answer.tumour for answer in tracked(agent.code_many(texts), name, len(texts))]
        section.shares.append(Share.of(name, hits, asked=0.98))
        right += hits
    section.shares.append(Share.of("all together", right, asked=0.99))
    section.notes.append(
        "The catalogue lines are those that training kept back (one in twenty, by the hash of the text)."
    )
    return section


def _add_letters(section: Section, rows: Sequence[Row], answers: Sequence[CodedText], agent: Agent) -> None:
    """Whole diagnosis blocks: all rows of a letter, a line each, against its tumour's line by itself."""
    letters: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.file == LETTERS:
            letters.setdefault(row.source_id, []).append(i)
    tumours = [
        (next((i for i in own if rows[i].tumour and rows[i].icd10), None), own) for own in letters.values()
    ]
    chosen = [(i, own) for i, own in tumours if i is not None]
    if not chosen:
        return
    blocks = list(agent.code_many(["\n".join(rows[i].text for i in own) for _, own in chosen]))
    gold = [rows[i].icd10 or "" for i, _ in chosen]
    clusters = [rows[i].cluster for i, _ in chosen]
    for name, said in (
        ("tumour's line alone", [answers[i] for i, _ in chosen]),
        ("whole diagnosis block", blocks),
    ):
        scored = score(gold, [first_choice(answer.icd10gm) for answer in said], CodeSystem.ICD10GM)
        section.shares.append(
            Share.of(f"letters, {name}: ICD-10 partial", scored.partial_hits, clusters=clusters)
        )


def _add_unread(section: Section, rows: Sequence[Row], answers: Sequence[CodedText]) -> None:
    """The same for the rows whose text is no line of any catalogue or of the lexicon."""
    pairs = list(zip(rows, answers, strict=True))
    stated = [(row, answer.tumour) for row, answer in pairs if row.tumour_stated]
    coded_rows = [(row, answer) for row, answer in pairs if row.tumour and row.icd10]
    partial = score(
        [row.icd10 or "" for row, _ in coded_rows],
        [first_choice(answer.icd10gm) for _, answer in coded_rows],
        CodeSystem.ICD10GM,
    )
    section.shares += [
        _recognised("texts that no catalogue says: tumour recognition", stated),
        Share.of("texts that no catalogue says: ICD-10 partial, first choice", partial.partial_hits),
    ]


def measure_clinical(agent: Agent, rows: Sequence[Row], name: str = "clinical") -> Section:
    """Short clinical texts with their codes, with a record per row; `name` is that of the test set."""
    section = Section(name, f"Clinical texts ({name}.tsv)", "onkokode eval clinical")
    answers = _answers(agent, rows)
    _add_recognition(section, rows, answers)
    for system in AXES:
        _add_axis(section, rows, answers, system)
    section.notes.append(
        "The texts and their codes are made by the project; they show use, not a clinic's mix."
    )
    section.rows = [
        {
            "row": f"{row.file}:{row.number}",
            "tumour": [row.tumour, answer.tumour],
            **{
                system.value: [row.gold(system), first_choice(answer.coding(system))]
                for system in AXES
                if row.gold(system)
            },
        }
        for row, answer in zip(rows, answers, strict=True)
    ]
    return section


def measure_composed(agent: Agent, texts: Sequence[str], codes: Sequence[Sequence[str | None]]) -> Section:
    """Composed clinical texts of site-and-morphology pairs that no training saw; `codes` follow AXES, None where
    a text determines none."""
    section = Section(
        "composed", "Composed clinical texts, held out by site and morphology", "onkokode eval composed"
    )
    answers = list(tracked(agent.code_many(texts), "texts", len(texts)))
    for place, system in enumerate(AXES):
        pairs = [(gold[place], answer) for gold, answer in zip(codes, answers, strict=True) if gold[place]]
        for label, answer_of in (("first choice", first_choice), ("coded", coded)):
            said = [answer_of(answer.coding(system)) for _, answer in pairs]
            scored = score([code or "" for code, _ in pairs], said, system)
            name = f"{_AXIS_NAMES[system]}, {label}"
            section.shares.append(Share.of(f"{name}: exact", scored.exact_hits))
            section.shares.append(Share.of(f"{name}: {_PARTIAL_NAMES[system]}", scored.partial_hits))
    section.shares.append(Share.of("recognised as a tumour", [answer.tumour for answer in answers]))
    section.notes.append("The texts have the same author as the training texts, and flatter for it.")
    return section


def _recalled(retriever: Finds, texts: Sequence[str], gold: Sequence[str], k: int) -> list[bool]:
    """Whether the right code is among the k candidates. Each k is asked for by itself, because the list's last
    places go to lexical finds and so differ with k."""
    hits: list[bool] = []
    for start in tracked(range(0, len(texts), _BATCH), f"recall@{k}"):
        found = retriever.retrieve(texts[start : start + _BATCH], CodeSystem.ICD10GM, k)
        hits += [
            code in [candidate.code for candidate in candidates[:k]]
            for code, candidates in zip(gold[start : start + _BATCH], found, strict=True)
        ]
    return hits


def _add_arms(
    section: Section, agent: Agent, texts: Sequence[str], gold: Sequence[str], combined: Score
) -> None:
    """What each part of the decision would have chosen alone, and whether the combination beats it."""
    arms = getattr(agent, "arms", None)
    if arms is None:
        section.notes.append("This agent does not say what its parts would choose alone.")
        return
    for name, codes in arms(texts, CodeSystem.ICD10GM).items():
        alone = score(gold, codes, CodeSystem.ICD10GM)
        section.shares += [
            Share.of(f"{name} alone: exact", alone.exact_hits),
            Share.of(f"{name} alone: partial", alone.partial_hits),
            _malformed(f"{name} alone: malformed", alone),
        ]
        section.details[f"mcnemar_combined_against_{name}"] = asdict(
            mcnemar(combined.exact_hits, alone.exact_hits)
        )


def _answers(agent: Agent, rows: Sequence[Row]) -> list[CodedText]:
    return list(tracked(agent.code_many([row.text for row in rows]), "texts", len(rows)))


def _add_recognition(
    section: Section, rows: Sequence[Row], answers: Sequence[CodedText], asked: float | None = None
) -> None:
    stated = [(row, answer.tumour) for row, answer in zip(rows, answers, strict=True) if row.tumour_stated]
    section.shares += [
        _recognised("tumour recognition: accuracy", stated, asked),
        _recognised("tumour recognition: sensitivity", [pair for pair in stated if pair[0].tumour]),
        _recognised("tumour recognition: specificity", [pair for pair in stated if not pair[0].tumour]),
    ]
    files = dict.fromkeys(row.file for row, _ in stated)
    if len(files) > 1:
        section.shares += [
            _recognised(f"tumour recognition, {file}", [pair for pair in stated if pair[0].file == file])
            for file in files
        ]


def _add_axis(
    section: Section,
    rows: Sequence[Row],
    answers: Sequence[CodedText],
    system: CodeSystem,
    asked_partial: float | None = None,
) -> None:
    """Exact, partial and malformed on one axis, over the tumour rows that have a code for it."""
    pairs = [
        (row, answer) for row, answer in zip(rows, answers, strict=True) if row.tumour and row.gold(system)
    ]
    name = _AXIS_NAMES[system]
    own = [pair for pair in pairs if not pair[0].in_alpha_id]
    for label, answer_of in (("first choice", first_choice), ("coded", coded)):
        scored = _scored(own, system, answer_of)
        clusters = [row.cluster for row, _ in own]
        counts = [row.exact_counts for row, _ in own]
        asked = asked_partial if label == "first choice" else None
        section.shares += [
            Share.of(
                f"{name}, {label}: exact",
                _only(scored.exact_hits, counts),
                clusters=_only(clusters, counts),
            ),
            Share.of(
                f"{name}, {label}: {_PARTIAL_NAMES[system]}",
                scored.partial_hits,
                clusters=clusters,
                asked=asked,
            ),
        ]
        if label == "first choice":
            section.shares.append(_malformed(f"{name}, {label}: malformed", scored))
    section.shares.append(
        Share.of(f"{name}: abstained", [answer.coding(system).abstained for _, answer in own])
    )
    literal = [pair for pair in pairs if pair[0].in_alpha_id]
    if literal:
        scored = _scored(literal, system, first_choice)
        section.shares += [
            Share.of(f"{name}, texts that are catalogue lines: exact", scored.exact_hits),
            Share.of(f"{name}, texts that are catalogue lines: partial", scored.partial_hits),
        ]


def _recognised(name: str, stated: Sequence[tuple[Row, bool]], asked: float | None = None) -> Share:
    hits = [row.tumour == said for row, said in stated]
    return Share.of(name, hits, clusters=[row.cluster for row, _ in stated], asked=asked)


def _scored(
    pairs: Sequence[tuple[Row, CodedText]], system: CodeSystem, answer_of: Callable[[Coding], str | None]
) -> Score:
    gold = [row.gold(system) or "" for row, _ in pairs]
    return score(gold, [answer_of(answer.coding(system)) for _, answer in pairs], system)


def _malformed(name: str, scored: Score, asked: float | None = None) -> Share:
    interval = wilson(scored.malformed, scored.n)
    return Share(name, scored.malformed, scored.n, interval, asked=asked, at_most=True)


def _only(values: Sequence[_T], wanted: Sequence[bool]) -> list[_T]:
    return [value for value, keep in zip(values, wanted, strict=True) if keep]
