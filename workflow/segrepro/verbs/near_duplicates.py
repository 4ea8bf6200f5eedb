r"""Find near-duplicates between two sets of pictures by perceptual hash, e.g. of COCO's and VOC's.

  segrepro near-duplicates --first data/manifests/coco90.csv --second data/manifests/voc_val.csv \
      --out results/tables/near_duplicates.csv --counts results/near_duplicates.json \
      --sheet results/figures/near_duplicates.png --threads 8

Each picture is hashed to 320 bits; two pictures are near-duplicates when at most --max-distance of them differ. Writes
the pairs (id_a, id_b, distance) nearest first, their number with the numbers of pictures, and a contact sheet of the
nearest pairs: also of pairs that are not near, so that the bound can be judged by eye. Copies that were saved again,
resized or brightened are found, and most with 2% cropped off each side; mirrored ones and closer crops are not.
A picture that is in both sets under one id is left out: `segrepro audit` counts those.
"""

import argparse

from segrepro.options import FIGURE, INPUT, OUTPUT, POSITIVE, add_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from segrepro.config.experiment import NearDuplicates

    add = parser.add_argument
    add("--first", type=INPUT, nargs="+", required=True, metavar="CSV", help="manifests of the first set")
    add("--second", type=INPUT, nargs="+", required=True, metavar="CSV", help="manifests of the second set")
    add("--names", nargs=2, default=["first", "second"], metavar="NAME", help="what the sheet calls the two sets")
    add("--out", type=OUTPUT, required=True, metavar="CSV", help="table of pairs to write")
    add("--counts", type=OUTPUT, required=True, metavar="JSON", help="numbers of pictures and pairs to write")
    add("--sheet", type=FIGURE, required=True, metavar="PNG", help="contact sheet to write")
    add_options(parser, NearDuplicates)
    add("--threads", type=POSITIVE, default=1, metavar="N", help="number of processes (default 1)")


def run(args: argparse.Namespace) -> None:
    from segrepro.evaluation.near_duplicates import hash_pictures, nearest_pairs, unique_pictures
    from segrepro.files import write_json, write_rows
    from segrepro.report.duplicates_sheet import draw_pairs
    from segrepro.report.style import save_figure
    from segrepro.stores.manifests import read_manifest

    sets = [
        unique_pictures([example for path in paths for example in read_manifest(path)])
        for paths in (args.first, args.second)
    ]
    hashes = [
        hash_pictures(pictures, threads=args.threads, label=f"hashing {name}")
        for pictures, name in zip(sets, args.names, strict=True)
    ]
    nearest = nearest_pairs(
        list(sets[0]), hashes[0], list(sets[1]), hashes[1], max_distance=args.max_distance, at_least=args.pairs
    )
    near = [pair for pair in nearest if pair.distance <= args.max_distance]
    write_rows(args.out, ("id_a", "id_b", "distance"), [(pair.id_a, pair.id_b, pair.distance) for pair in near])
    counts = {
        "pictures": [len(pictures) for pictures in sets],
        "names": args.names,
        "pairs": len(near),
        "pictures_in_pairs": [len({pair.id_a for pair in near}), len({pair.id_b for pair in near})],
        "max_distance": args.max_distance,
        "nearest_other": next((pair.distance for pair in nearest if pair.distance > args.max_distance), None),
    }
    write_json(args.counts, counts)
    a, b = (f"{len(pictures):,} pictures of {name}" for pictures, name in zip(sets, args.names, strict=True))
    found = f"{len(near):,} near-duplicate{'' if len(near) == 1 else 's'} (at most {args.max_distance} bits)"
    shown = nearest[: args.pairs]
    title = f"{found}\nbetween {a} and {b}; the {len(shown)} nearest pairs"
    save_figure(draw_pairs(shown, *sets, max_distance=args.max_distance, title=title), [args.sheet])
    print(f"{args.out}: {found} between {a} and {b}")
