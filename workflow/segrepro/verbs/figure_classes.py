r"""Draw the IoU of each class for several systems, as bars side by side with bootstrap intervals.

With --weakest N only the N classes of the first system's smallest IoUs are drawn, the weakest first: does what the
other systems do about weak classes help? A class without ground truth has no bar.

  segrepro figure-classes --confusions results/metrics/fcn8s/voc_val.npz results/metrics/v3/voc_val.npz \
      --names fcn8s v3 --split voc_val --out results/figures/classes/voc_val.png
"""

import argparse

from segrepro.evaluation.bootstrap_settings import add_bootstrap_options, bootstrap_of
from segrepro.options import FIGURE, INPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--confusions",
        type=INPUT,
        nargs="+",
        required=True,
        metavar="NPZ",
        help="of `segrepro evaluate`, a system each",
    )
    parser.add_argument("--names", nargs="+", required=True, metavar="NAME", help="of the systems, in the same order")
    parser.add_argument("--split", required=True, metavar="NAME", help="that they were scored on, for the title")
    parser.add_argument("--weakest", type=POSITIVE, metavar="N", help="draw the first system's N weakest classes only")
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    add_bootstrap_options(parser)
    parser.add_argument("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the confusions (default: voc21)"
    )


def run(args: argparse.Namespace) -> None:
    """Read, draw and save."""
    from segrepro.errors import UserError
    from segrepro.evaluation.leakage import mark_note, marked_systems
    from segrepro.labels import label_space
    from segrepro.report.class_bars import MOST_SYSTEMS, draw_class_bars, read_bars, weakest_classes
    from segrepro.report.style import save_figure

    if len(args.names) != len(args.confusions):
        raise UserError(f"--names: {len(args.names)} for {len(args.confusions)} confusions; give one for each.")
    if len(args.names) > MOST_SYSTEMS:
        raise UserError(f"--names: {len(args.names)} systems; at most {MOST_SYSTEMS} can be told apart by colour.")
    names = marked_systems(args.names, args.split, args.leakage)
    space = label_space(args.label_space)
    bootstrap = bootstrap_of(args)
    systems = [read_bars(path, name, space, bootstrap) for name, path in zip(names, args.confusions, strict=True)]
    if args.weakest is None:
        classes = [name for label in space.used_labels if (name := space.classes[label]) in systems[0].iou]
        title = f"IoU of each class on {args.split}"
    else:
        classes = weakest_classes(systems[0], args.weakest)
        title = f"The {len(classes)} weakest classes of {names[0]} on {args.split}"
    whiskers = f"whiskers: {100 * bootstrap.confidence:g} % bootstrap interval over pictures"
    note = "; ".join(filter(None, (whiskers, mark_note(names))))
    save_figure(draw_class_bars(systems, classes, title=title, note=note), args.out)
