"""Numeric fields of a struct in a MATLAB 5 file, read without trusting a single length in it.

`scipy.io.loadmat` crashes the interpreter on some damaged files: its compiled reader follows what they claim. Of SBD's
files two fields of small integers are wanted, so this reader knows structs and real matrices, skips the rest by their
lengths, and checks every length against the bytes that are there.

Format: MathWorks, "MAT-File Format", R2023b, section "Level 5 MAT-File Format".
"""

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

HEADER_BYTES = 128
# An unpacked variable: SBD's are about 0.3 MB. What unpacks to more is no file of SBD, but a decompression bomb.
MAX_VARIABLE_BYTES = 64 << 20

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_NUMBER_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_STRUCT = 2
_NUMERIC_CLASSES = range(6, 16)  # double, single, and integers of 8 to 64 bits
_COMPLEX = 0x0800  # of the array flags


class _Element(NamedTuple):
    """A typed piece of the file: everything in it is made of these."""

    kind: int
    content: memoryview


class _Matrix(NamedTuple):
    """The parts of a matrix element: class, whether complex, dimensions, name, and what follows them."""

    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    name: str
    parts: list[_Element]


def read_struct_fields(content: bytes, variable: str, fields: tuple[str, ...]) -> list[np.ndarray]:
    """Return real matrices that are fields of the 1 x 1 struct ``variable``, each of the type that the file stores.

    Raises:
        ValueError: the bytes are no MATLAB 5 file, end early or contradict themselves; there is no such variable or
            field, or it is of another kind.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[HEADER_BYTES - 2 : HEADER_BYTES])
    if order is None:
        raise ValueError("it is no MATLAB 5 file")
    for element in _elements(memoryview(content)[HEADER_BYTES:], order):
        unpacked = _unpacked(element, order)
        matrix = _matrix(unpacked, order) if unpacked.kind == _MATRIX else None
        if matrix is not None and matrix.name == variable:
            return _fields(matrix, fields, order)
    raise ValueError(f"it has no variable {variable}")


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
    start = 0
    while start < len(content):
        if len(content) - start < 8:
            raise ValueError("it ends early")
        kind, size = np.frombuffer(content[start : start + 8], f"{order}u4").tolist()
        start += 8
        if kind >> 16:  # a small element: up to four bytes, within the tag itself
            kind, size, start = kind & 0xFFFF, kind >> 16, start - 4
            if size > 4:
                raise ValueError("a small element is too large")
            following = start + 4
        else:
            following = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(content):
            raise ValueError("it ends early")
        yield _Element(kind, content[start : start + size])
        start = following


def _unpacked(element: _Element, order: str) -> _Element:
    if element.kind != _COMPRESSED:
        return element
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(element.content, MAX_VARIABLE_BYTES)
    except zlib.error as error:
        raise ValueError(f"its compressed bytes are damaged: {error}") from error
    if not unpacker.eof:
        raise ValueError(f"a variable ends early or is larger than {MAX_VARIABLE_BYTES >> 20} MiB")
    return next(_elements(memoryview(content), order), _Element(0, memoryview(b"")))


def _matrix(element: _Element, order: str) -> _Matrix:
    parts = list(_elements(element.content, order))
    if [part.kind for part in parts[:3]] != [_UINT32, _INT32, _INT8] or len(parts[0].content) != 8:
        raise ValueError("a matrix lacks its flags, dimensions or name")
    flags = int(_numbers(parts[0], order)[0])
    shape = tuple(_numbers(parts[1], order).tolist())
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"a matrix has impossible dimensions {shape}")
    name = bytes(parts[2].content).decode("latin-1")
    return _Matrix(flags & 0xFF, bool(flags & _COMPLEX), shape, name, parts[3:])


def _fields(struct: _Matrix, wanted: tuple[str, ...], order: str) -> list[np.ndarray]:
    if struct.kind != _STRUCT or math.prod(struct.shape) != 1 or len(struct.parts) < 2:
        raise ValueError(f"{struct.name} is no struct")
    width, names, *values = struct.parts
    length = int(_numbers(width, order)[0]) if (width.kind, len(width.content)) == (_INT32, 4) else 0
    if length < 1 or len(names.content) != length * len(values):
        raise ValueError(f"the fields of {struct.name} are not as many as their names")
    packed = bytes(names.content)
    known = [packed[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(packed), length)]
    for name in wanted:
        if name not in known:
            raise ValueError(f"{struct.name} has no {name}")
    return [_real_matrix(name, values[known.index(name)], order) for name in wanted]


def _real_matrix(name: str, element: _Element, order: str) -> np.ndarray:
    if element.kind != _MATRIX:
        raise ValueError(f"{name} is no matrix")
    if len(element.content) == 0:
        return np.zeros((0, 0))
    matrix = _matrix(element, order)
    if matrix.kind not in _NUMERIC_CLASSES or matrix.is_complex or len(matrix.parts) != 1:
        raise ValueError(f"{name} is no matrix of real numbers")
    numbers = _numbers(matrix.parts[0], order)
    if len(numbers) != math.prod(matrix.shape):
        raise ValueError(f"{name} has {len(numbers)} numbers for dimensions {matrix.shape}")
    return numbers.reshape(matrix.shape, order="F")


def _numbers(element: _Element, order: str) -> np.ndarray:
    kind = _NUMBER_TYPES.get(element.kind)
    if kind is None or len(element.content) % int(kind[1]):
        raise ValueError("numbers are of an unknown type or cut short")
    return np.frombuffer(element.content, order + kind)
