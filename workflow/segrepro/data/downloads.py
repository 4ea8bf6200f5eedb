"""Completing a partial file from one mirror: ``http(s)://`` with resume and retries, ``file:`` by copying.

`segrepro.data.fetch` chooses mirrors, verifies the result and gives it its final name.
"""

import http.client
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
import tenacity
import urllib3

from segrepro import __version__
from segrepro.data.partials import WEB_PAGE, MirrorError, Origin, Partial, PassingError

CONNECT_SECONDS = 20
LONGEST_PAUSE_SECONDS = 60
# Slower than this over a whole stall window counts as stalled: COCO's 18 GB would take half a year.
LOWEST_BYTES_PER_SECOND = 1024
# An attempt that got this much further does not count against the number of attempts: a line that drops
# every gigabyte still gets 18 GB across.
PROGRESS_BYTES = 1 << 20
PASSING_STATUSES = (408, 425, 429)  # and every 5xx

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Patience:
    """How long to go on with a mirror.

    Attributes:
        attempts: attempts in a row that bring nothing new before the next mirror is tried.
        stall_seconds: a connection silent, or slower than `LOWEST_BYTES_PER_SECOND`, for so long is dropped.
        first_pause_seconds: pause after the first failure; it doubles, or is what ``Retry-After`` says, up to
            `LONGEST_PAUSE_SECONDS`.
    """

    attempts: int = 5
    stall_seconds: float = 60
    first_pause_seconds: float = 1


class _StartOverError(Exception):
    """What is in the partial file does not belong to what the mirror has now."""


@dataclass(frozen=True)
class _Wish:
    """What one request is made for; the arguments of `download`."""

    url: str
    provable: bool
    expected_bytes: int | None
    stall_seconds: float


def download(url: str, partial: Partial, *, provable: bool, expected_bytes: int | None, patience: Patience) -> None:
    """Complete a partial file from an ``http(s)://`` mirror, attempt after attempt.

    Args:
        url: address of the file.
        partial: what there is so far.
        provable: whether a checksum will prove the result. Only then are bytes of two mirrors, or of a server
            that cannot say whether its file has changed, joined.
        expected_bytes: size that the file must have, or None.
        patience: how long to try.

    Raises:
        MirrorError: the mirror does not have the file, or all attempts failed; the partial file is kept.
        UserError: the disk is full.
    """
    wish = _Wish(url, provable, expected_bytes, patience.stall_seconds)
    furthest, fruitless = partial.size, 0

    def count(_: tenacity.RetryCallState) -> None:
        nonlocal furthest, fruitless
        fruitless += 1
        if partial.size >= furthest + PROGRESS_BYTES:
            furthest, fruitless = partial.size, 0

    def pause(state: tenacity.RetryCallState) -> float:
        doubled = patience.first_pause_seconds * 2 ** max(fruitless - 1, 0)
        return min(max(doubled, state.outcome.exception().pause_seconds), LONGEST_PAUSE_SECONDS)

    def announce(state: tenacity.RetryCallState) -> None:
        seconds = state.next_action.sleep
        print(f"{url}: {state.outcome.exception()}; trying again in {seconds:.0f} s", file=sys.stderr)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(PassingError),
        after=count,
        stop=lambda _: fruitless >= patience.attempts,
        wait=pause,
        before_sleep=announce,
        reraise=True,
    )
    with requests.Session() as session:
        session.headers.update({"User-Agent": f"segrepro/{__version__}", "Accept-Encoding": "identity"})
        try:
            retrying(_attempt, session, wish, partial)
        except PassingError as error:
            raise MirrorError(f"{error} (gave up after {patience.attempts} attempts in a row)") from error


def copy_file(source: Path, url: str, partial: Partial, *, expected_bytes: int | None) -> None:
    """Copy the file of a ``file:`` mirror to the partial file, from the start.

    Raises:
        MirrorError: the file is missing, cannot be read, or has another size than expected.
        UserError: the disk is full.
    """
    if not source.is_file():
        raise MirrorError("there is no such file")
    try:
        stream = source.open("rb")
    except OSError as error:
        raise MirrorError(f"cannot be read ({error.strerror})") from error
    with stream:
        total = source.stat().st_size
        _check_total(total, expected_bytes)
        partial.check_space(total)
        chunks = iter(lambda: stream.read(_CHUNK_BYTES), b"")
        try:
            partial.receive(chunks, Origin((url,), total=total), resume=False, trusted=True)
        except PassingError as error:  # it shrank while it was read
            raise MirrorError(str(error)) from error


def _attempt(session: requests.Session, wish: _Wish, partial: Partial) -> None:
    try:
        _request(session, wish, partial, _resume_headers(wish, partial))
    except _StartOverError:
        partial.discard()
        _request(session, wish, partial, {})


