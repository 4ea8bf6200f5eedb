r"""Download an archive from the first of its mirrors that has it, and verify it.

Mirrors are tried in order. A download that breaks off is resumed, in this run or the next (the bytes are kept as
OUT.partial). OUT appears only when size and checksum are right. A folder that has the archives already
(--local-dir) saves the download: the file is verified and linked.

  segrepro fetch --out data/archives/VOCtrainval_11-May-2012.tar \
      --url http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar \
      --md5 6cd6e144f989b92b3379bac3b3de84fd
"""

import argparse

from segrepro.config.data import Patience
from segrepro.data.expected import add_expected_options, expected_of
from segrepro.options import INPUT, OUTPUT, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=OUTPUT, required=True, metavar="FILE", help="where the file goes")
    what = "mirrors in the order of trial: http(s)://..., file:///absolute/path, file:relative/path"
    add("--url", action="extend", nargs="+", default=[], metavar="URL", help=what)
    add("--local-dir", type=INPUT, metavar="DIR", help="a folder that may have the file already")
    add_expected_options(parser)
    add_options(parser, Patience)


def run(args: argparse.Namespace) -> None:
    from segrepro.data.fetch import fetch

    expected, patience = expected_of(args, args.out.name), section_of(args, Patience)
    fetch(args.out, args.url, expected=expected, local_dir=args.local_dir, patience=patience)
