r"""Check a manifest's pictures and labels before anything trains on them.

  segrepro check-labels --manifest data/sample/manifests/voc_train.csv --label-space voc21 --threads 2 \
      --disjoint-from data/sample/manifests/voc_val.csv --json results/checks/voc_train.json

Every picture and mask is decoded; sizes, channels and label values must fit, and the distribution of labels
must look like that of a segmentation set: background the most frequent label, little void, every class present.
Labels that are shifted by one, COCO stuff labels, or a set that became all background stop the run here. The
JSON (counts, pixels and pictures a class, shares, id hash, what was checked) is
written only when all checks pass.
"""

import argparse

from segrepro.options import INPUT, OUTPUT, POSITIVE, SHARE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="X.csv", help="the manifest to check")
    add(
        "--label-space",
        required=True,
        choices=["voc21", "coco91", "none"],
        help="label space of the masks; none: a set without ground truth (VOC test), pictures only",
    )
    add("--json", type=OUTPUT, required=True, metavar="OUT.json", help="what was counted and checked")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default: 1)")
    add("--pictures", type=POSITIVE, metavar="N", help="exact number of pictures")
    add("--ids-sha256", metavar="HEX", help="sha256 of the sorted ids, one a line, newline-ended")
    add(
        "--disjoint-from",
        type=INPUT,
        nargs="+",
        action="extend",
        default=[],
        metavar="OTHER.csv",
        help="manifests that must not share a picture with this one",
    )
    add(
        "--absent-class",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="classes that need not occur (default: every class must)",
    )
    add("--min-classes", type=POSITIVE, metavar="N", help="instead of every class, any N object classes must occur")
    share = {"type": SHARE, "metavar": "SHARE"}
    add("--max-void-share", **share, default=0.25, help="of all pixels (default: 0.25)")
    add("--min-void-share", **share, default=0.0, help="of all pixels (default: 0; VOC's masks: 0.005)")
    add("--min-background-share", **share, default=0.3, help="of labelled pixels (default: 0.3)")
    add("--max-background-share", **share, default=0.95, help="of labelled pixels (default: 0.95)")
    add("--max-empty-share", **share, help="pictures without an object (default: 0.01 in voc21, 0.1 in coco91)")
    add("--max-grey-share", **share, default=0.05, help="pictures with one channel (default: 0.05)")


def run(args: argparse.Namespace) -> None:
    """Check the manifest; write the JSON."""
    from segrepro.data.checks import MAX_EMPTY_SHARE, Limits, check_manifest
    from segrepro.files import write_json
    from segrepro.labels import label_space

    space = None if args.label_space == "none" else label_space(args.label_space)
    empty = args.max_empty_share
    limits = Limits(
        max_void_share=args.max_void_share,
        min_void_share=args.min_void_share,
        min_background_share=args.min_background_share,
        max_background_share=args.max_background_share,
        max_empty_share=MAX_EMPTY_SHARE.get(args.label_space, 0.0) if empty is None else empty,
        max_grey_share=args.max_grey_share,
        min_classes=args.min_classes,
        absent_classes=tuple(args.absent_class),
        pictures=args.pictures,
        ids_sha256=args.ids_sha256,
    )
    _, summary = check_manifest(args.manifest, space, limits, disjoint_from=args.disjoint_from, threads=args.threads)
    write_json(args.json, summary)
