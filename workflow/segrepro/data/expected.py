"""What a fetched file must be: the options that say it, and the check."""

import argparse
import re
from pathlib import Path

from segrepro.config.data import Expected
from segrepro.errors import UserError
from segrepro.files import file_digest
from segrepro.options import INPUT, add_options, section_of
from segrepro.schema import SHA256

WEB_PAGE = "is a web page, not an archive (a login page or proxy answers, or the file has moved)"


def add_expected_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say what a file must be."""
    add_options(parser, Expected)
    parser.add_argument("--sha256-list", type=INPUT, metavar="FILE", help="SHA256SUMS file that names the file")


def expected_of(args: argparse.Namespace, name: str) -> Expected:
    """Return what the options of `add_expected_options` say of the file called ``name``; refuse two things at once."""
    expected = section_of(args, Expected)
    if not args.sha256_list:
        return expected
    listed = look_up_sha256(args.sha256_list, name)
    if expected.sha256 not in (None, listed.lower()):
        raise UserError(f"--sha256 and {args.sha256_list} differ about {name}: give one of them.")
    return section_of(args, Expected, sha256=listed)


def find_fault(path: Path, expected: Expected) -> str | None:
    """Return what is wrong with a file ("has 3 bytes, expected 4"), or None; reads it once for each known digest."""
    with path.open("rb") as stream:
        first_bytes = stream.read(64)
    size = path.stat().st_size
    if not size:
        return "is empty"
    if looks_like_web_page(first_bytes):
        return WEB_PAGE
    if expected.bytes not in (None, size):
        return f"has {size:,} bytes, expected {expected.bytes:,}"
    for algorithm, digest in expected.digests.items():
        got = file_digest(path, algorithm)
        if got != digest:
            return f"has the wrong {algorithm}: expected {digest}, got {got}"
    return None


def looks_like_web_page(first_bytes: bytes) -> bool:
    """Say whether a file's first bytes are those of an HTML page."""
    return first_bytes.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html"))


def look_up_sha256(checksums: Path, name: str) -> str:
    """Return the sha256 of the file called ``name`` in a SHA256SUMS file (lines ``<sha256>  <name>``) that lists it."""
    try:
        lines = checksums.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{checksums}: no such list of checksums; make it first.") from None
    except UnicodeDecodeError:
        raise UserError(f"{checksums}: is not a text file of checksums; make it again.") from None
    for line in lines:
        digest, _, listed = line.partition(" ")
        if listed.removeprefix(" ").removeprefix("*").removeprefix("./") == name:
            if not re.fullmatch(SHA256, digest):
                raise UserError(f"{checksums}: lists '{digest}' for {name}, which is no sha256; make the list again.")
            return digest
    raise UserError(f"{checksums}: does not list {name}; make the list again with this file in it.")
