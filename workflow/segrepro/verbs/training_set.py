r"""Write a training set of a model's own, and how many examples each class has in it: from a dataset's manifest.

  segrepro training-set objects --manifest data/manifests/trainaug.csv --enlarge 1.2 \
      --out data/manifests/stage1.csv --counts results/tables/stage1_examples.csv --threads 4
  segrepro training-set proposals --manifest data/manifests/trainaug.csv \
      --proposals data/proposals/edge_boxes/trainaug.h5 --min-overlap 0.5 --enlarge 1.2 \
      --out data/manifests/stage2.csv --counts results/tables/stage2_examples.csv
  segrepro training-set repeat --manifest data/manifests/trainaug.csv --classes bicycle chair --times 3 \
      --out data/manifests/repeated.csv --counts results/tables/repeated.csv

`objects` and `proposals` are the boxes that DeconvNet's stages 1 and 2 train on, of VOC or SBD (whose folders hold
instance masks); a box may leave the picture. `objects`: a row per object, its tight box scaled about its centre, and
only that object labelled. Its class is the most frequent label under it. Objects without a pixel, of background or void
only, or smaller than --min-area are left out; one line says how many. `proposals`: a row per object proposal that
overlaps the tight box of an object by --min-overlap (intersection over union, before it is enlarged), all classes
labelled; the best --max-per-picture are taken. Its class is that of the object that it overlaps most.
A picture without a fitting proposal has no example, unless --add-ground-truth; one line says how many. Classes are
balanced by repetition: the examples of a class come round(largest class / class) times in an epoch, at least once.

`repeat`: whole pictures; those that hold one of --classes come --times times in an epoch.

The table of counts has a row per class and a total: objects, proposals or pictures, repeats, examples in an epoch.
"""

import argparse

from segrepro.config.models import ObjectExamples, ProposalExamples, Repeat
from segrepro.errors import UserError
from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, option_of, section_of
from segrepro.stores.manifests import read_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("kind", choices=("objects", "proposals", "repeat"), metavar="KIND", help="objects, proposals or repeat")
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the dataset's: whole pictures")
    add("--out", type=OUTPUT, required=True, metavar="CSV", help="manifest to write")
    add("--counts", type=OUTPUT, required=True, metavar="CSV", help="table to write: examples per class")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default 1)")
    boxes = parser.add_argument_group("objects and proposals")
    boxes.add_argument("--proposals", type=INPUT, metavar="H5", help="proposals: of `segrepro proposals`")
    add_options(boxes, ProposalExamples, leave_out=["kind", "proposals"])
    repeat = parser.add_argument_group("repeat")
    repeat.add_argument("--label-space", default="voc21", help="of the masks (default voc21)")
    add_options(repeat, Repeat)
    for action in repeat._group_actions:
        action.required = False  # of the other kinds; `section_of` says what is missing


def run(args: argparse.Namespace) -> None:
    {"objects": _objects, "proposals": _proposals, "repeat": _repeat}[args.kind](args)


def _refuse_others(args: argparse.Namespace, *sections: type) -> None:
    """Refuse options that are set, of sections whose fields a kind of training set does not have."""
    own = {"kind", *(name for section in sections for name in section.model_fields)}
    for section in (ObjectExamples, ProposalExamples, Repeat):
        for name, field in section.model_fields.items():
            default = None if field.is_required() else field.default
            if name not in own and getattr(args, name) != default:
                raise UserError(f"{option_of(name)} has no meaning for '{args.kind}'; leave it out.")


def _objects(args: argparse.Namespace) -> None:
    from segrepro.data.training_sets import left_out_sentence, object_examples, write_balanced

    _refuse_others(args, ObjectExamples)
    rules = section_of(args, ObjectExamples)
    rows, labels, left_out = object_examples(read_manifest(args.manifest), rules, threads=args.threads)
    if left_out:
        print(left_out_sentence(left_out, len(rows)))
    write_balanced(args.out, args.counts, rows, labels, unit="objects", rules=rules)


def _proposals(args: argparse.Namespace) -> None:
    from segrepro.data.training_sets import proposal_examples, write_balanced
    from segrepro.stores.proposals import ProposalReader

    _refuse_others(args, ProposalExamples)
    if args.proposals is None:
        raise UserError("--proposals: is missing; give the file of `segrepro proposals`.")
    rules = section_of(args, ProposalExamples, proposals=str(args.proposals))
    examples = read_manifest(args.manifest)
    with ProposalReader(args.proposals) as reader:
        rows, labels, without = proposal_examples(examples, reader, rules, threads=args.threads)
    if without:
        print(
            f"{len(without)} of {len(examples)} pictures have no proposal that overlaps an object by "
            f"{rules.min_overlap} or more; the first is '{without[0]}'."
        )
    write_balanced(args.out, args.counts, rows, labels, unit="proposals", rules=rules)


def _repeat(args: argparse.Namespace) -> None:
    from segrepro.data.training_sets import repeat_classes, write_repeats
    from segrepro.labels import label_space

    _refuse_others(args, Repeat)
    space = label_space(args.label_space)
    rules = section_of(args, Repeat)
    examples, labels = repeat_classes(read_manifest(args.manifest), space, rules, threads=args.threads)
    write_repeats(args.out, args.counts, examples, labels, space)
