r"""Check a manifest's pictures and labels before anything trains on them.

  segrepro check-labels --manifest data/sample/manifests/voc_train.csv --label-space voc21 --threads 2 \
      --disjoint-from data/sample/manifests/voc_val.csv --json results/checks/voc_train.json

Every picture and mask is decoded; sizes, channels and label values must fit, and the distribution of labels
must look like that of a segmentation set: background the most frequent label, little void, every class present.
Labels that are shifted by one, COCO stuff labels, or a set that became all background stop the run here. The
JSON (counts, pixels and pictures per class, shares, id hash, what was checked) is
written only when all checks pass.
"""

import argparse

from segrepro.config.data import DatasetChecks, LabelChecks
from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:

    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="X.csv", help="the manifest to check")
    what = "label space of the masks; none: a set without ground truth (VOC test), pictures only"
    add("--label-space", required=True, choices=["voc21", "coco91", "none"], help=what)
    add("--json", type=OUTPUT, required=True, metavar="OUT.json", help="what was counted and checked")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default: 1)")
    others = {"nargs": "+", "action": "extend", "default": [], "metavar": "OTHER.csv"}
    add("--disjoint-from", type=INPUT, **others, help="manifests that must not share a picture with this one")
    add_options(parser, DatasetChecks, leave_out=["disjoint_from"])
    add_options(parser, LabelChecks)


def run(args: argparse.Namespace) -> None:
    from segrepro.data.checks import check_manifest
    from segrepro.files import write_json
    from segrepro.labels import label_space

    space = None if args.label_space == "none" else label_space(args.label_space)
    checks, bounds = section_of(args, DatasetChecks, disjoint_from=[]), section_of(args, LabelChecks)
    how = {"disjoint_from": args.disjoint_from, "threads": args.threads}
    write_json(args.json, check_manifest(args.manifest, space, checks, bounds, **how))
