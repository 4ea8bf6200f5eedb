"""Fetching: what is fetched, verified, linked from the user's own folder, and refused."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_server import CONTENT, MD5, OTHER, QUICK, SHA256, files_beside
from segrepro import cli
from segrepro.config.data import Expected
from segrepro.data.expected import find_fault, look_up_sha256
from segrepro.data.fetch import fetch
from segrepro.errors import UserError


def test_a_file_is_fetched_verified_and_nothing_else_is_left(server, out):
    fetch(out, [server.url()], expected=Expected(bytes=len(CONTENT), md5=MD5, sha256=SHA256.upper()), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert files_beside(out) == ["archive.tar"]
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_redirects_are_followed(server, out):
    fetch(out, [server.url("moved.tar")], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT


def test_an_archive_called_gzip_encoded_is_stored_as_it_is(server, out):
    server.faults = [{"headers": {"Content-Encoding": "x-gzip"}}]
    fetch(out, [server.url()], expected=Expected(sha256=SHA256), patience=QUICK)
    assert out.read_bytes() == CONTENT


def test_without_checksum_the_sha256_is_shown_in_a_warning(server, out, capsys):
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert "warning" in capsys.readouterr().err
    fetch(out, [server.url()], patience=QUICK)
    assert SHA256 in capsys.readouterr().err


def test_a_file_that_is_there_and_right_is_not_fetched_again(server, out):
    out.parent.mkdir()
    out.write_bytes(CONTENT)
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert server.requests == []


def test_a_file_that_is_there_and_wrong_is_replaced(server, out):
    out.parent.mkdir()
    out.write_bytes(OTHER)
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT


def test_a_wrong_file_stays_where_nothing_better_comes(server, out):
    out.parent.mkdir()
    out.write_bytes(OTHER)
    server.faults = [{"status": 404}]
    with pytest.raises(UserError, match="404"):
        fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == OTHER


def test_file_addresses_absolute_relative_and_quoted(tmp_path, monkeypatch):
    source = tmp_path / "with space"
    source.mkdir()
    (source / "a.tar").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    for number, url in enumerate(
        [(source / "a.tar").as_uri(), f"file://localhost{source}/a.tar", "file:with space/a.tar"]
    ):
        out = tmp_path / f"{number}.tar"
        fetch(out, [url], expected=Expected(md5=MD5, bytes=len(CONTENT)))
        assert out.read_bytes() == CONTENT
        assert not out.is_symlink()


def test_a_file_of_another_size_sends_to_the_next_mirror(tmp_path, out):
    (tmp_path / "short.tar").write_bytes(CONTENT[:-1])
    (tmp_path / "right.tar").write_bytes(CONTENT)
    urls = [(tmp_path / name).as_uri() for name in ("short.tar", "right.tar")]
    fetch(out, urls, expected=Expected(bytes=len(CONTENT)))
    assert out.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url", ["ftp://host/a.tar", "archive.tar", "file:", "file://some/path", "file://", "http:/a", ""]
)
def test_addresses_of_other_kinds_are_refused_before_anything_is_done(url, server, out):
    with pytest.raises(UserError, match=r"cannot be used: give http"):
        fetch(out, [server.url(), url])
    assert server.requests == []


def test_a_copy_in_the_local_folder_is_verified_and_linked(server, tmp_path, out):
    own = tmp_path / "own"
    own.mkdir()
    (own / "archive.tar").write_bytes(CONTENT)
    fetch(out, [server.url()], local_dir=own, expected=Expected(md5=MD5))
    assert out.is_symlink()
    assert out.readlink() == (own / "archive.tar").resolve()
    assert server.requests == []
    fetch(out, [], local_dir=own, expected=Expected(md5=MD5))
    assert files_beside(out) == ["archive.tar"]


def test_a_wrong_copy_in_the_local_folder_is_named_and_left_alone(server, tmp_path, out):
    own = tmp_path / "own"
    own.mkdir()
    (own / "archive.tar").write_bytes(OTHER)
    with pytest.raises(UserError, match=r"own/archive.tar: has the wrong md5: expected .*replace it"):
        fetch(out, [server.url()], local_dir=own, expected=Expected(md5=MD5))
    assert (own / "archive.tar").read_bytes() == OTHER
    assert not out.exists()


def test_a_local_folder_without_the_file_leaves_it_to_the_mirrors(server, tmp_path, out):
    fetch(out, [server.url()], local_dir=tmp_path, expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert not out.is_symlink()


def test_a_local_folder_that_is_the_target_folder_does_not_link_to_itself(server, out):
    out.parent.mkdir()
    out.write_bytes(OTHER)
    fetch(out, [server.url()], local_dir=out.parent, expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert not out.is_symlink()


def test_a_link_whose_file_is_gone_is_replaced_by_a_download(server, tmp_path, out):
    out.parent.mkdir()
    out.symlink_to(tmp_path / "gone.tar")
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert not out.is_symlink()
    assert not (tmp_path / "gone.tar").exists()


def test_a_missing_local_folder_and_no_address_at_all_are_named(tmp_path, out):
    with pytest.raises(UserError, match="no such folder"):
        fetch(out, [], local_dir=tmp_path / "none")
    with pytest.raises(UserError, match="no address is given"):
        fetch(out, [], local_dir=tmp_path)


def test_the_verb_looks_the_checksum_up_in_a_list(server, out, tmp_path):
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  other.tar\n{SHA256} *archive.tar\n")
    cli.main(["fetch", "--out", str(out), "--url", server.url(), "--sha256-list", str(sums)])
    assert out.read_bytes() == CONTENT
    sums.write_text("abc  archive.tar\n")
    with pytest.raises(UserError, match=r"SHA256SUMS: lists 'abc' for archive\.tar, which is no sha256"):
        look_up_sha256(sums, "archive.tar")
    with pytest.raises(UserError, match=r"does not list more.tar"):
        look_up_sha256(sums, "more.tar")
    with pytest.raises(UserError, match="no such list"):
        look_up_sha256(tmp_path / "none", "more.tar")


def test_the_verb_takes_several_mirrors_in_both_spellings(server, out):
    server.faults = [{"status": 404}, {"status": 404}]
    urls = [server.url("a.tar"), server.url("b.tar"), server.url("c.tar")]
    cli.main(["fetch", "--out", str(out), "--url", *urls[:2], "--url", urls[2], "--md5", MD5])
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--md5", "abc"], "--md5: give 32 hexadecimal digits, not 'abc'."),
        (["--sha256", MD5], "--sha256: give 64 hexadecimal digits"),
        (["--bytes", "0"], "--bytes is 0; give a whole number"),
        (["--attempts", "-1"], "--attempts is -1; give a whole number"),
        (["--stall-seconds", "0"], "--stall-seconds is 0; give a whole number"),
        (["--url", "gopher://x"], "address 'gopher://x' cannot be used"),
    ],
)
def test_the_verb_refuses_options_in_one_sentence(options, sentence, out):
    with pytest.raises(SystemExit) as caught:
        cli.main(["fetch", "--out", str(out), *options])
    assert sentence in str(caught.value.code)
    assert not out.parent.exists()


def test_progress_in_a_log_is_a_few_lines(server, out, capsys):
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert len(re.split(r"[\r\n]+", capsys.readouterr().err.strip())) < 8


@given(content=st.binary(min_size=1, max_size=64), flip=st.integers(0, 511))
def test_one_flipped_bit_is_a_fault(tmp_path_factory, content, flip):
    path = tmp_path_factory.mktemp("flip") / "file"
    expected = Expected(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    damaged = bytearray(content)
    damaged[flip // 8 % len(content)] ^= 1 << flip % 8
    path.write_bytes(damaged)
    assert find_fault(path, expected) is not None
