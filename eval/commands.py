"""The command group `onkokode eval`: measure, print the figures, and write them to `docs/results`.

onkokode eval figures                     all of them, about a quarter of an hour on two cores
onkokode eval heldout --shared ../shared --encoder index/search/weights/encoder-measured
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from agent.apps.options import OutputFolder
from eval.ceiling_commands import annotate_command, ceiling_command
from eval.export_commands import export_command
from eval.report.commands import report_command
from eval.run.commands import ls_command, run_command, validate_command
from eval.unchanged import unchanged_command
from index.errors import OnkokodeError

if TYPE_CHECKING:
    from agent import CodingAgent
    from eval.report.report import Section

_ROOT = Path(__file__).resolve().parents[1]


class Weights(TypedDict):
    """Folders or hub names; None is the embedded default."""

    model: str | None
    adapter: str | None
    encoder: str | None


@dataclass(frozen=True)
class Options:
    """What all commands take: where the shared files lie, where results go, which weights are measured."""

    shared: Path
    out: Path
    weights: Weights

    def agent(self) -> CodingAgent:
        """The agent as users have it, with what they added to their catalogue."""
        from agent import CodingAgent

        return CodingAgent.load(**self.weights)

    def with_shared(self) -> Path:
        """The shared folder. Raises `OnkokodeError` where it holds no catalogue files."""
        if not (self.shared / "catalogues").is_dir():
            raise OnkokodeError(f"{self.shared}: holds no folder catalogues; name the folder with --shared")
        return self.shared


@click.group("eval")
def evaluate() -> None:
    """Measure accuracy and speed, and write the figures down."""


for _command in (
    run_command,
    ls_command,
    validate_command,
    report_command,
    annotate_command,
    ceiling_command,
    export_command,
    unchanged_command,
):
    evaluate.add_command(_command)


def _measuring(command: Callable[..., None]) -> Callable[..., None]:
    """The options that all commands share; our own errors end in one line without a stack trace."""

    @click.option(
        "--shared",
        type=click.Path(path_type=Path),
        default=lambda: _ROOT / os.environ.get("ONKOKODE_SHARED", "../shared"),
        help="The folder with catalogues/ and evalsets/. Default: ONKOKODE_SHARED, else ../shared.",
    )
    @click.option(
        "--out",
        type=OutputFolder(),
        default=Path("docs/results"),
        show_default=True,
        help="Where Markdown and JSON go.",
    )
    @click.option("--model", help="Language model: folder or hub name. Default: the embedded one.")
    @click.option("--adapter", help="LoRA adapter: folder or hub name.")
    @click.option("--encoder", help="Encoder: folder or hub name. Default: the embedded one.")
    @wraps(command)
    def with_options(
        shared: Path, out: Path, model: str | None, adapter: str | None, encoder: str | None, **own: Any
    ) -> None:
        weights = Weights(model=model, adapter=adapter, encoder=encoder)
        command(Options(shared.resolve(), out, weights), **own)

    return with_options


_corpus = click.option(
    "--corpus",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("runs/models/corpus"),
    show_default=True,
    help="Corpus of `onkokode train all`, for its held-out composed texts.",
)


@evaluate.command("figures")
@_measuring
def figures_command(options: Options) -> None:
    """All figures, each written as soon as it is measured."""
    options.with_shared()
    measured = _heldout_agent(options)
    _finish(options, _heldout(*measured), measured[0])
    _finish(options, _faiss(measured[0]), measured[0])
    del measured
    agent = options.agent()
    for section in (_devsets, _recognition, _clinical, _speed):
        _finish(options, section(options, agent), agent)


@evaluate.command("heldout")
@_measuring
def heldout_command(options: Options) -> None:
    """Held-out catalogue lines: retrieval, decision and its parts, on an index without those lines."""
    measured = _heldout_agent(options)
    _finish(options, _heldout(*measured), measured[0])


@evaluate.command("devsets")
@_measuring
def devsets_command(options: Options) -> None:
    """The development sets of the shared folder."""
    agent = options.agent()
    _finish(options, _devsets(options, agent), agent)


@evaluate.command("clinical")
@click.option(
    "--testset",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Texts with codes in the columns of eval/testsets/clinical.tsv, which is the default.",
)
@_measuring
def clinical_command(options: Options, testset: Path | None) -> None:
    """Our own clinical texts, or a test set of yours."""
    agent = options.agent()
    _finish(options, _clinical(options, agent, testset), agent)


@evaluate.command("recognition")
@click.option("--rows", default=2000, show_default=True, help="Texts of each kind that is no tumour.")
@_measuring
def recognition_command(options: Options, rows: int) -> None:
    """Tumour or not: development sets, procedures, and diagnoses of other chapters."""
    agent = options.agent()
    _finish(options, _recognition(options, agent, rows), agent)


@evaluate.command("composed")
@_corpus
@click.option("--rows", default=2000, show_default=True, help="Texts to measure on.")
@_measuring
def composed_command(options: Options, corpus: Path, rows: int) -> None:
    """Composed clinical texts whose pair of site and morphology no training saw."""
    from eval.bench.figures import measure_composed
    from training.corpus import NONE, UNKNOWN, read_rows

    held_out = read_rows(corpus / "composed_heldout.parquet")[:rows]
    codes = [[None if code in (NONE, UNKNOWN) else code for code in row.codes] for row in held_out]
    agent = options.agent()
    _finish(options, measure_composed(agent, [row.raw for row in held_out], codes), agent)


@evaluate.command("speed")
@_measuring
def speed_command(options: Options) -> None:
    """Start, first answer, single text, batch, and the index build."""
    agent = options.agent()
    _finish(options, _speed(options, agent), agent)


@evaluate.command("faiss")
@_measuring
def faiss_command(options: Options) -> None:
    """FAISS against NumPy on 10,000 queries, over the lines of all catalogue files."""
    agent = _heldout_agent(options)[0]
    _finish(options, _faiss(agent), agent)


@evaluate.command("study")
@click.option(
    "--arms",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("runs/study"),
    show_default=True,
    help="Folder that `onkokode train study` wrote.",
)
@_corpus
@click.option("--composed", default=2000, show_default=True, help="Composed texts to measure on.")
@_measuring
def study_command(options: Options, arms: Path, corpus: Path, composed: int) -> None:
    """The arms of the training studies: composed texts, topography; with intervals over seeds and texts."""
    from eval.bench.figures import catalogue_files
    from eval.report.report import environment, print_section, write
    from eval.study import measure_arms, study_section, study_sets
    from eval.testset import read_development_sets
    from index.catalogue.catalogue import Catalogue
    from training.corpus import read_rows
    from training.split import Split

    files = catalogue_files(options.with_shared())
    split = Split.of(files)
    catalogue = split.catalogue_without(Catalogue.from_files(files))
    rows = read_rows(corpus / "composed_heldout.parquet")[:composed]
    sets = study_sets(split, rows, read_development_sets(options.shared), catalogue)
    figures = measure_arms(arms, catalogue, sets, click.echo)
    with_topography = {f.set for f in figures if f.study == "topography"}
    for study, chosen in (
        ("texts", [f for f in figures if f.study == "texts"]),
        # ICD-10 stands beside topography on the same texts.
        (
            "topography",
            [
                f
                for f in figures
                if f.set in with_topography and (f.study != "texts" or f.decider == "retrieval")
            ],
        ),
    ):
        if any(f.study == study for f in chosen):
            section = study_section(study, chosen)
            write(section, options.out, environment({"arms": sorted({f.arm for f in chosen})}))
            print_section(section)


@evaluate.command("answers")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--against",
    required=True,
    help="The file, by its name without .json, that the others are tested against.",
)
@click.option("--name", default="candidates", show_default=True, help="Name of the result files.")
@click.option("--out", type=OutputFolder(), default=Path("docs/results"), show_default=True)
def answers_command(files: tuple[Path, ...], against: str, name: str, out: Path) -> None:
    """Models side by side on the same pairs, from the files that `onkokode train measure` wrote."""
    from eval.answers import compare_answers
    from eval.report.report import environment, print_section, write

    section = compare_answers(files, against, name)
    write(section, out, environment({}))
    print_section(section)


def _heldout_agent(options: Options) -> tuple[CodingAgent, Any, dict[str, Any]]:
    """An agent over all catalogue files without the split's lines; the split; and what was left out."""
    from agent import CodingAgent
    from eval.bench.figures import catalogue_files
    from index.catalogue.catalogue import Catalogue
    from index.records import CodeSystem
    from index.text import normalise
    from training.split import Split

    files = catalogue_files(options.with_shared())
    split = Split.of(files)
    catalogue = split.catalogue_without(Catalogue.from_files(files))
    titles = sum(
        normalise(line.text) == normalise(catalogue.title(CodeSystem.ICD10GM, line.code))
        for line in split.held_out
    )
    details = {
        "held_out": len(split.held_out),
        "development": len(split.development),
        "editions": list(catalogue.editions),
        "catalogue": dict(catalogue.report),
        # Titles belong to the codes, so they stay known, although the lines that say them are gone.
        "held_out_equal_to_their_title": titles,
    }
    return CodingAgent.load(catalogue=catalogue, **options.weights), split, details


