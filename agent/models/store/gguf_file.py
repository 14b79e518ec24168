"""What a GGUF file says of itself: architecture, tokenizer, tensors. Read before any library opens the file, so that
one that is cut off, in parts, or of a kind that cannot be converted ends in one line and at once.

    is_gguf(path)                               # by its first four bytes: a blob of Ollama has no suffix
    file = GgufFile.read(path)
    file.architecture, file.elements            # 'gemma3', 268_098_176

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from index.errors import ModelError
from index.io.failures import reason, require
from index.io.language import say

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# The numbers of the format's value types, and how struct names them.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_ALIGNMENT = 32
_FLOAT32 = 0
_DAMAGED = "is damaged or only half copied; copy or fetch it again"


@dataclass(frozen=True)
class GgufTensor:
    """`shape` as torch has it, `kind` the number of its GGML type, `offset` in the part with the data."""

    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class GgufFile:
    """A file's own description. Of a list of words `metadata` has the length only."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]
    data_at: int

    @classmethod
    def read(cls, path: Path) -> GgufFile:
        """The description of a whole file with one language model. Raises `ModelError` for every other."""
        try:
            with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
                metadata, tensors, begin, end = _described(_Reader(data))
                size = len(data)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {reason(error, 'en')}") from None
        except _Version as error:
            raise ModelError(
                f"{path}: is GGUF of version {error}; save it again with a llama.cpp of today"
            ) from None
        except (struct.error, ValueError, KeyError, IndexError, OverflowError, MemoryError):
            raise ModelError(f"{path}: {_DAMAGED}") from None
        file = cls(path, metadata, tensors, begin)
        file._must_be_one_model()
        if size < end:
            raise ModelError(f"{path}: {_DAMAGED} ({size:,} of {end:,} bytes are there)")
        return file

    @property
    def architecture(self) -> str:
        return str(self.metadata["general.architecture"])

    @property
    def elements(self) -> int:
        """How many numbers all tensors hold."""
        return sum(tensor.elements for tensor in self.tensors.values())

    def own(self, key: str, otherwise: Any = None) -> Any:
        """A value of the architecture's own section: `own("rope.freq_base")`."""
        return self.metadata.get(f"{self.architecture}.{key}", otherwise)

    def tokenizer(self, key: str) -> Any:
        return self.metadata.get(f"tokenizer.ggml.{key}")

    def floats(self, name: str) -> list[float]:
        """The values of a short tensor that is kept as 32-bit floats. Raises `ModelError` for another kind."""
        tensor = self.tensors[name]
        if tensor.kind != _FLOAT32:
            raise ModelError(f"{self.path}: the tensor {name} is not kept as 32-bit floats")
        with self.path.open("rb") as opened:
            opened.seek(self.data_at + tensor.offset)
            return list(struct.unpack(f"<{tensor.elements}f", opened.read(4 * tensor.elements)))

    def _must_be_one_model(self) -> None:
        if int(self.metadata.get("split.count", 1) or 1) > 1:
            raise ModelError(
                f"{self.path}: is one of {self.metadata['split.count']} parts; join them with `llama-gguf-split "
                "--merge`"
            )
        kind = self.metadata.get("general.type", "model")
        if kind != "model":
            raise ModelError(
                f"{self.path}: holds no model but of the kind {str(kind)[:40]}; name the model's own file"
            )
        if not self.tensors:
            raise ModelError(
                f"{self.path}: holds no weights, a vocabulary at most; name the model's own file"
            )


def is_gguf(path: Path) -> bool:
    """Whether a file begins as GGUF does. Raises `ModelError` where it cannot be read."""
    try:
        with path.open("rb") as opened:
            return opened.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {reason(error, 'en')}") from None


class _Version(Exception):
    pass


class _Reader:
    """Reads on from where it stands; beyond the end struct raises its error."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def numbers(self, kinds: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{kinds}", self.data, self.at)
        self.at += struct.calcsize(f"<{kinds}")
        return values

    def number(self, kind: str) -> Any:
        return self.numbers(kind)[0]

    def text(self) -> str:
        length = self.number("Q")
        found = self.data[self.at : self.at + length]
        if len(found) < length:
            raise ValueError
        self.at += length
        return found.decode("utf-8")

    def value(self) -> Any:
        kind = self.number("I")
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(_NUMBERS[kind])
        kind, count = self.numbers("IQ")
        if kind == _STRING:
            for _ in range(count):
                (length,) = struct.unpack_from("<Q", self.data, self.at)
                self.at += 8 + length
            return count
        return list(self.numbers(f"{count}{_NUMBERS[kind]}"))


def _described(reader: _Reader) -> tuple[dict[str, Any], dict[str, GgufTensor], int, int]:
    """Metadata, tensors, and where the first of them begins and the last ends."""
    magic = reader.numbers("4s")[0]
    version = reader.number("I")
    if magic != MAGIC:
        raise ValueError
    if version not in _VERSIONS:
        raise _Version("a big-endian machine" if version >= 1 << 16 else version)
    tensor_count, key_count = reader.numbers("QQ")
    metadata = {}
    for _ in range(key_count):
        key = reader.text()
        metadata[key] = reader.value()
    tensors = {}
    for _ in range(tensor_count):
        name = reader.text()
        dimensions = reader.numbers(f"{reader.number('I')}Q")
        kind, offset = reader.numbers("IQ")
        # The format names the fastest dimension first, torch last.
        tensors[name] = GgufTensor(tuple(reversed(dimensions)), kind, offset)
    if not isinstance(metadata["general.architecture"], str):
        raise ValueError
    alignment = int(metadata.get("general.alignment", _ALIGNMENT))
    begin = -(-reader.at // alignment) * alignment
    ends = (begin + tensor.offset + _bytes(tensor) for tensor in tensors.values())
    return metadata, tensors, begin, max(ends, default=begin)


def _bytes(tensor: GgufTensor) -> int:
    require("gguf", say("reading-gguf"))
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    block, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
    return tensor.elements // block * size
