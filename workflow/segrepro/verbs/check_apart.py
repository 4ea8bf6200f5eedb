r"""Check that pictures to tune or fit on share none with those that are scored later.

Manifests suffice, so that a config that would end in a refusal does so in seconds and not behind its trainings.
`segrepro crf-search` and `segrepro stack` check what they are given once more.

Example:
  segrepro check-apart --manifest data/manifests/voc_train.csv --forbid data/manifests/voc_val.csv \
      --out results/checks/apart/my_crf.json
"""

import argparse

from segrepro.options import INPUT, OUTPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the pictures to tune or fit on")
    add("--forbid", type=INPUT, nargs="+", required=True, metavar="CSV", help="manifests that are scored later")
    add("--out", type=OUTPUT, required=True, metavar="JSON", help="what was checked, to write")


def run(args: argparse.Namespace) -> None:
    from segrepro.data.subsets import refuse_overlap
    from segrepro.files import ids_sha256, write_json
    from segrepro.stores.manifests import read_manifest

    examples = read_manifest(args.manifest)
    refuse_overlap(args.manifest, examples, args.forbid)
    ids = sorted({example.id for example in examples})
    write_json(
        args.out,
        {
            "manifest": args.manifest.stem,
            "pictures": len(ids),
            "ids_sha256": ids_sha256(ids),
            "apart_from": [path.stem for path in args.forbid],
        },
    )
