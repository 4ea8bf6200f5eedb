r"""Propose boxes where objects may be, in every picture of a manifest, best first.

Interrupted, the same command goes on where it was when --cache is given. A setting that is not given keeps its
published default; settings of the other method are refused.

Example: segrepro proposals --manifest data/manifests/voc_val.csv --method selective_search --threads 4 \
             --cache data/proposals/cache --out data/proposals/selective_search/voc_val.h5
         segrepro proposals --manifest data/manifests/voc_val.csv --method edge_boxes --model model.yml.gz \
             --out data/proposals/edge_boxes/voc_val.h5
"""

import argparse

from segrepro.options import INPUT, OUTPUT, POSITIVE, SHARED_FOLDER

PLACES = ("model", "edges")  # settings that name a file or folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options; those of the methods come from their settings."""
    import dataclasses

    from segrepro.data.proposal_base import ProposalMethod
    from segrepro.data.proposal_methods import METHODS

    parser.add_argument("--manifest", type=INPUT, required=True, help="the pictures")
    parser.add_argument("--out", type=OUTPUT, required=True, help="proposals file to write (HDF5)")
    parser.add_argument("--method", required=True, help=f"one of {', '.join(METHODS)}")
    parser.add_argument("--threads", type=POSITIVE, default=1, help="number of processes (1)")
    parser.add_argument("--cache", type=SHARED_FOLDER, help="folder that keeps each picture's boxes")
    common = {field.name for field in dataclasses.fields(ProposalMethod)}
    groups = {"every method": common}
    groups |= {name: {f.name for f in dataclasses.fields(method)} - common for name, method in METHODS.items()}
    settings = {field.name: field for method in METHODS.values() for field in dataclasses.fields(method)}
    for title, names in groups.items():
        group = parser.add_argument_group(f"settings of {title}")
        for name in [name for name in settings if name in names]:
            default = settings[name].default
            group.add_argument(
                f"--{name.replace('_', '-')}",
                type=INPUT if name in PLACES else None,
                dest=f"settings.{name}",
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=settings[name].metadata["help"] + (f" ({default})" if default is not None else ""),
            )


def run(args: argparse.Namespace) -> None:
    """Find the proposals and say how many there are."""
    from segrepro.data.proposal_search import find_proposals
    from segrepro.stores.manifests import read_manifest

    prefix = "settings."
    settings = {key.removeprefix(prefix): str(value) for key, value in vars(args).items() if key.startswith(prefix)}
    examples = read_manifest(args.manifest)
    done = find_proposals(
        examples, args.out, method=args.method, settings=settings, threads=args.threads, cache=args.cache
    )
    print(
        f"{args.out}: {done['boxes']} boxes in {done['pictures']} pictures ({done['without_boxes']} without any box, "
        f"{done['cached']} from the cache)"
    )
