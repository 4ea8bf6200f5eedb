"""Write a manifest in which the pictures of chosen classes come several times in an epoch.

Example:
  segrepro repeat-classes --manifest data/sample/manifests/trainaug.csv --label-space voc21 --times 3 \
      --classes bicycle chair pottedplant sofa --out results/models/deeplabv3_weakclasses/training_set.csv
"""

import argparse

from segrepro.options import INPUT, OUTPUT, POSITIVE, Number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--manifest", type=INPUT, required=True, help="the training set as it is")
    parser.add_argument("--label-space", default="voc21", help="of its masks (default voc21)")
    parser.add_argument("--classes", nargs="+", required=True, metavar="NAME", help="whose pictures are repeated")
    parser.add_argument(
        "--times", type=Number(int, 2, 1000), required=True, help="how often they come in an epoch, 2 or more"
    )
    parser.add_argument("--out", type=OUTPUT, required=True, help="manifest to write")
    parser.add_argument("--threads", type=POSITIVE, default=1, help="processes (default 1)")


def run(args: argparse.Namespace) -> None:
    """Write the manifest."""
    from segrepro.data.repeats import repeat_classes
    from segrepro.labels import label_space
    from segrepro.stores.manifests import read_manifest, write_manifest

    examples = repeat_classes(
        read_manifest(args.manifest),
        label_space(args.label_space),
        classes=args.classes,
        times=args.times,
        threads=args.threads,
    )
    write_manifest(args.out, examples)
