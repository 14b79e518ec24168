"""A file on its way to being a catalogue: its bytes, their decoding, its rows, and the errors about it.

source = Source.of_file(Path("icd10gm2023.txt"))
for number, row in source.rows(): ...
raise source.error("has no code at its end", row=17)
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from index.errors import OnkokodeError
from index.io.failures import reason
from index.io.language import say
from index.records import CatalogueLine, Code, CodeSystem, CrosswalkRule

MAX_BYTES = 256 * 1024 * 1024
_SAMPLE_ROWS = 60
# A row-wise file of real size always ends its last row with a line break; small hand-made files may not.
_WHOLE_FILE_ROWS = 1000
_MOJIBAKE = re.compile("Ã[\x80-\xbf„–œŸ]|\ufffd")
_UTF8_UMLAUT = re.compile(rb"\xc3[\x80-\xbf]")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)$")


class CatalogueError(OnkokodeError):
    """A catalogue file that cannot be read; the message names the file, the row and the remedy."""

    translated = True


class NotACatalogue(CatalogueError):
    """The file is something else than a catalogue that Onkokode knows."""


@dataclass(frozen=True)
class CatalogueFile:
    """What one catalogue file holds.

    `layout` is a name for people, `edition` a short id whose year, if any, comes last. `system` is the
    code system that the file is mainly about (None for a reference table without codes of ours).
    `systematic` is true for a complete list of codes, which decides what exists in that edition.
    `member` names the file inside a zip. `counts` says how many rows, codes, lines … were found.
    """

    path: Path
    sha256: str
    layout: str
    system: CodeSystem | None
    edition: str
    codes: tuple[Code, ...] = ()
    lines: tuple[CatalogueLine, ...] = ()
    rules: tuple[CrosswalkRule, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    systematic: bool = False
    member: str | None = None

    @property
    def year(self) -> int | None:
        """The year of the edition, None where it has none."""
        return year_of(self.edition)

    @property
    def systems(self) -> tuple[CodeSystem, ...]:
        """The code systems that its codes and lines belong to."""
        found = {code.system for code in self.codes} | {line.system for line in self.lines}
        return tuple(system for system in CodeSystem if system in found)


def year_of(edition: str) -> int | None:
    """The year at the end of an edition id: `alphabet-2023` -> 2023."""
    match = _YEAR.search(edition)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class Source:
    """A file, or the member of a zip, that is being read.

    `readme` is the text of the readme that lay beside a member in its zip; `edition` is the user's own
    word for the edition, which overrides what the content says.
    """

    path: Path
    data: bytes
    sha256: str
    edition: str | None = None
    member: str | None = None
    readme: str = ""

    @classmethod
    def of_file(cls, path: Path, edition: str | None = None) -> Source:
        """Read a file of up to 256 MiB."""
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise CatalogueError(f"{path}: {reason(error)}") from None
        if len(data) > MAX_BYTES:
            raise CatalogueError(say("catalogue-large", path=path, limit=MAX_BYTES >> 20))
        return cls(path, data, hashlib.sha256(data).hexdigest(), edition)

    @property
    def name(self) -> str:
        """The file's name, with the member of the zip where it is one."""
        return f"{self.path.name} ({self.member})" if self.member else self.path.name

    def error(self, message: str, row: int | None = None) -> CatalogueError:
        """A `CatalogueError` that names this file and, where given, the row."""
        if row:
            return CatalogueError(say("catalogue-row", file=self.name, row=row, what=message))
        return CatalogueError(f"{self.name}: {message}")

    def again(self, message: str, row: int | None = None) -> CatalogueError:
        """The error about a file that is not as its publisher has it."""
        return self.error(say("catalogue-again", what=message), row)

    def cut_off(self, message: str, row: int | None = None) -> CatalogueError:
        """The error about a file of which a part is missing."""
        return self.error(say("catalogue-cut-off", what=message), row)

    def altered(self, message: str, row: int) -> CatalogueError:
        """The error about a row that is not as its publisher wrote it."""
        return self.error(say("catalogue-altered", what=message), row)

    def foreign(self, message: str) -> NotACatalogue:
        """A `NotACatalogue` that names this file."""
        return NotACatalogue(f"{self.name}: {message}")

    @cached_property
    def sample(self) -> tuple[str, ...]:
        """The first rows, read leniently, only to recognise the layout (all its marks are ASCII)."""
        head = self.data[:65536].removeprefix(b"\xef\xbb\xbf")
        rows = re.split("\r\n|\n|\r", head.decode("utf-8", "replace"))
        if len(self.data) > 65536 and len(rows) > 1:
            rows.pop()
        return tuple(row for row in rows if row.strip())[:_SAMPLE_ROWS]

    @property
    def header(self) -> str:
        """The first row that is not empty."""
        return self.sample[0] if self.sample else ""

    def share(self, pattern: re.Pattern[str]) -> float:
        """The share of the sample's rows that fit `pattern`."""
        return sum(bool(pattern.match(row)) for row in self.sample) / max(len(self.sample), 1)

    def text(self, fallback: str | None = None) -> str:
        """The whole text, as UTF-8 or else in the `fallback` encoding; anything doubtful is an error."""
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            row = self.data.count(b"\n", 0, error.start) + 1
            if error.reason == "unexpected end of data" and (
                fallback is None or _UTF8_UMLAUT.search(self.data)
            ):
                raise self.cut_off(say("catalogue-mid-character"), row) from None
            if fallback is None:
                raise self.error(say("catalogue-not-utf8"), row) from None
            if _UTF8_UMLAUT.search(self.data):
                raise self.again(say("catalogue-mixed"), row) from None
            text = self._decode(fallback)
        if "\0" in text:
            raise self.error(
                say("catalogue-nul"),
                text.count("\n", 0, text.index("\0")) + 1,
            )
        self.check_umlauts(text)
        return text

    def check_umlauts(self, text: str) -> None:
        """Raise where `text` shows that it went through a wrong conversion before (`Ã¤`, replacement marks)."""
        damaged = _MOJIBAKE.search(text)
        if damaged:
            row = text.count("\n", 0, damaged.start()) + 1
            raise self.error(say("catalogue-umlauts"), row)

    def _decode(self, encoding: str) -> str:
        try:
            text = self.data.decode(encoding)
        except UnicodeDecodeError as error:
            row = self.data.count(b"\n", 0, error.start) + 1
            raise self.error(say("catalogue-encoding", encoding=encoding), row) from None
        special = [ch for ch in text if ch > "\x7f"]
        # In a DOS or Macintosh code page the umlauts turn into signs that are no letters.
        if special and sum(ch.isalpha() for ch in special) < 0.8 * len(special):
            raise self.error(say("catalogue-code-page", encoding=encoding))
        return text

    def rows(self, fallback: str | None = None, *, skip: int = 0) -> Iterator[tuple[int, str]]:
        """The rows that are not empty, each with its number in the file; `skip` leaves out header rows."""
        text = self.text(fallback)
        # Not `splitlines`: that also breaks at characters that may stand inside a term.
        rows = re.split("\r\n|\n|\r", text)
        if len(rows) > _WHOLE_FILE_ROWS and rows[-1]:
            raise self.cut_off(say("catalogue-no-line-break"), len(rows))
        for number, row in enumerate(rows, start=1):
            if not row.strip():
                continue
            if skip:
                skip -= 1
                continue
            yield number, row

    def records(
        self, delimiter: str, widths: Collection[int], fallback: str | None = None, *, skip: int = 0
    ) -> Iterator[tuple[int, list[str]]]:
        """The rows in fields: as many as one of `widths` in the first row, and so many in all others."""
        for number, row in self.rows(fallback, skip=skip):
            fields = self.fields(row, delimiter, number, widths)
            widths = (len(fields),)
            yield number, fields

    def fields(self, row: str, delimiter: str, number: int, widths: Collection[int]) -> list[str]:
        """The fields of a row; a quoted field may hold the delimiter. A wrong number is an error."""
        if '"' in row and delimiter == ";":
            try:
                fields = next(csv.reader([row], delimiter=delimiter, strict=True))
            except (csv.Error, StopIteration):
                raise self.again(say("catalogue-quotation"), number) from None
        else:
            fields = row.split(delimiter)
        if len(fields) not in widths:
            wanted = say("or").join(map(str, widths))
            raise self.cut_off(say("catalogue-fields", count=len(fields), wanted=wanted), number)
        return fields

    def line(
        self,
        edition: str,
        number: int | str,
        code: str,
        text: str,
        kind: str = "synonym",
        system: CodeSystem = CodeSystem.ICD10GM,
    ) -> CatalogueLine:
        """A line of this file; `number` tells it from all others of the edition."""
        return CatalogueLine(f"{edition}:{number}", code, text, kind, system, edition, self.name)

    def titles(self, codes: Iterable[Code]) -> list[CatalogueLine]:
        """The titles of codes as lines."""
        return [self.line(c.edition, c.code, c.code, c.title, "title", c.system) for c in codes]

    def finish(
        self,
        layout: str,
        system: CodeSystem | None,
        edition: str,
        counts: dict[str, int],
        *,
        codes: Iterable[Code] = (),
        lines: Iterable[CatalogueLine] = (),
        rules: Iterable[CrosswalkRule] = (),
        systematic: bool = False,
    ) -> CatalogueFile:
        """The result of reading this source; codes and lines are counted, an empty result is an error."""
        code_list, line_list, rule_list = tuple(codes), tuple(lines), tuple(rules)
        terminal = sum(code.terminal for code in code_list)
        found = {"codes": len(code_list), "terminal": terminal}
        found |= {"lines": len(line_list), "rules": len(rule_list)}
        full = counts | {name: n for name, n in found.items() if n or (name == "terminal" and code_list)}
        if system is not None and not (code_list or line_list or rule_list):
            raise self.cut_off(say("catalogue-no-entry", layout=layout))
        return CatalogueFile(
            self.path, self.sha256, layout, system, edition, code_list, line_list, rule_list, full,
            systematic, self.member,
        )  # fmt: skip
