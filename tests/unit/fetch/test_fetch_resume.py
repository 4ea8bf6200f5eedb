"""Downloads that break off and go on: cut connections, killed processes, files that change, disks that fill up."""

import fcntl
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_server import CONTENT, MD5, OTHER, QUICK, MirrorServer, files_beside, leave_partial
from progress import wait_until
from segrepro import cli
from segrepro.config.data import Expected, Patience
from segrepro.data.fetch import fetch
from segrepro.data.partials import Origin, Partial
from segrepro.errors import UserError


def test_a_connection_cut_twice_is_resumed_where_it_broke(server, out):
    server.faults = [{"cut": 10_000}, {"cut": 15_000}]
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=10000-", "bytes=25000-"]
    assert server.requests[1]["If-Range"] == '"one"'


def test_a_download_goes_on_in_the_next_run(server, out):
    server.faults = [{"cut": 10_000}]
    with pytest.raises(UserError, match="ended"):
        fetch(out, [server.url()], patience=Patience(attempts=1))
    assert not out.exists()
    assert Partial(out).path.read_bytes() == CONTENT[:10_000]
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges[-1] == "bytes=10000-"
    assert files_beside(out) == ["archive.tar"]


def test_a_missing_file_that_comes_back_goes_on_where_it_was(server, out):
    server.faults = [{"cut": 10_000}, {"status": 500}, {"status": 404}]
    with pytest.raises(UserError, match="404"):
        fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert not out.exists()
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges[-1] == "bytes=10000-"


def test_a_rest_of_the_wrong_length_does_not_pass(server, out):
    leave_partial(out, CONTENT[:10_000], urls=[server.url()], etag='"one"', total=len(CONTENT))
    server.faults = [{"headers": {"Content-Length": "20000"}}]
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT


def test_last_modified_serves_where_there_is_no_strong_etag(server, out):
    server.etag, server.last_modified = 'W/"weak"', "Mon, 01 Jan 2024 00:00:00 GMT"
    server.faults = [{"cut": 10_000}]
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.requests[1]["If-Range"] == server.last_modified


def test_a_server_without_ranges_starts_over(server, out):
    server.ranges = False
    server.faults = [{"cut": 10_000}]
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT


CHUNKED = {"Content-Length": None, "Transfer-Encoding": "chunked", "Content-Type": "application/json"}


