r"""Download an archive from the first of its mirrors that has it, and verify it.

Mirrors are tried in order. A download that breaks off is resumed, in this run or the next (the bytes are kept as
OUT.partial). OUT appears only when size and checksum are right. A folder that has the archives already
(--local-dir) saves the download: the file is verified and linked.

  segrepro fetch --out data/archives/VOCtrainval_11-May-2012.tar \
      --url http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar \
      --md5 6cd6e144f989b92b3379bac3b3de84fd
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the file goes")
    parser.add_argument(
        "--url",
        action="extend",
        nargs="+",
        default=[],
        metavar="URL",
        help="mirrors in the order of trial: http(s)://..., file:///absolute/path, file:relative/path",
    )
    parser.add_argument("--local-dir", type=Path, metavar="DIR", help="a folder that may have the file already")
    parser.add_argument("--md5", metavar="HEX", help="md5 that the file must have")
    parser.add_argument("--sha256", metavar="HEX", help="sha256 that the file must have")
    parser.add_argument("--sha256-list", type=Path, metavar="FILE", help="SHA256SUMS file that names the file")
    parser.add_argument("--bytes", type=int, metavar="N", help="size that the file must have")
    parser.add_argument(
        "--attempts",
        type=int,
        default=5,
        metavar="N",
        help="attempts in a row without progress before the next mirror (default: 5)",
    )
    parser.add_argument(
        "--stall-seconds",
        type=float,
        default=60,
        metavar="S",
        help="seconds (almost) without a byte before a connection is given up (default: 60)",
    )


def run(args: argparse.Namespace) -> None:
    """Fetch the file."""
    from segrepro.data.downloads import Patience
    from segrepro.data.fetch import Expected, fetch, look_up_sha256
    from segrepro.errors import UserError

    for option in ("bytes", "attempts", "stall_seconds"):
        value = getattr(args, option)
        if value is not None and not value > 0:
            raise UserError(f"--{option.replace('_', '-')} {value} is not above 0: give a positive number.")
    sha256 = args.sha256
    if args.sha256_list:
        listed = look_up_sha256(args.sha256_list, args.out.name)
        if sha256 and sha256.lower() != listed.lower():
            raise UserError(f"--sha256 and {args.sha256_list} differ about {args.out.name}: give one of them.")
        sha256 = listed
    fetch(
        args.out,
        args.url,
        expected=Expected(bytes=args.bytes, md5=args.md5, sha256=sha256),
        local_dir=args.local_dir,
        patience=Patience(attempts=args.attempts, stall_seconds=args.stall_seconds),
    )