def _resume_headers(wish: _Wish, partial: Partial) -> dict[str, str]:
    """Return the headers that ask for the rest of a partial file; none where it has to start over."""
    origin = partial.origin
    if not partial.size or origin is None:
        return {}
    headers = {"Range": f"bytes={partial.size}-"}
    validator = origin.etag or origin.last_modified
    if origin.urls == (wish.url,) and validator:
        return headers | {"If-Range": validator}
    return headers if wish.provable else {}


def _request(session: requests.Session, wish: _Wish, partial: Partial, headers: dict[str, str]) -> None:
    """Make one request and receive what it gives into the partial file."""
    timeout = (CONNECT_SECONDS, wish.stall_seconds)
    with (
        _network_failures_sorted(wish.stall_seconds),
        session.get(wish.url, headers=headers, stream=True, timeout=timeout) as response,
    ):
        if response.status_code == requests.codes.range_not_satisfiable and headers:
            if partial.size != (_content_range(response)[1] or partial.origin.total):
                raise _StartOverError
            return  # nothing is missing
        _check_response(response)
        resume = response.status_code == requests.codes.partial_content
        origin = _origin(wish.url, response)
        if resume:
            origin = _joined(partial, response, origin)
        _check_total(origin.total, wish.expected_bytes)
        partial.check_space(origin.total)
        origin = replace(origin, total=origin.total or wish.expected_bytes)
        partial.receive(_chunks(response, wish.stall_seconds), origin, resume=resume)


def _check_response(response: requests.Response) -> None:
    status = response.status_code
    if status in PASSING_STATUSES or status >= 500:
        raise PassingError(f"the server answers {status} {response.reason}", _retry_after(response))
    if status not in (requests.codes.ok, requests.codes.partial_content):
        raise MirrorError(f"the server answers {status} {response.reason}")
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise MirrorError(WEB_PAGE)


def _retry_after(response: requests.Response) -> float:
    """Return the seconds that ``Retry-After`` asks to wait, given as seconds or as a date; 0 where it says nothing."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0
    if date.tzinfo is None:  # the old forms without a zone are of Greenwich too (RFC 9110, 5.6.7)
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _origin(url: str, response: requests.Response) -> Origin:
    etag = response.headers.get("ETag")
    length = response.headers.get("Content-Length", "")
    return Origin(
        urls=(url,),
        etag=etag if etag and not etag.startswith("W/") else None,  # If-Range takes strong tags only
        last_modified=response.headers.get("Last-Modified"),
        total=int(length) if length.isdecimal() else None,
    )


def _joined(partial: Partial, response: requests.Response, rest: Origin) -> Origin:
    """Return the origin of the partial file joined with the rest that a 206 answer brings.

    Raises:
        _StartOverError: the two do not fit together.
    """
    before = partial.origin
    first, total = _content_range(response)
    if before is None or first != partial.size or _differ(before.total, total):
        raise _StartOverError
    if before.urls == rest.urls:
        if _differ(before.etag, rest.etag) or _differ(before.last_modified, rest.last_modified):
            raise _StartOverError  # the file has changed, and the server ignored If-Range
        return replace(before, total=total or before.total)
    return replace(rest, urls=tuple(dict.fromkeys(before.urls + rest.urls)), total=total or before.total)


def _differ(before: str | int | None, now: str | int | None) -> bool:
    return before is not None and now is not None and before != now


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Return first byte and total size of a ``Content-Range``, each None where it is not given."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", ""))
    first, total = match.groups() if match else (None, None)
    return int(first) if first else None, int(total) if total else None


def _chunks(response: requests.Response, stall_seconds: float) -> Iterator[bytes]:
    """Give the bytes as they come, undecoded (servers call a .tgz gzip-encoded); raise when they trickle."""
    since, received = time.monotonic(), 0
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        yield chunk
        received += len(chunk)
        elapsed = time.monotonic() - since
        if elapsed >= stall_seconds:
            if received < LOWEST_BYTES_PER_SECOND * elapsed:
                raise PassingError(f"the connection gave no more than {received} bytes in {elapsed:.0f} s")
            since, received = time.monotonic(), 0


def _check_total(total: int | None, expected: int | None) -> None:
    if _differ(expected, total):
        raise MirrorError(f"has {total:,} bytes, expected {expected:,}")


@contextmanager
def _network_failures_sorted(stall_seconds: float) -> Iterator[None]:
    """Sort what the HTTP libraries raise into failures that may pass and those that will not."""
    try:
        yield
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        seconds = CONNECT_SECONDS if isinstance(error, requests.ConnectTimeout) else stall_seconds
        raise PassingError(f"no answer for {seconds:g} s") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        reason = _root_reason(error)
        if "certificate verify failed" in reason.lower():
            raise MirrorError(f"its certificate is not trusted ({reason})") from error
        raise PassingError(reason) from error
    except requests.RequestException as error:  # an address that no server can have, endless redirects
        raise MirrorError(str(error).rstrip(".")) from error


def _root_reason(error: BaseException) -> str:
    """Return the operating system's words for a network error, or our own where there are none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, http.client.IncompleteRead):
            return "the connection ended before the file did"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return f"the connection broke ({type(error).__name__})"
