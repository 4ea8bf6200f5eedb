r"""Draw the confusion matrix of a system: where the pixels of each class go, in percent of the class.

Beside each row: the recall of the class with its bootstrap interval over pictures, and its share of all pixels. A
system that leaks (see --leakage) has a dagger behind its name.

  segrepro figure-confusion --confusions results/metrics/fcn8s/voc_val.npz --system fcn8s --split voc_val \
      --out results/figures/confusion/fcn8s/voc_val.png results/figures/confusion/fcn8s/voc_val.pdf
"""

import argparse

from segrepro.evaluation.bootstrap_settings import add_bootstrap_options, bootstrap_of
from segrepro.options import FIGURE, INPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--confusions", type=INPUT, required=True, metavar="NPZ", help="from `segrepro evaluate`")
    parser.add_argument("--system", required=True, metavar="NAME", help="whose confusions they are, for the title")
    parser.add_argument("--split", required=True, metavar="NAME", help="that it was scored on, for the title")
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument(
        "--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="figures to write: .png, .pdf, .svg"
    )
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)"
    )
    add_bootstrap_options(parser)


def run(args: argparse.Namespace) -> None:
    """Draw and save."""
    from segrepro.errors import UserError
    from segrepro.evaluation.confusion import load_confusions
    from segrepro.evaluation.leakage import mark_note, marked_systems
    from segrepro.labels import label_space
    from segrepro.report.confusion_figure import draw_confusion
    from segrepro.report.style import save_figure

    space = label_space(args.label_space)
    _, confusions = load_confusions(args.confusions)
    if confusions.shape[1:] != (len(space), len(space)):
        raise UserError(
            f"{args.confusions}: has {confusions.shape[1]} labels, label space '{space.name}' has {len(space)}; "
            "give the space that it was evaluated in."
        )
    (name,) = marked_systems([args.system], args.split, args.leakage)
    title = f"{name} on {args.split}: pixels of each class, by prediction (%)"
    save_figure(draw_confusion(confusions, space, bootstrap_of(args), title=title, note=mark_note([name])), args.out)
