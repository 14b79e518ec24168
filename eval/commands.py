"""The command group `onkokode eval`: run variants on test sets, compare and report the runs, write the figures.

onkokode eval run --testset wards --only agent --out runs/mine
onkokode eval report runs/mine --out runs/report
onkokode eval figures                                  everything that docs/figures.md shows
"""

from __future__ import annotations

import click

from agent.apps.cli import LazyGroup

_COMMANDS = {
    "run": ("eval.run.commands:run_command", "Run variants on test sets."),
    "ls": ("eval.run.commands:ls_command", "The variants and the test sets, and what each is."),
    "validate": ("eval.run.commands:validate_command", "Check variant files without loading a model."),
    "report": ("eval.report.commands:report_command", "Score runs again, without models: tables and plots."),
    "figures": (
        "eval.bench.commands:figures_command",
        "Run the list of `make bench`; write docs/figures.md.",
    ),
    "speed": ("eval.bench.commands:speed_command", "Start, first answer, single text, batch, index build."),
    "bench": (
        "eval.bench.commands:bench_command",
        "Beside another checkout, simple classifiers, other ways with the same weights.",
    ),
    "model-speed": (
        "eval.bench.commands:model_speed_command",
        "Candidates scored per second by any language model.",
    ),
    "faiss": ("eval.bench.commands:faiss_command", "FAISS against NumPy on 10,000 queries."),
    "documents": (
        "eval.run.documents:documents_command",
        "What is found in whole documents with known tumours.",
    ),
    "robustness": (
        "eval.run.robustness:robustness_command",
        "Whether harmless clauses, lists, line breaks and capitals move a code.",
    ),
    "annotate": ("eval.ceiling:annotate_command", "Judge how far texts determine their code."),
    "ceiling": ("eval.ceiling:ceiling_command", "The shares of texts that determine their code."),
    "export": ("eval.export:export_command", "Write a test set in the form of other tools."),
    "unchanged": ("eval.unchanged:unchanged_command", "Whether a change of the program changed any answer."),
}


@click.group("eval", cls=LazyGroup, lazy=_COMMANDS)
def evaluate() -> None:
    """Measure accuracy and speed, and write the figures down."""
