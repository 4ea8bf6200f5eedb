r"""Write DeconvNet's stage-2 training examples: a row an object proposal, enlarged, all classes in it labelled.

  segrepro proposal-examples --manifest data/manifests/trainaug.csv --proposals data/proposals/edge_boxes/trainaug.h5 \
      --min-overlap 0.5 --enlarge 1.2 --out data/manifests/stage2.csv --counts results/tables/stage2_examples.csv

The manifest is one of VOC or SBD (whose folders hold instance masks), and the proposals are of its pictures. A
proposal becomes an example when it overlaps the tight box of an object by --min-overlap (intersection over union,
before it is enlarged); the best-ranked --max-a-picture of a picture are taken. For balancing, its class is that of
the object it overlaps most: the examples of a class come round(largest class / class) times in an epoch, at least
once. A picture without a fitting proposal has no example, unless --add-ground-truth; one line says how many.

The table of counts has a row a class and a total: proposals (with --add-ground-truth the objects' own boxes among
them), repeats, examples in an epoch.
"""

import argparse

from segrepro.options import ABOVE_0_TO_1, INPUT, OUTPUT, POSITIVE, SCALE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from segrepro.data.proposal_examples import ProposalRules

    rules, add = ProposalRules(), parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="whole pictures of VOC or SBD")
    add("--proposals", type=INPUT, required=True, metavar="H5", help="their proposals (segrepro proposals)")
    add("--out", type=OUTPUT, required=True, metavar="CSV", help="manifest to write")
    add("--counts", type=OUTPUT, required=True, metavar="CSV", help="table to write: examples a class")
    add(
        "--enlarge",
        type=SCALE,
        default=rules.factor,
        metavar="X",
        help=f"scale of the boxes' sides (default {rules.factor})",
    )
    add(
        "--min-overlap",
        type=ABOVE_0_TO_1,
        default=rules.min_overlap,
        metavar="IOU",
        help=f"overlap with an object's box that makes an example (default {rules.min_overlap})",
    )
    add("--max-a-picture", type=POSITIVE, metavar="N", help="proposals of a picture at most (default: no limit)")
    add(
        "--add-ground-truth",
        action=argparse.BooleanOptionalAction,
        default=rules.add_ground_truth,
        help="the objects' own boxes become examples as well",
    )
    add(
        "--min-area",
        type=POSITIVE,
        default=rules.min_area,
        metavar="N",
        help=f"pixels of the smallest object that counts (default {rules.min_area})",
    )
    add("--balance", action=argparse.BooleanOptionalAction, default=True, help="repeat rare classes (default)")
    add("--max-repeats", type=POSITIVE, metavar="N", help="no class comes more often than this (default: no limit)")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default 1)")


def run(args: argparse.Namespace) -> None:
    """Write the manifest and the table."""
    from segrepro.data.object_examples import write_balanced
    from segrepro.data.proposal_examples import ProposalRules, proposal_examples
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.proposals import ProposalReader

    examples = read_manifest(args.manifest)
    rules = ProposalRules(args.enlarge, args.min_overlap, args.max_a_picture, args.add_ground_truth, args.min_area)
    with ProposalReader(args.proposals) as reader:
        rows, labels, without = proposal_examples(examples, reader, rules, threads=args.threads)
    if without:
        print(
            f"{len(without)} of {len(examples)} pictures have no proposal that overlaps an object by "
            f"{args.min_overlap} or more; the first is '{without[0]}'."
        )
    limit = args.max_repeats if args.balance else 1
    write_balanced(args.out, args.counts, rows, labels, unit="proposals", max_repeats=limit)
