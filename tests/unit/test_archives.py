"""Archives are hostile until checked: every way that an archive can lie, built here and refused."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segrepro.data import archives
from segrepro.data.archives import iter_files, open_zip, read_member
from segrepro.errors import UserError

FILES = {
    "VOC/JPEGImages/2007_000033.jpg": bytes(range(256)) * 5,
    "VOC/ImageSets/val.txt": b"2007_000033\n",
    "VOC/empty": b"",
    "VOC/zeros.bin": bytes(1024),
}


def write_tar(path, files, packing=""):
    with tarfile.open(path, f"w:{packing}") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, content in files.items():
            info = zipfile.ZipInfo("name", (2020, 1, 1, 0, 0, 0))
            info.filename = name  # its constructor would mend the names that we are after
            opened.writestr(info, content, compression)
    return path


def write_any(path, files):
    return write_zip(path, files) if path.suffix == ".zip" else write_tar(path, files, path.suffix[1:].strip("tar"))


def tar_with(path, **attributes):
    """Write a tar with one honest file and then one member that has these attributes."""
    with tarfile.open(path, "w") as tar:
        honest = tarfile.TarInfo("honest")
        honest.size = 3
        tar.addfile(honest, io.BytesIO(b"yes"))
        member = tarfile.TarInfo("bad")
        for name, value in attributes.items():
            setattr(member, name, value)
        tar.addfile(member)
    return path


def everything(archive):
    return dict(iter_files(archive, lambda name: True))


def files_or_sentence(archive):
    """Read everything, or nothing where one sentence that names the archive says why."""
    try:
        return everything(archive)
    except UserError as error:
        sentence = str(error)
    assert str(archive) in sentence
    assert "\n" not in sentence
    return {}


FORMATS = ["a.tar", "a.gz", "a.zip"]


# --- the plain way


@pytest.mark.parametrize("name", FORMATS)
def test_all_formats_give_the_same_files_in_archive_order(tmp_path, name):
    archive = write_any(tmp_path / name, FILES)
    assert list(iter_files(archive, lambda name: True)) == list(FILES.items())


@pytest.mark.parametrize("name", FORMATS)
def test_only_wanted_files_are_given(tmp_path, name):
    archive = write_any(tmp_path / name, FILES)
    assert [name for name, _ in iter_files(archive, lambda name: name.endswith(".txt"))] == ["VOC/ImageSets/val.txt"]


def test_the_format_is_taken_from_the_content(tmp_path):
    assert everything(write_zip(tmp_path / "called.tar", FILES)) == FILES
    assert everything(write_tar(tmp_path / "called.zip", FILES, "gz")) == FILES


def test_folders_are_passed_over_and_leading_dots_dropped(tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_bytes(b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "tree", arcname=".")
        tar.add(tmp_path / "tree" / "sub", arcname="./sub", recursive=False)  # folders may be listed again
    assert everything(tmp_path / "a.tar") == {"sub/file": b"x"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.mkdir("sub")
        opened.write(tmp_path / "tree" / "sub" / "file", "sub/file")
    assert everything(tmp_path / "a.zip") == {"sub/file": b"x"}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_of_every_tar_dialect(tmp_path, format):
    name = "folder/" * 12 + "Bäume-" + "x" * 80
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as tar:
        tar.addfile(tarfile.TarInfo(name))
    assert everything(tmp_path / "a.tar") == {name: b""}


def test_zip_members_are_read_by_name_and_the_handle_closes(tmp_path):
    with open_zip(write_zip(tmp_path / "a.zip", FILES)) as opened:
        for name, content in FILES.items():
            assert read_member(opened, name) == content
        with pytest.raises(UserError, match=r"a\.zip: has no member 'missing\.jpg'"):
            read_member(opened, "missing.jpg")


# --- members that no dataset has


TRAVERSALS = ["../out", "a/../../out", "a/..", "..", "./../out", "a/./../b"]
ABSOLUTES = ["/etc/passwd", "//host/share", "C:/windows", "c:out"]
IMPOSSIBLE = ["a\\b", "..\\out", "\\\\host\\share", "", "."]


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
@pytest.mark.parametrize("name", TRAVERSALS + ABSOLUTES + IMPOSSIBLE)
def test_names_that_could_leave_a_folder_are_refused(tmp_path, suffix, name):
    archive = write_any(tmp_path / f"a{suffix}", {"honest": b"yes", name: b"no"})
    with pytest.raises(UserError) as caught:
        everything(archive)
    assert str(archive) in str(caught.value)
    assert f"member {name!r}" in str(caught.value)
    assert "fetch the official" in str(caught.value)


NAMES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b.jpg", "...", "c:", "\\", "..\\", "\0", "~", " ", "\udcff", "é"]),
    min_size=1,
    max_size=5,
).map("/".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=150, deadline=None)
@given(name=NAMES, zipped=st.booleans())
def test_no_name_escapes_the_folder_that_a_reader_writes_to(tmp_path_factory, name, zipped):
    folder = tmp_path_factory.mktemp("escape")
    archive = folder / "a"
    root = folder / "root"
    try:
        (write_zip if zipped else write_tar)(archive, {name: b"content"})
    except UnicodeEncodeError:
        return  # a zip cannot hold this name
    for given_name in files_or_sentence(archive):
        target = Path(os.path.normpath(root / given_name))
        assert target != root
        assert target.is_relative_to(root)
        assert "\\" not in given_name
        assert "\0" not in given_name


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "is a symbolic link"),
        (tarfile.LNKTYPE, "is a hard link"),
        (tarfile.CHRTYPE, "is a device"),
        (tarfile.BLKTYPE, "is a device"),
        (tarfile.FIFOTYPE, "is a named pipe"),
        (tarfile.CONTTYPE, "is neither a plain file nor a folder"),
        (tarfile.GNUTYPE_SPARSE, "is neither a plain file nor a folder"),
        (b"?", "is neither a plain file nor a folder"),
    ],
)
@pytest.mark.parametrize("wanted", [True, False])
def test_links_devices_and_the_like_are_refused_even_when_not_wanted(tmp_path, kind, words, wanted):
    archive = tar_with(tmp_path / "a.tar", type=kind, linkname="/etc/passwd")
    with pytest.raises(UserError, match=f"member 'bad' {words}"):
        list(iter_files(archive, lambda name: wanted))


def test_sparse_files_of_the_pax_dialect_are_refused(tmp_path):
    member = {"pax_headers": {"GNU.sparse.size": "1000", "GNU.sparse.numblocks": "0", "GNU.sparse.map": "0,0"}}
    with pytest.raises(UserError, match="neither a plain file nor a folder"):
        everything(tar_with(tmp_path / "a.tar", **member))


@pytest.mark.parametrize(
    ("mode", "words"),
    [(stat.S_IFLNK, "symbolic link"), (stat.S_IFIFO, "neither a plain"), (stat.S_IFCHR, "neither a plain")],
)
def test_links_and_devices_in_zips_are_refused(tmp_path, mode, words):
    info = zipfile.ZipInfo("bad")
    info.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match=f"member 'bad' is .*{words}"):
        open_zip(tmp_path / "a.zip")


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
@pytest.mark.parametrize("names", [("a", "a"), ("b/a", "b//a"), ("b/a", "./b/a")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path, suffix, names):
    archive = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for name in names:
                opened.writestr(name, b"x")
    else:
        with tarfile.open(archive, "w") as tar:
            for name in names:
                tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(UserError, match=r"comes twice|not in its plain form"):
        everything(archive)


def test_encrypted_members_are_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"secret": b"x"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(UserError, match="member 'secret' is encrypted"):
        open_zip(archive)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(tmp_path, compression):
    with pytest.raises(UserError, match="neither stored nor deflated"):
        open_zip(write_zip(tmp_path / "a.zip", {"x": b"x"}, compression))


def test_a_zip_name_cut_short_by_a_null_byte_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"cover.jpg\0/../../out": b"x"})
    with pytest.raises(UserError, match="has a name that no file may have"):
        open_zip(archive)


# --- bombs


@pytest.fixture
def small_bounds(monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 100_000)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 250_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 20)
    monkeypatch.setattr(archives, "RATIO_FROM_BYTES", 50_000)


def noise(count, seed=1):
    return b"".join(zlib.crc32(struct.pack("<II", seed, i)).to_bytes(4, "little") for i in range(count // 4))


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("name", FORMATS)
class TestBombs:
    def test_what_is_within_the_bounds_passes(self, tmp_path, name):
        files = {"a": noise(80_000, 1), "b": noise(80_000, 2), "zeros": bytes(40_000)}
        assert everything(write_any(tmp_path / name, files)) == files

    def test_a_member_too_big_is_refused_even_when_not_wanted(self, tmp_path, name):
        archive = write_any(tmp_path / name, {"big": noise(120_000)})
        with pytest.raises(UserError, match="member 'big' claims 120,000 bytes"):
            list(iter_files(archive, lambda name: False))

    def test_a_total_too_big_is_refused(self, tmp_path, name):
        archive = write_any(tmp_path / name, {str(i): noise(90_000, i) for i in range(3)})
        with pytest.raises(UserError, match="holds more than any archive"):
            everything(archive)

    def test_too_many_members_are_refused(self, tmp_path, name):
        archive = write_any(tmp_path / name, {str(i): b"" for i in range(30)})
        with pytest.raises(UserError, match="holds more than any archive"):
            everything(archive)


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("name", ["a.gz", "a.zip"])
def test_a_ratio_too_high_is_refused(tmp_path, name):
    archive = write_any(tmp_path / name, {"zeros": bytes(90_000)})
    with pytest.raises(UserError, match="decompression bomb"):
        list(iter_files(archive, lambda name: False))


@pytest.mark.usefixtures("small_bounds")
def test_a_bomb_behind_the_end_of_the_tar_is_refused(tmp_path):
    inner = write_tar(tmp_path / "inner.tar", {"a": b"x"}).read_bytes()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(inner + bytes(10**7)))
    with pytest.raises(UserError, match=r"decompression bomb|holds more"):
        everything(tmp_path / "a.tgz")


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_gigabytes_is_not_read_into_memory(tmp_path, kind):
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 5 << 30
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(UserError, match="holds more than any archive"):
        everything(tmp_path / "a.tar")


def test_zip_members_that_share_bytes_are_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"first": noise(5000), "other": noise(5000, 2)})
    content = bytearray(archive.read_bytes())
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    content[second + 42 : second + 46] = struct.pack("<I", 10)  # the second's bytes begin inside the first's
    archive.write_bytes(content)
    with pytest.raises(UserError, match="shares its bytes"):
        open_zip(archive)


def test_chains_of_headers_end_in_a_sentence(tmp_path):
    header = tarfile.TarInfo("header")
    header.type = tarfile.XHDTYPE
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) * 5000 + bytes(1024))
    with pytest.raises(UserError, match="truncated or damaged"):
        everything(tmp_path / "a.tar")


def test_negative_sizes_neither_loop_nor_pass(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("bad")
        member.pax_headers = {"size": "-1024"}
        tar.addfile(member)
        tar.addfile(tarfile.TarInfo("next"))
    with pytest.raises(UserError, match=r"truncated or damaged|claims -1,024 bytes"):
        everything(tmp_path / "a.tar")


# --- damage


@pytest.mark.parametrize("name", FORMATS)
def test_an_archive_that_ends_early_anywhere_is_refused(tmp_path, name):
    whole = write_any(tmp_path / name, FILES).read_bytes()
    content_end = len(whole.rstrip(b"\0")) if name == "a.tar" else len(whole)
    cut = tmp_path / f"cut-{name}"
    # Every length for the packed formats; block borders and their neighbours for the plain tar. Of the zeros
    # that end a tar, one block must be there: the rest is padding.
    lengths = range(1, len(whole)) if name != "a.tar" else [n + d for n in range(0, content_end, 512) for d in (0, 1)]
    for length in lengths:
        if length:
            cut.write_bytes(whole[:length])
            with pytest.raises(UserError, match=r"truncated or damaged|is not a"):
                everything(cut)


def test_a_tar_cut_at_the_end_of_its_last_file_is_refused(tmp_path):
    whole = write_tar(tmp_path / "a.tar", {"a": b"x" * 512}).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:1024])
    with pytest.raises(UserError, match=r"cut\.tar: is truncated or damaged; delete it and run again"):
        everything(tmp_path / "cut.tar")
    (tmp_path / "cut.tar").write_bytes(whole[:1536])
    assert everything(tmp_path / "cut.tar") == {"a": b"x" * 512}


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path):
    archive = write_tar(tmp_path / "a.tar", {str(i): b"x" for i in range(5)})
    content = bytearray(archive.read_bytes())
    content[2 * 1024 + 150] ^= 1  # the checksum field of the third header
    archive.write_bytes(content)
    with pytest.raises(UserError, match="truncated or damaged"):
        everything(archive)


def test_damaged_bytes_of_a_zip_member_are_noticed(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a.jpg": noise(1000)}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    content[500] ^= 1
    archive.write_bytes(content)
    with open_zip(archive) as opened, pytest.raises(UserError, match=r"a\.zip, member 'a\.jpg': is truncated or dam"):
        read_member(opened, "a.jpg")


@settings(max_examples=200, deadline=None)
@given(data=st.data(), name=st.sampled_from(FORMATS))
def test_random_damage_gives_the_files_or_a_sentence(tmp_path_factory, data, name):
    archive = tmp_path_factory.mktemp("fuzz") / name
    content = bytearray(write_any(archive, FILES).read_bytes().removesuffix(bytes(6000)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    files_or_sentence(archive)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html></html>" * 50, b"BZh9" + noise(2000), b"Rar!", b"x"])
def test_what_is_no_archive_is_called_so(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tar: is not a tar, tar\.gz or zip archive"):
        everything(tmp_path / "a.tar")


def test_missing_empty_and_unreadable_archives_are_named(tmp_path):
    with pytest.raises(UserError, match="no such archive; get it with `segrepro fetch`"):
        everything(tmp_path / "none.tar")
    (tmp_path / "empty.tar").touch()
    with pytest.raises(UserError, match="is empty"):
        everything(tmp_path / "empty.tar")
    with pytest.raises(UserError, match="cannot be read"):
        everything(tmp_path)
    with pytest.raises(UserError, match="is not a zip archive"):
        open_zip(write_tar(tmp_path / "a.tar", FILES))


@pytest.mark.real
def test_the_real_subset_passes_whole():
    folder = Path(os.environ.get("SEGREPRO_REAL_SUBSET", "unset"))
    if not folder.is_dir():
        pytest.skip("SEGREPRO_REAL_SUBSET names no folder")
    found = sorted([*folder.glob("*.tar"), *folder.glob("*.tgz"), *folder.glob("*.zip")])
    assert len(found) == 5
    for archive in found:
        assert sum(1 for _ in iter_files(archive, lambda name: name.endswith((".jpg", ".json", ".txt")))) > 1
