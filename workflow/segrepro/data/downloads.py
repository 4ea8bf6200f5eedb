"""Completing a partial file from one mirror: ``http(s)://`` with resume and retries, ``file:`` by copying."""

import http.client
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path

import requests
import tenacity
import urllib3

from segrepro import __version__
from segrepro.config.data import Expected, Patience
from segrepro.data.expected import WEB_PAGE
from segrepro.data.partials import MirrorError, Origin, Partial, PassingError

CONNECT_SECONDS = 20
# The pause after the first failure; it doubles, or is what ``Retry-After`` says.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1, 60
# Slower than this over a whole stall window counts as stalled: COCO's 18 GB would take half a year.
LOWEST_BYTES_PER_SECOND = 1024
# An attempt that got this much further does not count against the number of attempts: a line that drops
# every gigabyte still gets 18 GB across.
PROGRESS_BYTES = 1 << 20
PASSING_STATUSES = (408, 425, 429)  # and every 5xx

_CHUNK_BYTES = 1 << 20


def download(url: str, partial: Partial, expected: Expected, patience: Patience) -> None:
    """Complete a partial file from an ``http(s)://`` mirror, attempt after attempt.

    Bytes of two mirrors, or of a server that cannot say whether its file has changed, are joined only where a checksum
    will prove the result.

    Raises:
        MirrorError: the mirror does not have the file, or all attempts failed; the partial file is kept.
        OSError: the disk is full.
    """
    furthest, fruitless = partial.size, 0

    def count(_: tenacity.RetryCallState) -> None:
        nonlocal furthest, fruitless
        fruitless += 1
        if partial.size >= furthest + PROGRESS_BYTES:
            furthest, fruitless = partial.size, 0

    def pause(state: tenacity.RetryCallState) -> float:
        doubled = FIRST_PAUSE_SECONDS * 2 ** max(fruitless - 1, 0)
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
            retrying(_Mirror(session, url, partial, expected, patience.stall_seconds).attempt)
        except PassingError as error:
            raise MirrorError(f"{error} (gave up after {patience.attempts} attempts in a row)") from error


def copy_file(source: Path, url: str, partial: Partial, expected: Expected) -> None:
    """Copy the file of a ``file:`` mirror to the partial file, from the start; raises as `download` does."""
    if not source.is_file():
        raise MirrorError("there is no such file")
    try:
        stream = source.open("rb")
    except OSError as error:
        raise MirrorError(f"cannot be read ({error.strerror})") from error
    with stream:
        about = source.stat()
        _check_total(about.st_size, expected.bytes)
        partial.check_space(about.st_size)
        origin = Origin((url,), last_modified=formatdate(about.st_mtime, usegmt=True), total=about.st_size)
        try:
            partial.receive(iter(lambda: stream.read(_CHUNK_BYTES), b""), origin, resume=False)
        except PassingError as error:  # it shrank while it was read
            raise MirrorError(str(error)) from error


class _StartOverError(Exception):
    """What is in the partial file does not belong to what the mirror has now."""


@dataclass(frozen=True)
class _Mirror:
    """A partial file, and one address that it is completed from."""

    session: requests.Session
    url: str
    partial: Partial
    expected: Expected
    stall_seconds: float

    def attempt(self) -> None:
        try:
            self._request(self._resume_headers())
        except _StartOverError:
            self.partial.discard()
            self._request({})

    def _resume_headers(self) -> dict[str, str]:
        """The headers that ask for the rest of the partial file; none where it has to start over."""
        origin = self.partial.origin
        if not self.partial.size or origin is None:
            return {}
        headers = {"Range": f"bytes={self.partial.size}-"}
        validator = origin.etag or origin.last_modified
        if origin.urls == (self.url,) and validator:
            return headers | {"If-Range": validator}
        return headers if self.expected.digests else {}

    def _request(self, headers: dict[str, str]) -> None:
        partial = self.partial
        options = {"headers": headers, "stream": True, "timeout": (CONNECT_SECONDS, self.stall_seconds)}
        with _network_failures_sorted(self.stall_seconds), self.session.get(self.url, **options) as response:
            if response.status_code == requests.codes.range_not_satisfiable and headers:
                if partial.size != (_content_range(response)[1] or partial.origin.total):
                    raise _StartOverError
                return  # nothing is missing
            _check_response(response)
            resume = response.status_code == requests.codes.partial_content
            origin = _origin(self.url, response)
            if resume:
                origin = _joined(partial, response, origin)
            _check_total(origin.total, self.expected.bytes)
            partial.check_space(origin.total)
            origin = replace(origin, total=origin.total or self.expected.bytes)
            partial.receive(_chunks(response, self.stall_seconds), origin, resume=resume)


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
    try:
        return urllib3.Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except (urllib3.exceptions.InvalidHeader, ValueError):  # no number or date, or one that Python does not hold
        return 0


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
    """Return the origin of the partial file joined with the rest that a 206 answer brings, if the two fit together."""
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
