r"""Draw how a proposal-wise map grows: picture with boxes, labels after 1, 5, 10 and 50 proposals, ground truth.

Each picture is predicted once, as `segrepro predict-proposals` does, and its aggregate kept after each of --counts.
Under each map is its mIoU on that picture, in percent, over the classes in the picture's mask; a box has the
colour of the first map that it is in. Without --ids the --rows pictures that hold the most objects are drawn.
The masks are in VOC's labels; a model's other labels are mapped to them. A system that leaks (see --leakage) has a
dagger in the title.

  segrepro figure-proposals --model results/models/deconvnet_stage2/model.keras \
      --spec results/models/deconvnet_stage2/spec.yaml --manifest data/manifests/voc_val.csv \
      --proposals data/proposals/voc_val.h5 --out results/figures/proposals.png
"""

import argparse
from dataclasses import replace

from segrepro.config.systems import ProposalWise
from segrepro.gpus import add_gpus_argument
from segrepro.options import FIGURE, INPUT, POSITIVE, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", type=INPUT, required=True, help="model file (.keras)")
    parser.add_argument("--spec", type=INPUT, required=True, help="the model's spec (YAML)")
    parser.add_argument("--manifest", type=INPUT, required=True, metavar="CSV", help="pictures and masks")
    parser.add_argument("--proposals", type=INPUT, required=True, metavar="H5", help="by `segrepro proposals`")
    parser.add_argument("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")
    parser.add_argument("--system", metavar="NAME", help="that predicts so, for the title (default: no title)")
    parser.add_argument("--split", metavar="NAME", help="of the manifest (default: its file's name)")
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument("--ids", nargs="+", metavar="ID", help="pictures to draw, in this order")
    parser.add_argument("--rows", type=POSITIVE, default=4, metavar="N", help="pictures to choose (default 4)")
    parser.add_argument(
        "--counts", type=POSITIVE, nargs="+", default=[1, 5, 10, 50], metavar="N", help="proposals (default 1 5 10 50)"
    )
    add_options(parser, ProposalWise, leave_out=["proposals", "count", "storage_stride"])
    add_gpus_argument(parser)
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="CPU cores to use (default 1)")


def run(args: argparse.Namespace) -> None:
    """Choose the pictures, predict, draw and save."""
    from segrepro.inference.proposalwise import CropNetwork, input_size_of
    from segrepro.labels import VOC21, label_space
    from segrepro.report.growing import draw_growing
    from segrepro.report.style import save_figure
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.proposals import ProposalReader
    from segrepro.training.experiment import prepare_tensorflow
    from segrepro.training.model_files import load_model
    from segrepro.training.specs import read_spec_of

    title = _title(args)
    counts = sorted(set(args.counts))
    aggregation = section_of(args, ProposalWise, proposals=None, count=counts[-1])
    spec = read_spec_of(args.model, args.spec)
    input_size = input_size_of(spec["network"], name=str(args.spec))
    examples = _chosen(args, read_manifest(args.manifest))
    to_voc21, rows = label_space(spec["label_space"]).to_voc21, []
    with ProposalReader(args.proposals) as reader:
        prepare_tensorflow(args.threads, spec["protocol"])
        network = CropNetwork(load_model(args.model), input_size, aggregation.shrink)
        for example in examples:
            row = _row(network, example, reader, counts, aggregation)
            rows.append(replace(row, maps=[to_voc21[labels] for labels in row.maps]))
    save_figure(draw_growing(rows, counts, VOC21, title=title), args.out)


def _title(args: argparse.Namespace) -> str:
    from segrepro.errors import UserError
    from segrepro.evaluation.leakage import marked_systems

    if args.system is None:
        if args.leakage:
            raise UserError("--leakage needs --system; name the system whose shares it tells.")
        return ""
    split = args.split or args.manifest.stem
    (name,) = marked_systems([args.system], split, args.leakage)
    return f"{name} on {split}: labels after so many proposals"


def _chosen(args: argparse.Namespace, manifest: list) -> list:
    from segrepro.errors import UserError
    from segrepro.report.growing import most_objects

    examples = {example.id: example for example in manifest}
    ids = list(dict.fromkeys(args.ids or ())) or most_objects(manifest, args.rows, threads=args.threads)
    for id in ids:
        if id not in examples:
            raise UserError(f"{args.manifest}: no picture '{id}'; give ids of its first column.")
        if examples[id].mask is None:
            raise UserError(f"{args.manifest}: picture '{id}' has no mask; draw a split that has ground truth.")
    return [examples[id] for id in ids]


def _row(network, example, reader, counts: list[int], aggregation):
    from segrepro.data.masks import VOC_MASK_VALUES, check_size, check_values, read_mask
    from segrepro.inference.proposalwise import growing_maps, picture_boxes, read_pixels
    from segrepro.report.growing import GrowingRow

    picture, truth = read_pixels(example.image), read_mask(example.mask)
    height, width = picture.shape[:2]
    check_size(truth, width, height, name=str(example.mask))
    check_values(truth, VOC_MASK_VALUES, name=str(example.mask))
    boxes, is_whole = picture_boxes(reader, example.id, (height, width), aggregation)
    maps = growing_maps(network, picture, boxes, counts, aggregation=aggregation)
    labels = [scores.argmax(axis=-1).astype("uint8") for scores in maps]
    return GrowingRow(example.id, picture, truth, boxes, labels, is_whole)
