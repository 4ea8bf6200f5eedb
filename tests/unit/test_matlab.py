"""MATLAB files are read as scipy reads them where they are sound, and refused in words where scipy would crash."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat

from segrepro.data.matlab import MAX_VARIABLE_BYTES, read_struct_fields

MATRICES = st.sampled_from(["u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8"]).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=6))
)


def written(variables, *, compressed=True):
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


@settings(max_examples=100, deadline=None)
@given(first=MATRICES, second=MATRICES, compressed=st.booleans())
def test_numeric_fields_are_read_as_scipy_reads_them(first, second, compressed):
    # what SBD's files have beside: cells of sparse matrices, text, other variables
    other = np.empty((1, 2), object)
    other[0, 0], other[0, 1] = np.eye(3), "text"
    content = written({"a": 3, "GTinst": {"x": first, "Boundaries": other, "yy": second}}, compressed=compressed)
    reference = loadmat(io.BytesIO(content))["GTinst"]
    for field, values in zip(("yy", "x"), read_struct_fields(content, "GTinst", ("yy", "x")), strict=True):
        np.testing.assert_array_equal(values, reference[field].flat[0])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"other": {"x": np.eye(2)}}, "it has no variable GT"),
        ({"GT": np.eye(2)}, "GT is no struct"),
        ({"GT": np.array([({"x": 1},), ({"x": 2},)])}, "GT is no struct"),
        ({"GT": {"y": np.eye(2)}}, "GT has no x"),
        ({"GT": {"x": "text"}}, "x is no matrix of real numbers"),
        ({"GT": {"x": np.eye(2) * 1j}}, "x is no matrix of real numbers"),
        ({"GT": {"x": {"deeper": 1}}}, "x is no matrix of real numbers"),
    ],
)
def test_another_structure_is_called_by_name(variables, message):
    with pytest.raises(ValueError, match=message):
        read_struct_fields(written(variables), "GT", ("x",))


@pytest.mark.parametrize("content", [b"", b"x" * 128, bytes(500), b"MATLAB 7.3 MAT-file".ljust(126) + b"\x00\x02IM"])
def test_what_is_no_matlab_file_is_called_so(content):
    with pytest.raises(ValueError, match=r"no MATLAB 5 file|has no variable"):
        read_struct_fields(content, "GT", ("x",))


def test_a_bomb_is_not_unpacked():
    packed = zlib.compress(bytes(MAX_VARIABLE_BYTES + 1))
    header = written({})[:128]
    with pytest.raises(ValueError, match="larger than 64 MiB"):
        read_struct_fields(header + struct.pack("<II", 15, len(packed)) + packed, "GT", ("x",))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), compressed=st.booleans())
def test_damaged_bytes_give_a_matrix_or_a_sentence(data, compressed):
    """The same changes make scipy's reader end the process: hence a reader of our own."""
    content = bytearray(written({"GT": {"x": np.arange(6).reshape(2, 3), "y": np.eye(2)}}, compressed=compressed))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(124, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] = data.draw(st.integers(0, 255))
        else:
            del content[place : place + data.draw(st.integers(1, 9))]
        if len(content) < 126:
            break
    try:
        (values,) = read_struct_fields(bytes(content), "GT", ("x",))
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - any other exception fails the test
    else:
        assert values.size < len(content)
