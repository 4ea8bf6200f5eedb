"""Fetching against a local server that does all that servers do to a download."""

import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segrepro import cli
from segrepro.data import downloads
from segrepro.data.downloads import Patience
from segrepro.data.fetch import Expected, fetch, find_fault, look_up_sha256
from segrepro.data.partials import Origin, Partial, looks_like_web_page
from segrepro.errors import UserError

CONTENT = bytes(i * i % 251 for i in range(40_000))
OTHER = CONTENT[::-1]
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(attempts=3, stall_seconds=5, first_pause_seconds=0.001)
PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>" + b" " * 50_000


class MirrorServer(ThreadingHTTPServer):
    """Serves `content` at any path; the list `faults` says what goes wrong with the requests to come.

    A fault is a dict: status (answer that and nothing else), cut (close after so many bytes of the body),
    silence or drip (then stop sending, or send a byte now and then), headers (added or, if None, left out).
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag = '"one"'
        self.last_modified = None
        self.ranges = True
        self.honours_if_range = True
        self.faults = []
        self.requests = []
        self.released = threading.Event()

    def url(self, path="archive.tar"):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    @property
    def asked_ranges(self):
        return [request["Range"] for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers)
        if self.path == "/moved.tar":
            self.send_response(302)
            self.send_header("Location", "/archive.tar")
            self.end_headers()
            return
        fault = server.faults.pop(0) if server.faults else {}
        if "status" in fault:
            self.send_response(fault["status"])
            for name, value in fault.get("headers", {}).items():
                self.send_header(name, value)
            self.end_headers()
            return
        self._send(fault, *self._choose())

    def _choose(self):
        """Return status, first byte, body."""
        server, content = self.server, self.server.content
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        unchanged = condition in (None, server.etag, server.last_modified) or not server.honours_if_range
        if not (server.ranges and asked and unchanged):
            return 200, 0, content
        first = int(asked[1])
        return (416, 0, b"") if first >= len(content) else (206, first, content[first:])

    def _send(self, fault, status, first, body):
        total = len(self.server.content)
        headers = {"ETag": self.server.etag, "Last-Modified": self.server.last_modified}
        headers |= {"Content-Type": "application/x-tar", "Content-Length": str(len(body))}
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        if status == 416:
            headers["Content-Range"] = f"bytes */{total}"
        headers |= fault.get("headers", {})
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body[: fault.get("cut", len(body))])
            if fault.get("silence"):
                self.server.released.wait(10)
            while fault.get("drip") and not self.server.released.wait(0.02):
                self.wfile.write(b"x")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@pytest.fixture
def servers():
    running = []

    def start():
        server = MirrorServer()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(servers):
    return servers()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "downloads" / "archive.tar"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def leave_partial(out, content, **origin):
    """Leave what an interrupted run leaves."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Partial(out)
    partial.path.write_bytes(content)
    partial._note.write_text(json.dumps({"urls": [], "etag": None, "last_modified": None, "total": None} | origin))


def files_beside(out):
    return sorted(path.name for path in out.parent.iterdir())


# --- the plain way


def test_a_file_is_fetched_verified_and_nothing_else_is_left(server, out):
    fetch(out, [server.url()], expected=Expected(len(CONTENT), MD5, SHA256.upper()), patience=QUICK)
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


# --- resuming


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
        fetch(out, [server.url()], patience=Patience(attempts=6, first_pause_seconds=0))
        assert out.read_bytes() == CONTENT
    finally:
        server.shutdown()
        server.server_close()


# --- retries and mirrors


def test_passing_errors_are_tried_again(server, out):
    server.faults = [{"status": 503}, {"status": 500}]
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert len(server.requests) == 3


def test_a_missing_file_sends_to_the_next_mirror_at_once(servers, out):
    first, second = servers(), servers()
    first.faults = [{"status": 404}]
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert len(first.requests) == 1
    assert out.read_bytes() == CONTENT


def test_progress_gives_new_attempts(server, out, monkeypatch):
    monkeypatch.setattr(downloads, "PROGRESS_BYTES", 1000)
    server.faults = [{"cut": 5000}] * 6
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=Patience(2, 5, 0.001))
    assert out.read_bytes() == CONTENT


def test_attempts_that_bring_nothing_new_come_to_an_end(server, out, monkeypatch):
    monkeypatch.setattr(downloads, "PROGRESS_BYTES", 1000)
    server.ranges = False
    server.faults = [{"cut": 5000}] * 20
    with pytest.raises(UserError, match=r"ended.* 3 attempts"):
        fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert len(server.requests) == 4  # one that got further, three that did not


def test_pauses_double_and_keep_to_what_the_server_asks_for(server, out, monkeypatch):
    pauses = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    server.faults = [{"status": 503}, {"status": 503}, {"status": 429, "headers": {"Retry-After": "17"}}]
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=Patience(5, 5, 2))
    assert pauses == [2, 4, 17]


def test_a_silent_connection_is_given_up(servers, out):
    first, second = servers(), servers()
    first.faults = [{"cut": 100, "silence": True}]
    started = time.monotonic()
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=Patience(1, 0.2, 0.001))
    assert out.read_bytes() == CONTENT
    assert time.monotonic() - started < 5


def test_a_dripping_connection_is_given_up(servers, out, capsys):
    first, second = servers(), servers()
    first.faults = [{"cut": 10, "drip": True}]
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=Patience(1, 0.2, 0.001))
    assert out.read_bytes() == CONTENT
    assert "no more than" in capsys.readouterr().err


