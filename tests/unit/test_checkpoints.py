"""Checkpoints: the newest that is whole is used, whatever has happened to the others."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segrepro.training import checkpoints
from segrepro.training.checkpoints import Checkpoint, load_newest, save

SHAPES = [(2, 3), ()]


def checkpoint(step: int) -> Checkpoint:
    variables = [np.full(shape, step, np.float32) for shape in SHAPES]
    return Checkpoint(step, variables, np.zeros((step, 4)), np.ones(4), np.zeros(0))


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of two checkpoints; the path of the newest and its bytes."""
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder, checkpoint(7))
    save(folder, checkpoint(14))
    newest = folder / "step_000000014.npz"
    return newest, newest.read_bytes()


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    made = checkpoint(5)
    save(tmp_path, made)
    loaded = load_newest(tmp_path, SHAPES)
    assert loaded.step == 5
    for name in ("history", "running", "plateau"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(made, name))
    for a, b in zip(loaded.variables, made.variables, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_the_same_state_gives_the_same_bytes(tmp_path):
    save(tmp_path / "a", checkpoint(5))
    save(tmp_path / "b", checkpoint(5))
    assert (tmp_path / "a/step_000000005.npz").read_bytes() == (tmp_path / "b/step_000000005.npz").read_bytes()


def test_the_digest_at_its_end_is_that_of_all_before(saved):
    _, content = saved
    body, digest = content[: -checkpoints.DIGEST_CHARACTERS], content[-checkpoints.DIGEST_CHARACTERS :]
    assert hashlib.sha256(body).hexdigest().encode() == digest


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_falls_back_to_the_one_before(saved, data):
    newest, content = saved
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    newest.write_bytes(damaged)
    assert load_newest(newest.parent, SHAPES).step == 7


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_truncated_one_falls_back_to_the_one_before(saved, data):
    newest, content = saved
    whole_without_digest = len(content) - checkpoints.DIGEST_CHARACTERS
    sizes = st.integers(0, len(content) - 1).filter(lambda size: size != whole_without_digest)
    newest.write_bytes(content[: data.draw(sizes)])
    assert load_newest(newest.parent, SHAPES).step == 7


def test_one_without_its_digest_is_not_trusted(saved):
    newest, content = saved
    newest.write_bytes(content[: -checkpoints.DIGEST_CHARACTERS])
    assert load_newest(newest.parent, SHAPES).step == 7


def test_the_fall_is_said_with_the_file(saved, capsys):
    newest, content = saved
    newest.write_bytes(content[:100])
    load_newest(newest.parent, SHAPES)
    assert f"warning: {newest} is damaged" in capsys.readouterr().err


def test_with_no_whole_one_the_training_starts_anew(tmp_path):
    for step in (7, 14):
        (tmp_path / f"step_{step:09d}.npz").write_bytes(b"nothing")
    assert load_newest(tmp_path, SHAPES) is None


def test_damaged_ones_of_later_steps_do_not_push_out_a_good_one(tmp_path):
    for step in (14, 21):
        (tmp_path / f"step_{step:09d}.npz").write_bytes(b"nothing")
    save(tmp_path, checkpoint(7))
    assert names(tmp_path) == ["step_000000007.npz"]
    assert load_newest(tmp_path, SHAPES).step == 7


def test_a_disk_that_is_full_keeps_those_before(tmp_path, monkeypatch):
    save(tmp_path, checkpoint(7))
    monkeypatch.setattr(checkpoints.np, "savez", _full)
    with pytest.raises(OSError, match=r"step_000000014\.npz"):
        save(tmp_path, checkpoint(14))
    assert names(tmp_path) == ["step_000000007.npz"]


def _full(stream, **arrays):
    stream.write(b"some")
    raise OSError(28, "No space left on device")
