r"""Search the parameters of a CRF on pictures that are never scored.

Each parameter option takes several values: --method grid tries every combination, --method random --trials N draws
N times between the smallest and the largest of them (on a log scale). Parameters without an option keep the
preset's value. The store must hold the pictures of --manifest, and may hold more; of these --pictures N takes N at
equal steps. --drop-below is the one that `segrepro crf` will be given: what is searched is the CRF that runs.
Pictures that are in a --forbid manifest (the split that is scored) are refused.

Writes all trials (CSV; the first row is the system without a CRF, mIoU and gain in percent, on the tuning pictures;
`leaks` is the share of these that are in a --seen manifest, hence flatter the mIoU) and the best one
(JSON, with the ids of the tuning pictures), which `segrepro crf --parameters` reads.

  segrepro crf-search --scores results/scores/fcn8s/voc_train.h5 --manifest data/manifests/voc_train.csv \
      --forbid data/manifests/voc_val.csv --pictures 100 --preset deeplab_vgg --method grid \
      --bilateral-sxy 30 50 80 --bilateral-srgb 3 5 13 --bilateral-compat 4 10 \
      --csv results/crf/fcn8s.csv --json results/crf/fcn8s.json --threads 4
"""

import argparse
from pathlib import Path

from segrepro.options import INPUT, OUTPUT, POSITIVE, SEED
from segrepro.verbs.crf import add_drop_below, add_parameter_arguments, given_parameters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--scores", type=INPUT, required=True, metavar="H5", help="score store of the system")
    parser.add_argument("--manifest", type=INPUT, required=True, metavar="CSV", help="tuning pictures and masks")
    parser.add_argument(
        "--forbid", type=INPUT, nargs="+", required=True, metavar="CSV", help="manifests that are scored later"
    )
    parser.add_argument(
        "--seen", type=INPUT, nargs="+", default=[], metavar="CSV", help="manifests that the system was trained on"
    )
    parser.add_argument("--pictures", type=POSITIVE, metavar="N", help="take so many of the manifest (default: all)")
    parser.add_argument("--preset", required=True, metavar="NAME", help="see `segrepro crf --help`")
    parser.add_argument("--method", default="grid", metavar="NAME", help="grid (default) or random")
    parser.add_argument("--trials", type=POSITIVE, metavar="N", help="random: how many")
    parser.add_argument("--seed", type=SEED, metavar="N", help="random: of the draws (default: 0)")
    add_parameter_arguments(parser, nargs="+")
    add_drop_below(parser)
    parser.add_argument("--csv", type=OUTPUT, required=True, metavar="CSV", help="table of all trials to write")
    parser.add_argument("--json", type=OUTPUT, required=True, metavar="JSON", help="best parameters to write")
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)"
    )
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Search and write both files."""
    from segrepro.data.subsets import refuse_overlap, spread
    from segrepro.evaluation.leakage import share_text
    from segrepro.fusion.crf_search import search, write_best, write_search
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.same_pictures import check_same_pictures
    from segrepro.stores.scores import ScoreReader

    trials = _trials(args)
    examples = read_manifest(args.manifest)
    # the whole list, not the chosen pictures alone: --pictures must not decide whether a tuning set is clean
    refuse_overlap(args.manifest, examples, args.forbid)
    examples = spread(examples, args.pictures)
    with ScoreReader(args.scores) as reader:
        reader.mapping(args.label_space)
        check_same_pictures(reader, examples, args.manifest, more_allowed=True)
        system = reader.system
    leaks = share_text(_seen_share(args.seen, [example.id for example in examples]))
    result = search(
        args.scores, examples, trials, space=args.label_space, threads=args.threads, drop_below=args.drop_below
    )
    pair = {"system": system, "split": args.manifest.stem}
    write_search(args.csv, result, **pair, leaks=leaks)
    write_best(
        args.json,
        result,
        **pair,
        ids=[example.id for example in examples],
        how={
            "preset": args.preset,
            "method": args.method,
            "seed": args.seed or 0,
            "ranges": given_parameters(args),
            "drop_below": args.drop_below,
        },
    )
    before, after = 100 * result.before, 100 * result.mious[result.best]
    change = f"{abs(after - before):.2f} points {'better' if after > before else 'worse'}"
    if f"{after:.2f}" == f"{before:.2f}":
        change = "no change"
    print(
        f"{system} on {len(examples)} pictures of {args.manifest.stem}: mIoU {before:.2f} % without a CRF, {after:.2f} "
        f"% with the best of {len(result.trials)} trials: {change}"
    )


def _seen_share(manifests: list[Path], ids: list[str]) -> float:
    """Return the share (0..1) of the tuning pictures that the system has seen in its making."""
    from segrepro.evaluation.leakage import manifest_ids

    seen = {id for path in manifests for id in manifest_ids(path, "what the system was trained on")}
    return len(seen.intersection(ids)) / len(ids)


def _trials(args: argparse.Namespace) -> list:
    from segrepro.errors import UserError
    from segrepro.fusion.crf_search import GRID, METHODS, RANDOM, grid_trials, random_trials

    ranges = given_parameters(args)
    if args.method not in METHODS:
        raise UserError(f"--method '{args.method}' is unknown: use one of {', '.join(METHODS)}.")
    if all(len(set(values)) == 1 for values in ranges.values()):
        raise UserError("no parameter has two values, there is nothing to search; give one, as --bilateral-sxy 30 80.")
    if args.method == GRID:
        for name in ("trials", "seed"):
            if getattr(args, name) is not None:
                raise UserError(f"--{name} has no meaning for --method grid; leave it out.")
        return grid_trials(args.preset, ranges)
    if args.trials is None:
        raise UserError(f"--method {RANDOM} needs --trials; give how many.")
    return random_trials(args.preset, ranges, args.trials, seed=args.seed or 0)