def test_unreachable_mirrors_are_each_named_with_the_reason(server, out):
    server.faults = [{"status": 403}]
    urls = ["http://127.0.0.1:9/archive.tar", server.url(), "file:no/such/archive.tar"]
    with pytest.raises(UserError) as caught:
        fetch(out, urls, expected=Expected(md5=MD5), patience=QUICK)
    message = str(caught.value)
    assert all(url in message for url in urls)
    assert "Connection refused" in message
    assert "403" in message
    assert "no such file" in message
    assert "--local-dir" in message
    assert "\n" not in message
    assert files_beside(out) == []


def test_an_endless_redirect_is_a_reason(server, out):
    server.faults = [{"status": 302, "headers": {"Location": "/archive.tar"}}] * 40
    with pytest.raises(UserError, match="redirects"):
        fetch(out, [server.url()], patience=QUICK)


# --- what must not pass


def test_a_wrong_checksum_sends_to_the_next_mirror(servers, out):
    first, second = servers(), servers()
    first.content = OTHER
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert second.asked_ranges == [None]
    assert len(first.requests) == 1


def test_a_wrong_checksum_everywhere_names_file_expected_and_got(server, out):
    server.content = OTHER
    with pytest.raises(UserError) as caught:
        fetch(out, [server.url()], expected=Expected(sha256=SHA256), patience=QUICK)
    message = str(caught.value)
    assert "archive.tar" in message
    assert SHA256 in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert "check the checksum" in message
    assert files_beside(out) == []


def test_a_wrong_size_is_refused_before_the_download(server, out):
    with pytest.raises(UserError, match="has 40,000 bytes, expected 39,999"):
        fetch(out, [server.url()], expected=Expected(bytes=39_999), patience=QUICK)
    assert files_beside(out) == []


def test_a_connection_that_ends_early_without_a_length_is_caught_by_the_expected_size(server, out):
    server.faults = [{"headers": {"Content-Length": None}, "cut": 100}]
    fetch(out, [server.url()], expected=Expected(bytes=len(CONTENT)), patience=QUICK)
    assert out.read_bytes() == CONTENT


@pytest.mark.parametrize("announced", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_content_length_does_not_pass(server, out, announced):
    server.faults = [{"headers": {"Content-Length": str(announced)}}] * 9
    server.ranges = False
    with pytest.raises(UserError, match=r"ended|wrong md5"):
        fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert not out.exists()


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_refused_without_a_checksum(server, out, content_type):
    server.content = PAGE
    server.faults = [{"headers": {"Content-Type": content_type}}]
    with pytest.raises(UserError, match=r"web page.*log in"):
        fetch(out, [server.url()], patience=QUICK)
    assert not out.exists()


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream"])
def test_a_web_page_does_not_cost_what_was_downloaded_before(server, out, content_type):
    leave_partial(out, CONTENT[:10_000], urls=[server.url()], etag='"one"', total=len(CONTENT))
    server.content, server.etag = PAGE, '"page"'
    server.faults = [{"headers": {"Content-Type": content_type}}]
    with pytest.raises(UserError, match="web page"):
        fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert Partial(out).path.read_bytes() == CONTENT[:10_000]
    server.content, server.etag = CONTENT, '"one"'
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert server.asked_ranges[-1] == "bytes=10000-"


def test_an_empty_file_is_refused(server, out):
    server.content = b""
    with pytest.raises(UserError, match="is empty"):
        fetch(out, [server.url()], patience=QUICK)


def test_what_web_pages_begin_with():
    assert looks_like_web_page(b"\xef\xbb\xbf\r\n <HTML>")
    assert looks_like_web_page(b"<!doctype html>")
    assert not looks_like_web_page(b"<?xml version='1.0'?>")
    assert not looks_like_web_page(b"\x1f\x8b\x08")


# --- disks


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
    with pytest.raises(UserError, match="no space is left"):
        leave.receive(iter([CONTENT]), Origin((server.url(),)), resume=True)


def test_a_folder_that_cannot_be_made_is_one_sentence(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file: cannot be read or written"):
        fetch(tmp_path / "file" / "archive.tar", [server.url()], patience=QUICK)


# --- file: addresses and the user's own folder


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


# --- two processes


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
    deadline = time.monotonic() + 20
    while Partial(out).size < 10_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    server.released.set()
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert server.asked_ranges[-1] == "bytes=10000-"


# --- the verb


def test_the_verb_looks_the_checksum_up_in_a_list(server, out, tmp_path):
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  other.tar\n{SHA256} *archive.tar\n")
    cli.main(["fetch", "--out", str(out), "--url", server.url(), "--sha256-list", str(sums)])
    assert out.read_bytes() == CONTENT
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
        (["--md5", "abc"], "md5 'abc' is not a checksum"),
        (["--sha256", MD5], "64 hexadecimal digits"),
        (["--bytes", "0"], "--bytes 0 is not above 0"),
        (["--attempts", "-1"], "--attempts -1 is not above 0"),
        (["--stall-seconds", "nan"], "--stall-seconds nan is not above 0"),
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
    expected = Expected(len(content), sha256=hashlib.sha256(content).hexdigest())
    damaged = bytearray(content)
    damaged[flip // 8 % len(content)] ^= 1 << flip % 8
    path.write_bytes(damaged)
    assert find_fault(path, expected) is not None
