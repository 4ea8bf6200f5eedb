"""Retries, mirrors, stalls, and what servers send instead of the file."""

import email.utils
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from mirror_server import CONTENT, MD5, OTHER, PAGE, QUICK, SHA256, files_beside, leave_partial
from segrepro.config.data import Expected, Patience
from segrepro.data import downloads
from segrepro.data.expected import looks_like_web_page
from segrepro.data.fetch import fetch
from segrepro.data.partials import Partial
from segrepro.errors import UserError


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
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=Patience(attempts=2, stall_seconds=5))
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
    monkeypatch.setattr(downloads, "FIRST_PAUSE_SECONDS", 2)
    server.faults = [{"status": 503}, {"status": 503}, {"status": 429, "headers": {"Retry-After": "17"}}]
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=Patience())
    assert pauses == [2, 4, 17]


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        (lambda: email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True), 5, 50),
        (lambda: email.utils.format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), 60, 60),
        (lambda: (datetime.now(UTC) + timedelta(seconds=50)).ctime(), 5, 50),
        (lambda: "Mon, 01 Jan 2024 00:00:00 GMT", 2, 2),
        (lambda: "soon", 2, 2),
        (lambda: "Fri, 01 Jan 10000 00:00:00 GMT", 2, 2),
        (lambda: "900", 60, 60),
    ],
    ids=["a date", "tomorrow", "an old form", "a date that is over", "nonsense", "too far", "a quarter of an hour"],
)
def test_the_server_may_ask_for_a_pause_until_a_date_and_gets_a_minute_at_most(
    server, out, monkeypatch, said, least, most
):
    pauses = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    monkeypatch.setattr(downloads, "FIRST_PAUSE_SECONDS", 2)
    server.faults = [{"status": 503, "headers": {"Retry-After": said()}}]
    fetch(out, [server.url()], expected=Expected(md5=MD5), patience=Patience())
    assert least <= pauses[0] <= most


def test_a_silent_connection_is_given_up(servers, out, capsys):
    first, second = servers(), servers()
    first.faults = [{"cut": 100, "silence": True}]
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=Patience(attempts=1, stall_seconds=1))
    assert out.read_bytes() == CONTENT
    assert "no answer for 1 s" in capsys.readouterr().err


def test_a_dripping_connection_is_given_up(servers, out, capsys):
    first, second = servers(), servers()
    first.faults = [{"cut": 10, "drip": True}]
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=Patience(attempts=1, stall_seconds=1))
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


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/archive.tar", "file:///etc/hostname"])
def test_a_redirect_to_nowhere_sends_to_the_next_mirror(servers, out, place):
    first, second = servers(), servers()
    first.faults = [{"status": 302, "headers": {"Location": place}}]
    fetch(out, [first.url(), second.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert len(first.requests) == 1


def test_a_redirect_to_a_login_page_is_refused_and_costs_nothing(servers, out):
    mirror, portal = servers(), servers()
    portal.content, portal.etag = PAGE, '"page"'
    mirror.faults = [{"status": 302, "headers": {"Location": portal.url("login")}}]
    leave_partial(out, CONTENT[:10_000], urls=[mirror.url()], etag='"one"', total=len(CONTENT))
    with pytest.raises(UserError, match=r"web page.*log in"):
        fetch(out, [mirror.url()], expected=Expected(md5=MD5), patience=QUICK)
    fetch(out, [mirror.url()], expected=Expected(md5=MD5), patience=QUICK)
    assert out.read_bytes() == CONTENT
    assert mirror.asked_ranges[-1] == "bytes=10000-"


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
