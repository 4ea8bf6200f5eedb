"""Fetching a file from the first of its mirrors that has it, and proving that it is the right one.

A file gets its final name only when it has been verified: a size, md5 or sha256 where one is known, and in any case
that it is not a web page. What can be resumed stays beside it as ``<out>.partial`` (`segrepro.data.partials`).
"""

import os
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from segrepro.config.data import Expected, Patience
from segrepro.data.downloads import copy_file, download
from segrepro.data.expected import WEB_PAGE, find_fault
from segrepro.data.partials import MirrorError, Partial
from segrepro.errors import UserError
from segrepro.files import file_digest
from segrepro.locks import HeldError, locked
from segrepro.options import with_home

NOTHING_KNOWN, PATIENCE = Expected(), Patience()


def fetch(
    out: Path,
    urls: Sequence[str],
    *,
    expected: Expected = NOTHING_KNOWN,
    local_dir: Path | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Bring one file to ``out``: from a folder, or from the first mirror that has the right one.

    A file that is at ``out`` already and passes the checks is kept. One of that name in ``local_dir``, a folder of the
    user, is linked, not copied. Mirrors are tried in order: ``http://``, ``https://``, ``file:///absolute``,
    ``file:relative``.

    Raises:
        UserError: no mirror has the right file (each is listed with its reason), the user's own file is another
            one, or another process is fetching the same file.
        OSError: the disk is full; what has arrived stays.
    """
    local_files = {url: _local_file(url) for url in urls}
    try:
        with locked(out.with_name(f"{out.name}.lock")):
            if not _is_here(out, expected) and not (local_dir and _link_local(out, local_dir, expected)):
                _fetch_from_mirrors(out, local_files, expected, patience)
            if not expected.digests:
                _say(
                    f"warning: no checksum is known for {out.name}, so nothing proves it is the right file; "
                    f"its sha256 is {file_digest(out)}"
                )
    except HeldError as error:
        raise UserError(f"{out}: is being fetched by {error}; wait for it, or stop it and run again.") from None


def _is_here(out: Path, expected: Expected) -> bool:
    if out.is_dir():
        raise UserError(f"{out}: is a folder; give the name of a file.")
    if not out.exists():
        return False
    fault = find_fault(out, expected)
    if fault:
        _say(f"{out} {fault}; fetching it again")
        return False
    _say(f"{out} is here already")
    return True


def _link_local(out: Path, folder: Path, expected: Expected) -> bool:
    """Link the user's own copy, if there is one; the user's file is never touched."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder that has the archives, or none.")
    own = folder.resolve() / out.name
    if not own.is_file() or (out.exists() and own.samefile(out)):
        return False
    fault = find_fault(own, expected)
    if fault:
        raise UserError(f"{own}: {fault}; replace it, or take it away to have it fetched.")
    link = out.with_name(f"{out.name}.link")
    link.unlink(missing_ok=True)
    link.symlink_to(own)
    link.replace(out)
    _say(f"{out} links to {own}")
    return True


def _fetch_from_mirrors(out: Path, mirrors: dict[str, Path | None], expected: Expected, patience: Patience) -> None:
    partial = Partial(out)
    reasons = {}
    for url, local_file in mirrors.items():
        partial.inherited = partial.size > 0
        try:
            fault = _try_mirror(url, local_file, partial, expected, patience)
            if fault and partial.inherited:  # the mirror may be right, and the bytes from before wrong
                partial.discard()
                fault = _try_mirror(url, local_file, partial, expected, patience)
        except MirrorError as error:
            fault = str(error)
        else:
            if fault is None:
                _fsync(partial.path)
                partial.become(out)
                _fsync(out.parent)
                return
            partial.discard()
        reasons[url] = fault
        _say(f"{url}: {fault}")
    raise UserError(_no_mirror(out, reasons))


def _try_mirror(
    url: str, local_file: Path | None, partial: Partial, expected: Expected, patience: Patience
) -> str | None:
    """Complete the partial file from one mirror; return what is wrong with it, or None."""
    _say(f"fetching {url}")
    if local_file is not None:
        copy_file(local_file, url, partial, expected)
    else:
        download(url, partial, expected, patience)
    if expected.digests:
        _say(f"verifying {' and '.join(expected.digests)} of {partial.path.stem}")
    return find_fault(partial.path, expected)


def _no_mirror(out: Path, reasons: dict[str, str]) -> str:
    if not reasons:
        return f"{out.name}: no address is given; put the file into a folder and name that (--local-dir)."
    listing = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
    remedy = "check the network and run again (what has arrived is kept)"
    if any(reason.startswith("has ") for reason in reasons.values()):
        remedy = "check the checksum and the size that are configured, or name another mirror"
    if WEB_PAGE in reasons.values():
        remedy = "open the address in a browser, log in where it asks for it, and run again"
    return (
        f"{out.name} could not be fetched: {listing}. To go on, {remedy}; "
        "or put the file into a folder and name that (--local-dir)."
    )


def _local_file(url: str) -> Path | None:
    """Return the path of a ``file:`` address, None for ``http(s)://``; refuse others."""
    scheme, _, rest = url.partition(":")
    if scheme in ("http", "https") and rest.startswith("//"):
        return None
    if scheme == "file" and rest:
        if not rest.startswith("//"):
            return with_home(urllib.parse.unquote(rest))
        host, slash, path = rest[2:].partition("/")
        if host in ("", "localhost") and path:
            return Path(urllib.parse.unquote(slash + path))
    raise UserError(
        f"address '{url}' cannot be used: give http://, https://, file:///absolute/path or file:relative/path."
    )


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
