"""Text files line by line: each line is decoded by itself, so that one in another encoding changes no other.

    lines = TextLines(Path("diagnosen.csv"), None)
    lines.encoding                       # 'utf-8', 'cp1252', ...: that of most lines, in which the file is written
    for line in lines: line.text, line.note

Where nobody names an encoding, a line is UTF-8 if most of its letters speak for that, and else cp1252: letters of
cp1252 such as ß and a no-break space are by chance one letter of UTF-8. What neither knows becomes U+FFFD;
in a file of one byte per letter it becomes a lone surrogate instead, which `onkokode-keep` writes as the byte that
it was. In both cases the line's note says so.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from agent.apps.files.table import REPLACED, TableFileError
from index.io.language import say
from index.text import writable

LONGEST_LINE = 16_000_000  # bytes (letters of UTF-16); more is not held in memory
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_READ = 1 << 20
_NOT_ASCII = re.compile("[^\x00-\x7f]")
# What follows a word in cp1252: € ‚ „ … † ‘ ’ “ ” – —, a no-break space, § « soft hyphen ® ° ± ² ³ ´ · » and fractions.
_AFTER = rb"[\x80\x82\x84-\x86\x91-\x94\x96\x97\xa0\xa7\xab\xad\xae\xb0-\xb4\xb7\xbb-\xbe]"
# Letters of UTF-8 that are rather two or three of cp1252: É Ö × Ø Ü ß and a sign, instead of phonetic, Hebrew, Arabic,
# Syriac and N'Ko letters; à ä è é and two signs, instead of a Chinese one.
_CHANCE = re.compile(rb"[\xc9\xd6-\xd8\xdc\xdf][\x80-\xbf]|[\xe0\xe4\xe8\xe9]" + _AFTER + rb"{2}")
# Among lines of cp1252 also Ä Å Ç Ñ and the like before such a sign, instead of ą, Š, ı.
_CHANCE_IN_CP1252 = re.compile(rb"[\xc4-\xca\xd1\xd3\xd9-\xde]" + _AFTER + b"|" + _CHANCE.pattern)
_MARK = re.compile("[\udc00-\udfff]")


class Line(NamedTuple):
    """`text` with its line end; `note` says in German what was odd about its letters; a line of more than
    LONGEST_LINE has lost `dropped` of them."""

    text: str
    note: str | None
    dropped: int = 0


class TextLines:
    """The lines of a file, as often as it is iterated over. `encoding` None is found.

    Lines end with a line feed, with `all_ends` also with a carriage return.

    Raises:
        TableFileError: `encoding` is none that a text can be written in, or, while lines are read, not the file's.
    """

    def __init__(self, path: Path, encoding: str | None, *, all_ends: bool) -> None:
        self.path, self.all_ends = path, all_ends
        self._named = encoding is not None
        found = encoding or self._find_encoding()
        self.encoding = _text_encoding(path, found)
        # A file of UTF-8 or found to be cp1252 may hold lines of the other.
        name = codecs.lookup(self.encoding).name
        self._by_line = name in ("utf-8", "utf-8-sig") or (encoding is None and name == "cp1252")

    def __iter__(self) -> Iterator[Line]:
        if not self._by_line:
            yield from self._of_one_encoding()
            return
        usual = "cp1252" if self.encoding == "cp1252" else "utf-8"
        with self.path.open("rb") as stream:
            for place, (raw, dropped) in enumerate(self._raw(stream)):
                if not place:
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                if raw.isascii():
                    yield Line(raw.decode("ascii"), None, dropped)
                else:
                    yield Line(*decode_line(raw, usual, trusted=self._named), dropped)

    def _of_one_encoding(self) -> Iterator[Line]:
        wide = codecs.lookup(self.encoding).name.startswith("utf")
        newline, ends = ("", "\r\n") if self.all_ends else ("\n", "\n")
        with self.path.open(encoding=self.encoding, errors="onkokode-mark", newline=newline) as stream:
            while text := self._line(stream):
                dropped = 0
                if len(text) == LONGEST_LINE:
                    while text[-1] not in ends and (more := self._line(stream)):
                        dropped += len(text)
                        text = more
                note = REPLACED if _MARK.search(text) else None
                yield Line(writable(text) if note and wide else text, note, dropped)

    def _line(self, stream: TextIO) -> str:
        try:
            return stream.readline(LONGEST_LINE)
        except UnicodeError:  # UTF-16 without its mark: no single letter is to blame
            raise TableFileError(say("not-encoded", path=self.path, encoding=self.encoding)) from None

    def _raw(self, stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
        split: Callable[[bytes], list[bytes]] = _split_all if self.all_ends else _split
        kept, dropped = b"", 0
        while block := stream.read(_READ):
            *whole, kept = split(kept + block)
            for line in whole:
                yield line, dropped
                dropped = 0
            if dropped or len(kept) > LONGEST_LINE:
                # Of what is too long only the size is of use; a carriage return at its end may need its line feed.
                dropped, kept = dropped + len(kept), kept[-1:] if kept.endswith(b"\r") else b""
        if kept or dropped:
            yield kept, dropped

    def _find_encoding(self) -> str:
        utf8 = other = 0
        with self.path.open("rb") as stream:
            head = stream.read(4)
            for mark, encoding in _BOMS:
                if head.startswith(mark):
                    return encoding
            stream.seek(0)
            for raw, _ in self._raw(stream):
                if raw.isascii():
                    continue
                if _is_utf8(raw):
                    utf8 += 1
                else:
                    other += 1
        return "cp1252" if other > utf8 else "utf-8"


def _split_all(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True) or [b""]


def _split(data: bytes) -> list[bytes]:
    *whole, rest = data.split(b"\n")
    return [*(line + b"\n" for line in whole), rest]


def _is_utf8(raw: bytes, usual: str = "utf-8") -> bool:
    """Whether more letters speak for UTF-8 than against it, in a line that is not all ASCII; a draw is cp1252."""
    text = raw.decode("utf-8", "replace")
    errors = text.count("\ufffd") - raw.count("\ufffd".encode())
    chance = len((_CHANCE_IN_CP1252 if usual == "cp1252" else _CHANCE).findall(raw))
    return len(_NOT_ASCII.findall(text)) - errors - chance > errors + chance


def decode_line(
    raw: bytes, usual: str = "utf-8", *, trusted: bool = False, mixed: bool = True
) -> tuple[str, str | None]:
    """Text and note of a line that stands among lines in `usual` ("utf-8" or "cp1252").

    `trusted`: a person named the encoding, so what is valid UTF-8 is UTF-8. Without `mixed` every line is UTF-8, and
    bytes that are none become lone surrogates.
    """
    with suppress(UnicodeDecodeError):
        text = raw.decode("utf-8")
        if trusted or not mixed or _is_utf8(raw, usual):
            return text, None if usual == "utf-8" else "Zeile als UTF-8 gelesen, anders als die übrigen"
    if not mixed:
        return raw.decode("utf-8", "onkokode-mark"), REPLACED
    if _is_utf8(raw, usual):
        return raw.decode("utf-8", "replace"), REPLACED
    text = raw.decode("cp1252", "onkokode-mark")
    note = REPLACED if _MARK.search(text) else None
    if usual == "cp1252":
        return text, note
    return writable(text), "; ".join(filter(None, ("Zeile ist nicht UTF-8, als cp1252 gelesen", note)))


def _text_encoding(path: Path, encoding: str) -> str:
    """`encoding`, if letters can be read and written in it: Python knows codecs for much else."""
    sample = 'Nr;"Text",\t|1\r\n'
    try:
        if sample.encode(encoding).decode(encoding, "onkokode-mark") == sample:
            return encoding
    except Exception:  # each of these codecs fails in a way of its own
        pass
    raise TableFileError(say("bad-encoding", path=path, encoding=encoding))


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Bytes that an encoding does not know as lone surrogates, one each."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + value) for value in error.object[error.start : error.end]), error.end


def _keep(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes that reading could not decode go out as they came in; what an encoding lacks is marked."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    kept = bytearray()
    for letter in error.object[error.start : error.end]:
        value = ord(letter)
        kept.append(value - 0xDC00 if 0xDC00 <= value <= 0xDCFF else ord("?"))
    return bytes(kept), error.end


codecs.register_error("onkokode-mark", _mark)
codecs.register_error("onkokode-keep", _keep)
