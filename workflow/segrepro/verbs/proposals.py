r"""Propose boxes where objects may be, in every picture of a manifest, best first.

Interrupted, the same command goes on where it was when --cache is given. A setting that is not given keeps its
published default; settings of the other method are refused.

Example: segrepro proposals --manifest data/manifests/voc_val.csv --method selective_search --threads 4 \
             --cache data/proposals/cache --out data/proposals/selective_search/voc_val.h5
         segrepro proposals --manifest data/manifests/voc_val.csv --method edge_boxes --model model.yml.gz \
             --out data/proposals/edge_boxes/voc_val.h5
"""

import argparse

from segrepro.config.proposals import METHODS, ProposalSettings
from segrepro.options import INPUT, OUTPUT, POSITIVE, SHARED_FOLDER, Choice, add_options, option_of, section_of

COMMON = tuple(ProposalSettings.model_fields)
FILES = ("model", "edges")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, help="the pictures")
    add("--out", type=OUTPUT, required=True, help="proposals file to write (HDF5)")
    add("--method", type=Choice(tuple(METHODS)), required=True, help=f"one of {', '.join(METHODS)}")
    add("--threads", type=POSITIVE, default=1, help="number of processes (1)")
    add("--cache", type=SHARED_FOLDER, help="folder that keeps each picture's boxes")
    add("--model", type=INPUT, help="edge_boxes: structured-forest file of OpenCV (model.yml.gz)")
    add("--edges", type=INPUT, help="edge_boxes: 'sobel', or a folder of edge maps <id>.png (8-bit, 255 = edge)")
    add_options(parser, ProposalSettings)
    for name, section in METHODS.items():
        add_options(parser.add_argument_group(f"settings of {name}"), section, leave_out=("method", *FILES, *COMMON))
        # what is not given has the section's default; what is given to another method is refused
        parser.set_defaults(**dict.fromkeys(_own(section)))


def _own(section: type[ProposalSettings]) -> list[str]:
    return [name for name in section.model_fields if name not in ("method", *FILES, *COMMON)]


def run(args: argparse.Namespace) -> None:
    from segrepro.data.proposal_methods import proposal_method
    from segrepro.data.proposal_search import find_proposals
    from segrepro.errors import UserError
    from segrepro.stores.manifests import read_manifest

    section = METHODS[args.method]
    for name in (name for other in METHODS.values() if other is not section for name in _own(other)):
        if getattr(args, name) is not None:
            raise UserError(f"{option_of(name)} is no setting of {args.method}; leave it out.")
    settings = section_of(args, section, **({"model": None, "edges": None} if "edges" in section.model_fields else {}))
    method = proposal_method(settings, args.model, args.edges)
    done = find_proposals(read_manifest(args.manifest), args.out, method=method, threads=args.threads, cache=args.cache)
    print(
        f"{args.out}: {done['boxes']} boxes in {done['pictures']} pictures ({done['without_boxes']} without any box, "
        f"{done['cached']} from the cache)"
    )
