"""What is known of a file before it is fetched, and whether a file that is here is like that."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from segrepro.errors import UserError
from segrepro.files import file_digest
from segrepro.options import BYTES, INPUT

DIGEST_CHARACTERS = {"md5": 32, "sha256": 64}


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is fetched; None for what is not.

    Attributes:
        bytes: its size.
        md5: its md5, hexadecimal.
        sha256: its sha256, hexadecimal.
    """

    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def __post_init__(self):
        for algorithm, digest in self.digests.items():
            if len(digest) != DIGEST_CHARACTERS[algorithm] or set(digest.lower()) - set("0123456789abcdef"):
                raise UserError(
                    f"{algorithm} '{digest}' is not a checksum: give {DIGEST_CHARACTERS[algorithm]} hexadecimal digits."
                )

    @property
    def digests(self) -> dict[str, str]:
        """The known digests by algorithm."""
        known = {"md5": self.md5, "sha256": self.sha256}
        return {algorithm: digest for algorithm, digest in known.items() if digest}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say what a file must be."""
    parser.add_argument("--md5", metavar="HEX", help="md5 that the file must have")
    parser.add_argument("--sha256", metavar="HEX", help="sha256 that the file must have")
    parser.add_argument("--sha256-list", type=INPUT, metavar="FILE", help="SHA256SUMS file that names the file")
    parser.add_argument("--bytes", type=BYTES, metavar="N", help="size that the file must have")


def expected_of(args: argparse.Namespace, name: str) -> Expected:
    """Return what the options of `add_arguments` say of the file called ``name``.

    Raises:
        UserError: they say something impossible, or two things.
    """
    sha256 = args.sha256
    if args.sha256_list:
        listed = look_up_sha256(args.sha256_list, name)
        if sha256 and sha256.lower() != listed.lower():
            raise UserError(f"--sha256 and {args.sha256_list} differ about {name}: give one of them.")
        sha256 = listed
    return Expected(bytes=args.bytes, md5=args.md5, sha256=sha256)


def find_fault(path: Path, expected: Expected) -> str | None:
    """Return what is wrong with a file ("has 3 bytes, expected 4"), or None.

    Args:
        path: the file; read once for each known digest.
        expected: what it must be like.
    """
    from segrepro.data.partials import WEB_PAGE, looks_like_web_page  # here: `segrepro --help` needs no progress bars

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
        if got != digest.lower():
            return f"has the wrong {algorithm}: expected {digest.lower()}, got {got}"
    return None


def look_up_sha256(checksums: Path, name: str) -> str:
    """Return the sha256 of the file called ``name`` in a SHA256SUMS file (lines ``<sha256>  <name>``).

    Raises:
        UserError: the list is missing or does not name the file.
    """
    try:
        lines = checksums.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{checksums}: no such list of checksums; make it first.") from None
    except UnicodeDecodeError:
        raise UserError(f"{checksums}: is not a text file of checksums; make it again.") from None
    for line in lines:
        digest, _, listed = line.partition(" ")
        if listed.removeprefix(" ").removeprefix("*").removeprefix("./") == name:
            return digest
    raise UserError(f"{checksums}: does not list {name}; make the list again with this file in it.")