@pytest.mark.parametrize("body", [b'{"login": "https://portal.example/"}', b""], ids=["JSON", "nothing"])
@pytest.mark.parametrize("expected", [Expected(md5=MD5), Expected(md5=MD5, bytes=len(CONTENT)), Expected()])
def test_a_captive_portal_that_answers_with_json_costs_nothing_that_has_arrived(servers, out, body, expected):
    portal, server = servers(), servers()
    leave_partial(out, CONTENT[:10_000], urls=[server.url()], etag='"one"', total=len(CONTENT))
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    portal.content, portal.ranges, portal.etag = chunk + b"0\r\n\r\n", False, None
    portal.faults = [{"headers": CHUNKED} for _ in range(9)]
    reason = "begins otherwise" if body else "the answer is empty"
    with pytest.raises(UserError, match=reason):
        fetch(out, [portal.url()], expected=expected, patience=QUICK)
    assert Partial(out).path.read_bytes() == CONTENT[:10_000]
    fetch(out, [server.url()], expected=expected, patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=10000-"]


def test_a_file_that_changed_meanwhile_starts_over(server, out):
    server.faults = [{"cut": 10_000}]
    with pytest.raises(UserError):
        fetch(out, [server.url()], patience=Patience(attempts=1))
    server.etag, server.content = '"two"', OTHER
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == OTHER


def test_a_changed_file_is_noticed_though_the_server_ignores_if_range(server, out):
    server.honours_if_range = False
    leave_partial(out, OTHER[:10_000], urls=[server.url()], etag='"zero"', total=len(OTHER))
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=10000-", None]


def test_another_total_size_is_another_file(server, out):
    server.etag = None
    leave_partial(out, CONTENT[:10_000], urls=[server.url()], total=len(CONTENT) + 1)
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert server.asked_ranges == ["bytes=10000-", None]


@pytest.mark.parametrize("digest", [None, MD5])
def test_bytes_of_two_mirrors_are_joined_only_where_a_checksum_proves_the_result(server, out, digest):
    leave_partial(out, CONTENT[:10_000], urls=["http://gone.example/archive.tar"], etag='"one"')
    fetch(out, [server.url()], expected=Expected(md5=digest), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges == (["bytes=10000-"] if digest else [None])


def test_without_validator_and_checksum_nothing_is_resumed(server, out):
    server.etag = None
    server.faults = [{"cut": 10_000}]
    fetch(out, [server.url()], patience=QUICK)
    assert server.asked_ranges == [None, None]
    assert out.read_bytes() == CONTENT


def test_a_second_mirror_goes_on_where_the_first_broke(servers, out):
    first, second = servers(), servers()
    second.etag = '"of the second"'
    first.faults = [{"cut": 10_000}, {"status": 503}, {"status": 503}]
    second.faults = [{"cut": 10_000}]
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert second.asked_ranges == ["bytes=10000-", "bytes=20000-"]


def test_wrong_bytes_from_before_do_not_condemn_a_right_mirror(server, out):
    leave_partial(out, OTHER[:10_000], urls=["http://gone.example/archive.tar"], total=len(CONTENT))
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=10000-", None]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"urls": 3}', '{"urls": [], "unknown": 1}', "\udcff"])
def test_a_partial_file_of_unknown_origin_starts_over(server, out, note):
    leave_partial(out, CONTENT[:10_000])
    Partial(out)._note.write_bytes(note.encode("utf-8", "surrogateescape"))
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert server.asked_ranges == [None]


def test_a_partial_file_that_is_whole_needs_no_more_bytes(server, out):
    leave_partial(out, CONTENT, urls=[server.url()], etag='"one"', total=len(CONTENT))
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert len(server.requests) == 1  # answered by 416


def test_a_partial_file_longer_than_the_file_starts_over(server, out):
    leave_partial(out, CONTENT + b"more", urls=[server.url()], etag='"one"')
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=40004-", None]


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=4), ranges=st.booleans())
def test_wherever_the_connection_breaks_the_file_is_whole(tmp_path_factory, cuts, ranges):
    server = MirrorServer()
    server.ranges, server.faults = ranges, [{"cut": cut} for cut in cuts]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
    try:
        out = tmp_path_factory.mktemp("cuts") / "archive.tar"
        fetch(out, [server.url()], patience=Patience(attempts=6))
        assert out.read_bytes() == CONTENT
    finally:
        server.shutdown()
        server.server_close()


def test_a_disk_too_small_is_refused_before_the_download(server, out, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 39_000, 39_000))
    with pytest.raises(UserError, match=r"40\.0kB are still needed .* 39\.0kB are free"):
        fetch(out, [server.url()], patience=QUICK)
    leave_partial(out, CONTENT[:10_000], urls=[server.url()], etag='"one"')
    fetch(out, [server.url()], patience=QUICK)
    assert out.read_bytes() == CONTENT


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_disk_that_fills_up_is_named_and_no_second_mirror_is_tried(server, out):
    out.parent.mkdir()
    Partial(out).path.symlink_to("/dev/full")
    leave = Partial(out)
    with pytest.raises(OSError, match=r"No space left on device .* MB are free.*archive\.tar\.partial"):
        leave.receive(iter([CONTENT]), Origin((server.url(),)), resume=True)


def test_a_folder_that_cannot_be_made_is_one_sentence(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SystemExit, match=r"file is not a folder; name another place"):
        cli.main(["fetch", "--out", str(tmp_path / "file" / "archive.tar"), "--url", server.url()])


def _hold(path, ready, leave):
    with path.open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write("process 4711 on elsewhere\n")
        stream.flush()
        ready.set()
        leave.wait(20)


def test_a_second_process_is_told_who_is_fetching_and_touches_nothing(server, out):
    out.parent.mkdir()
    context = multiprocessing.get_context("fork")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(out.with_name("archive.tar.lock"), ready, leave))
    holder.start()
    try:
        assert ready.wait(10)
        with pytest.raises(UserError, match="being fetched by process 4711 on elsewhere"):
            fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
        assert server.requests == []
    finally:
        leave.set()
        holder.join()
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)  # the lock died with its holder
    assert files_beside(out) == ["archive.tar"]


def test_a_killed_download_leaves_no_lock_and_is_resumed(server, out):
    server.faults = [{"cut": 10_000, "silence": True}]
    command = [sys.executable, "-m", "segrepro", "fetch", "--out", out, "--url", server.url(), "--md5", MD5]
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
    wait_until(lambda: Partial(out).size == 10_000, "what was sent has arrived", process=process)
    process.kill()
    process.wait()
    server.released.set()
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges[-1] == "bytes=10000-"
