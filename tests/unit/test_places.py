"""Places that the config names, and its scale: looked at before anything else."""

from pathlib import Path

import pytest

from segrepro.config.places import check_checkout, check_place, expanded, scale_overlay
from segrepro.data.fetch import fetch
from segrepro.errors import UserError

SCALES = Path(__file__).parents[2] / "workflow/scales"


def test_every_overlay_is_a_scale():
    for path in SCALES.glob("*.yaml"):
        assert scale_overlay(SCALES, path.stem) == path


@pytest.mark.parametrize(
    ("scale", "hint"),
    [
        ("Full", "did you mean 'full'?"),
        ("fulll", "did you mean 'full'?"),
        ("", "use full"),
        (None, "use full"),
        (3, "use"),
    ],
)
def test_a_scale_that_is_none_is_named_with_the_nearest_one(scale, hint):
    with pytest.raises(UserError, match=rf"^config: scale: use full, released, .* or small, not {scale!r}") as refused:
        scale_overlay(SCALES, scale)
    assert hint in str(refused.value)


def test_a_checkout_with_braces_in_its_path_is_refused():
    check_checkout(Path("/home/me/my 'own' $code"))
    with pytest.raises(UserError, match=r"/a \{x\} b: Snakemake takes the braces"):
        check_checkout(Path("/a {x} b"))


def test_the_home_and_the_environment_are_filled_in(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DISK", "/big")
    assert expanded("~/voc") == "/home/me/voc"
    assert expanded("file:~/voc.tar") == "file:/home/me/voc.tar"
    assert expanded("${DISK}/voc") == "/big/voc"
    assert expanded("https://host/~me/voc.tar") == "https://host/~me/voc.tar"
    monkeypatch.delenv("DISK")
    with pytest.raises(UserError, match="the environment variable DISK, which is not set"):
        expanded("$DISK/voc")


def test_places_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "list.txt").touch()
    check_place("archives_dir", "~", folder=True)
    check_place("voc2011_val", "~/list.txt", folder=False)
    with pytest.raises(UserError, match=r"config: archives_dir: there is no folder .*/voc; name one"):
        check_place("archives_dir", "~/voc", folder=True)
    with pytest.raises(UserError, match="config: archives_dir: there is no folder"):
        check_place("archives_dir", "~/list.txt", folder=True)
    with pytest.raises(UserError, match="config: voc2011_val: there is no file"):
        check_place("voc2011_val", "~", folder=False)


def test_a_file_of_the_home_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "voc.tar").write_bytes(b"pictures")
    fetch(tmp_path / "out.tar", ["file:~/voc.tar"])
    assert (tmp_path / "out.tar").read_bytes() == b"pictures"
