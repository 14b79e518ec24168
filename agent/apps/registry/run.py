"""One run over many messages: read, code in batches, report, fill.

    run = Run(agent, [report], write=True, min_confidence=0.5)
    run.file(Path("meldung.xml"), Path("out/meldung.xml"))
    run.counts.refused

Each file is read twice: first to its end without coding, so that a file that is broken in its last line is
refused before anything of it is coded or written; then Meldung by Meldung. Memory is that of one batch. What
fails later, such as a copy that no longer fits on the disk, takes back the file's rows and counts: a report
never says that a code was filled which is in no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.apps.registry.carried import with_carried_texts
from agent.apps.registry.coding import code_tumours
from agent.apps.registry.errors import RefusedDocument, RegistryError, refused_because
from agent.apps.registry.fill import Filler, filled_copy
from agent.apps.registry.messages import read_meldungen
from agent.apps.registry.records import MIN_CONFIDENCE, Gap, Meldung
from agent.apps.registry.report import NOTICE, REFUSED, Counts, Report, ReportRow
from agent.apps.registry.rows import Rules, rows_of, shown_id, texts_of, version_of
from index.io.language import say
from index.xml import XmlError

if TYPE_CHECKING:
    from agent.agent import CodingAgent

# About two texts per tumour make one batch of the agent.
_TUMOURS_PER_BATCH = 32
_MELDUNGEN_PER_BATCH = 256


class Run:
    """The state of a run. Each of `reports` gets all rows; `advance` is called with the number of Meldungen
    done."""

    def __init__(
        self,
        agent: CodingAgent,
        reports: Sequence[Report],
        *,
        write: bool = False,
        min_confidence: float = MIN_CONFIDENCE,
        add_missing: bool = False,
        advance: Callable[[int], None] = lambda meldungen: None,
    ) -> None:
        self.agent, self.reports, self.advance = agent, reports, advance
        self.counts = Counts()
        # Bounded: a hostile file may invent codes without end.
        versions = lru_cache(maxsize=20_000)(partial(version_of, agent))
        self.rules = Rules(write, min_confidence, versions, add_missing)

    def file(self, source: Path, target: Path | None) -> bool:
        """Codes one file; a file that cannot be used gives one row with the reason. True where it was coded."""
        self.counts.files += 1
        before_it = deepcopy(self.counts)
        for report in self.reports:
            report.begin()
        try:
            with source.open("rb") as stream:
                for _ in read_meldungen(stream):
                    pass
            before = source.stat()
            with (
                source.open("rb") as stream,
                filled_copy(source, target) if target else nullcontext() as filler,
            ):
                for batch in _batches(with_carried_texts(read_meldungen(stream))):
                    self._batch(str(source), batch, filler)
                after = source.stat()
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    raise RefusedDocument(
                        None, "", "die Datei hat sich während des Lesens geändert", "noch einmal ausführen"
                    )
            self.counts.copies += target is not None
            return True
        except (RefusedDocument, XmlError, OSError) as error:
            said = refused_because(error)
            for report in self.reports:
                report.take_back()
            self.counts = before_it
            self.counts.refused += 1
            reason = f"{said.reason}; {said.remedy}"
            self._write(ReportRow(str(source), said.line, REFUSED, reason, element=said.element))
            return False

    def _batch(self, file: str, meldungen: list[Meldung], filler: Filler | None) -> None:
        coded = code_tumours(self.agent, [tumour for meldung in meldungen for tumour in meldung.tumours])
        for meldung in meldungen:
            name = shown_id(meldung.meldung_id)
            for notice in meldung.notices:
                reason = f"{notice.reason}; {notice.remedy}"
                self._write(ReportRow(file, notice.line, NOTICE, reason, name, element=notice.element))
            for tumour in meldung.tumours:
                for row, fillings in rows_of(file, meldung.meldung_id, next(coded), self.rules):
                    self._write(replace(row, text=texts_of(tumour)))
                    if filler is not None:
                        for filling in fillings:
                            if isinstance(filling[0], Gap):
                                filler.add(*filling)
                            else:
                                filler.fill(*filling)
            if filler is not None:
                filler.flush()
            self.counts.meldungen += 1
            self.counts.tumours += len(meldung.tumours)
        self.advance(len(meldungen))

    def _write(self, row: ReportRow) -> None:
        self.counts.add(row)
        for report in self.reports:
            report.write(row)


def _batches(meldungen: Iterator[Meldung]) -> Iterator[list[Meldung]]:
    batch: list[Meldung] = []
    tumours = 0
    for meldung in meldungen:
        batch.append(meldung)
        tumours += len(meldung.tumours)
        if tumours >= _TUMOURS_PER_BATCH or len(batch) >= _MELDUNGEN_PER_BATCH:
            yield batch
            batch, tumours = [], 0
    if batch:
        yield batch


def plan_files(
    paths: list[Path], out: Path | None, *, overwrite: bool = False
) -> list[tuple[Path, Path | None]]:
    """The files behind the arguments, each with where its copy goes; a folder stands for its *.xml files.

    Raises `RegistryError` where there is nothing to read, two copies would have one name, or a copy would
    replace a message that is read, or without `overwrite` any file.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".xml" and p.is_file())
            if not inside:
                raise RegistryError(say("registry-empty", path=path))
            found += [(file, file.relative_to(path)) for file in inside]
        else:
            found.append((path, Path(path.name)))
    if out is None:
        return [(file, None) for file, _ in found]
    # A name without an ending is meant as a folder, also where there is none yet.
    single = len(paths) == 1 and not paths[0].is_dir() and not out.is_dir() and out.suffix != ""
    planned: list[tuple[Path, Path | None]] = []
    taken: dict[Path, Path] = {}
    sources = {file.resolve() for file, _ in found}
    for file, relative in found:
        target = out if single else out / relative
        key = target.resolve()
        if key in sources:
            raise RegistryError(say("registry-overwrites", out=out, name=key.name))
        if key in taken:
            raise RegistryError(say("registry-one-name", out=out, file=file, other=taken[key]))
        if target.exists() and not overwrite:
            raise RegistryError(say("registry-exists", out=out, target=target))
        taken[key] = file
        planned.append((file, target))
    return planned
