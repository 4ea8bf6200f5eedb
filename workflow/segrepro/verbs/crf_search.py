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

from segrepro.config.crf import Crf, CrfSearch
from segrepro.options import INPUT, OUTPUT, POSITIVE, SEED, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scores", type=INPUT, required=True, metavar="H5", help="score store of the system")
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="tuning pictures and masks")
    add("--forbid", type=INPUT, nargs="+", required=True, metavar="CSV", help="manifests that are scored later")
    add("--seen", type=INPUT, nargs="+", default=[], metavar="CSV", help="manifests that the system was trained on")
    add("--seed", type=SEED, default=0, metavar="N", help="random: of the draws (default: 0)")
    add_options(parser, Crf, leave_out=set(Crf.model_fields) - {"preset", "drop_below"})
    add_options(parser, CrfSearch, leave_out=["tune_on"])
    add("--csv", type=OUTPUT, required=True, metavar="CSV", help="table of all trials to write")
    add("--json", type=OUTPUT, required=True, metavar="JSON", help="best parameters to write")
    add("--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")


def run(args: argparse.Namespace) -> None:
    from segrepro.data.subsets import refuse_overlap, spread
    from segrepro.evaluation.leakage import share_text
    from segrepro.fusion.crf_search import grid_trials, random_trials, search, write_best, write_search
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.same_pictures import check_same_pictures
    from segrepro.stores.scores import ScoreReader

    how = section_of(args, CrfSearch, tune_on=args.manifest.stem)
    trials = grid_trials(args.preset, how.searched)
    if how.method == "random":
        trials = random_trials(args.preset, how.searched, how.trials, seed=args.seed)
    examples = read_manifest(args.manifest)
    # the whole list, not the chosen pictures alone: --pictures must not decide whether a tuning set is clean
    refuse_overlap(args.manifest, examples, args.forbid)
    examples = spread(examples, how.pictures)
    with ScoreReader(args.scores) as reader:
        reader.mapping(args.label_space)
        check_same_pictures(reader, examples, args.manifest, more_allowed=True)
        system = reader.system
    ids = [example.id for example in examples]
    leaks = share_text(_seen_share(args.seen, ids))
    options = {"space": args.label_space, "threads": args.threads, "drop_below": args.drop_below}
    result = search(args.scores, examples, trials, **options)
    pair = {"system": system, "split": args.manifest.stem}
    write_search(args.csv, result, **pair, leaks=leaks)
    searched = {key: getattr(args, key) for key in ("preset", "seed", "drop_below")}
    searched |= {"method": how.method, "ranges": how.searched}
    write_best(args.json, result, **pair, ids=ids, how=searched)
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