def _heldout(agent: CodingAgent, split: Any, details: dict[str, Any]) -> Section:
    from eval.bench.figures import measure_heldout

    section = measure_heldout(agent, split.held_out)
    section.details |= details
    return section


def _devsets(options: Options, agent: CodingAgent) -> Section:
    from eval.bench.figures import catalogue_files, measure_devsets
    from eval.testset import read_development_sets
    from index.catalogue.lexicon import read_lexicon

    shared = options.with_shared()
    lines = [line for file in (*catalogue_files(shared), read_lexicon()) for line in file.lines]
    return measure_devsets(agent, read_development_sets(shared), lines)


def _recognition(options: Options, agent: CodingAgent, rows: int = 2000) -> Section:
    from eval.bench.figures import catalogue_files, measure_recognition
    from eval.testset import read_development_sets
    from index.catalogue.catalogue import Catalogue
    from training.corpus import kept_back

    shared = options.with_shared()
    procedures, diagnoses = kept_back(Catalogue.from_files(catalogue_files(shared)), rows)
    others = {"OPS procedures": procedures, "alphabet, no tumour": diagnoses}
    return measure_recognition(agent, read_development_sets(shared), others)


def _clinical(options: Options, agent: CodingAgent, testset: Path | None = None) -> Section:
    from eval.bench.figures import measure_clinical
    from eval.testset import CLINICAL, read_testset

    path = testset or CLINICAL
    return measure_clinical(agent, read_testset(path), path.stem)


def _speed(options: Options, agent: CodingAgent) -> Section:
    from eval.bench.speed import measure_speed

    return measure_speed(agent, options.shared if (options.shared / "catalogues").is_dir() else None)


def _faiss(agent: CodingAgent) -> Section:
    from eval.bench.speed import measure_faiss
    from index.records import CodeSystem

    retriever = agent.retriever
    return measure_faiss(retriever.index.spaces[CodeSystem.ICD10GM.value], retriever.encoder)


def _finish(options: Options, section: Section, agent: CodingAgent) -> None:
    """Print a section and write its files."""
    from eval.report.report import environment, print_section, write

    print_section(section)
    click.echo(f"written: {write(section, options.out, environment(agent.info()))}")
