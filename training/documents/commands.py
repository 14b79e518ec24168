"""`onkokode train documents` and what belongs to it: check authors' files, compose documents, train the reader.

onkokode train voices training/documents/voices/*.tsv
onkokode train documents --count 20000 --out runs/documents.jsonl
onkokode train reader --documents runs/documents.jsonl --out runs/reader
onkokode train fit-reader runs/reader
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from agent.apps.options import INPUT_FILE, INPUT_FOLDER, OutputFile, OutputFolder
from agent.apps.terminal import counting
from index.io.atomic import new_file
from training.plan import ReaderPlan, plan_options


@click.command("voices")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=INPUT_FILE)
def voices_command(files: tuple[Path, ...]) -> None:
    """Check authors' files, voices (.tsv, training/documents/AUTHORS.md) and annotated documents (.txt): names all that
    cannot be used, and counts."""
    from training.documents import annotated, skeletons

    faulty = False
    for path in files:
        if path.suffix == ".txt":
            faults, documents = annotated.faults_of(path)
            counted = f"{documents} documents"
        else:
            faults, found = skeletons.faults_of(path)
            counted = ", ".join(f"{move} {n}" for move, n in found.most_common())
            if not faults:
                skeletons.load_voice(path)
        for fault in faults:
            click.echo(fault)
        click.echo(f"{path}: {counted}; {len(faults)} faults")
        faulty = faulty or bool(faults)
    if faulty:
        raise SystemExit(1)


@click.command("documents")
@click.option(
    "--out", type=OutputFile(".jsonl"), required=True, help="File of the documents, one JSON object a line."
)
@click.option(
    "--count", type=click.IntRange(1), default=20_000, show_default=True, help="Documents to compose."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of every draw.")
@click.option(
    "--show", is_flag=True, help="Print the texts with their tumours instead, to be read and judged."
)
def documents_command(out: Path, count: int, seed: int, show: bool) -> None:
    """Compose whole patients' documents whose tumours are known, from the voices of many authors."""
    from index.catalogue.crosswalk import shipped_rules
    from training.documents.compose import compose_documents
    from training.texts.compose import Holdout

    documents = compose_documents(shipped_rules(), seed=seed, holdout=Holdout())
    with new_file(out) as half, half.open("w", encoding="utf-8") as file, counting("Dokumente") as advance:
        for document in islice(documents, count):
            file.write(document.to_json() + "\n")
            advance(1)
            if show:
                click.echo(f"===== {document.voice}\n{document.text}\n-----")
                for tumour in document.tumours:
                    click.echo(f"{tumour}")


@click.command("reader")
@click.option(
    "--documents", type=INPUT_FILE, required=True, help="File that `onkokode train documents` wrote."
)
@click.option("--out", type=OutputFolder(), required=True, help="Folder of the reader.")
@click.option("--start", type=INPUT_FOLDER, help="A reader to go on from, instead of a new one.")
@plan_options(ReaderPlan)
def reader_command(documents: Path, out: Path, start: Path | None, **plan: Any) -> None:
    """Train the network that reads whole documents, on those of a file and on the annotated ones.

    \b
    onkokode train reader --documents runs/documents.jsonl --out runs/reader
    onkokode train reader --documents runs/documents.jsonl --out runs/gemma-reader --model gemma-3-270m --pieces 2048
    onkokode read --reader runs/gemma-reader entlassbrief.docx
    onkokode train reader --documents runs/documents.jsonl --out runs/further --start runs/reader --keep 0.5

    A killed run goes on where it was last saved.
    """
    from training.documents.reader import train_reader

    if start is not None and plan["model"] is not None:
        raise click.UsageError("--start goes on with a reader as it is; --model begins a new one")
    if plan["keep"] and start is None:
        raise click.UsageError("--keep is a share of the weights of --start; name that reader")
    train_reader(documents, out, ReaderPlan(**plan), start)


@click.command("fit-reader")
@click.argument("reader", type=INPUT_FOLDER)
def fit_reader_command(reader: Path) -> None:
    """Fit how sure a reader's tumours and their codes are, on the annotated documents that none learns; READER's
    config.json keeps it. `train reader` ends with it; by itself after a change of how mentions become tumours."""
    from training.documents.calibration import fit_reader

    fit_reader(reader)


DOCUMENT_COMMANDS = (voices_command, documents_command, reader_command, fit_reader_command)
