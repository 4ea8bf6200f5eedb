"""The part of a download that is here already, and the note of where it came from.

The bytes lie in ``<out>.partial``, the note in ``<out>.partial.json``. Both outlive a failed attempt, a failed
mirror and a killed process, so that 18 GB need not start over.
"""

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from segrepro.data.expected import WEB_PAGE, looks_like_web_page
from segrepro.data.parallel import progress_bar
from segrepro.errors import UserError
from segrepro.files import full_disk_named, write_json

OTHER_BYTES = (
    "answers with something that begins otherwise than what has arrived from it and says neither version nor date "
    "(a login page or proxy?)"
)


class MirrorError(Exception):
    """A mirror cannot give the file (the reason is the message); the next one may."""


class PassingError(Exception):
    """A failure that may pass: the same mirror is worth another attempt, after at least ``pause_seconds``."""

    def __init__(self, reason: str, pause_seconds: float = 0):
        super().__init__(reason)
        self.pause_seconds = pause_seconds


@dataclass(frozen=True)
class Origin:
    """Where the bytes of a partial file came from; the tag, a strong one, and the date are the last mirror's."""

    urls: tuple[str, ...]  # more than one when a download went on elsewhere
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None  # bytes of the whole file


class Partial:
    """A partial file, at ``path``, beside its target."""

    def __init__(self, out: Path):
        self.path = out.with_name(f"{out.name}.partial")
        self._note = out.with_name(f"{out.name}.partial.json")
        self.inherited = self.size > 0  # holds bytes of an earlier run or of another mirror

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def origin(self) -> Origin | None:
        """The note of origin; None where there is none that can be read."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return Origin(**{**note, "urls": tuple(note["urls"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def discard(self) -> None:
        """Delete the bytes and the note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.inherited = False

    def become(self, out: Path) -> None:
        """Give the verified file its final name."""
        self.path.replace(out)
        self._note.unlink(missing_ok=True)

    def check_space(self, total: int | None) -> None:
        """Refuse a download of ``total`` bytes of which more are missing than the disk has free."""
        missing = (total or 0) - self.size
        free = shutil.disk_usage(self.path.parent).free
        if missing > free:
            raise UserError(
                f"{self.path.parent}: {tqdm.format_sizeof(missing, 'B')} are still needed for {self.path.stem}, but "
                f"only {tqdm.format_sizeof(free, 'B')} are free; make room or choose a folder on another disk, and run "
                "again."
            )

    def receive(self, chunks: Iterator[bytes], origin: Origin, *, resume: bool) -> None:
        """Write what comes from ``origin``, after what is here (``resume``) or instead of it.

        What may be a captive portal's answer never replaces what is here: a web page, or bytes of an unknown version
        that begin otherwise.

        Raises:
            MirrorError: a web page or something else comes, or more bytes than announced.
            PassingError: the bytes end before ``origin.total``; none come.
            OSError: the disk is full; what was written stays.
        """
        first = next(chunks, b"")
        if not resume:
            if looks_like_web_page(first):
                raise MirrorError(WEB_PAGE)
            self._check_replacement(first, origin)
            self.discard()
        write_json(self._note, asdict(origin))
        with (
            full_disk_named(self.path),
            self.path.open("ab") as stream,
            progress_bar(self.path.stem, total=origin.total, unit="B", initial=self.size, scaled=True) as bar,
        ):
            for chunk in itertools.chain([first], chunks):
                stream.write(chunk)
                stream.flush()  # a killed process loses nothing that arrived
                bar.update(len(chunk))
        if origin.total is None or self.size == origin.total:
            return
        if self.size < origin.total:
            raise PassingError(f"the connection ended after {self.size:,} of {origin.total:,} bytes")
        self.discard()
        raise MirrorError(f"sent more than the {origin.total:,} bytes it announced")

    def _check_replacement(self, first: bytes, origin: Origin) -> None:
        """Refuse to give up what is here for something that cannot be a newer version of it."""
        if not self.size:
            return
        if not first:
            raise PassingError("the answer is empty")
        with self.path.open("rb") as stream:
            here = stream.read(len(first))
        if not first.startswith(here[: len(first)]) and not (origin.etag or origin.last_modified):
            raise MirrorError(f"{OTHER_BYTES}; if the file itself has changed, delete {self.path}")
