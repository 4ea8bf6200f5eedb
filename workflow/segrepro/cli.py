"""The ``segrepro`` command: one verb for each rule of the workflow, each usable by hand.

A verb is a module of ``segrepro.verbs`` with ``add_arguments(parser)`` and ``run(args)``; its docstring is its
help. Only the module of the verb that was asked for is imported, and it imports heavy libraries inside ``run``:
``segrepro --help`` answers at once, and no verb of data, evaluation or report loads TensorFlow.
"""

import argparse
import errno
import importlib
import os
import sys
from contextlib import nullcontext

from segrepro import __version__
from segrepro.environment import fix_environment
from segrepro.errors import UserError
from segrepro.gpu_check import usable_gpus
from segrepro.stopping import STARTED_BY, stop_with, stops_cleanly

# verb -> one line of help; the module is segrepro.verbs.<verb with _ for ->
VERBS = {
    "schema": "write the JSON schema of config.yaml",
    "spec": "write a resolved part of the config: a model's spec, the reported numbers",
    "sample": "generate the sample archives in the official layouts",
    "fetch": "download an archive from its mirrors, resume, verify its checksum",
    "convert-voc": "convert the VOC 2012 archive to a dataset folder",
    "convert-sbd": "convert the SBD archive to a dataset folder",
    "convert-coco": "convert COCO 2017 pictures and annotations to dataset folders",
    "manifest": "write the manifest of a named dataset",
    "subset": "write a manifest of some of another one's pictures",
    "check-apart": "check that pictures to tune or fit on are not scored",
    "check-labels": "check a manifest's pictures and labels before anything trains on them",
    "repeat-classes": "write a manifest in which the pictures of chosen classes come several times",
    "object-examples": "write DeconvNet's stage-1 training examples: one object a row",
    "proposal-examples": "write DeconvNet's stage-2 training examples: one object proposal a row",
    "import-weights": "build a spec's network and give it published weights",
    "proposals": "propose boxes where objects may be, for DeconvNet",
    "proposal-recall": "measure proposals against the boxes of the objects",
    "train": "train one model from its spec and a manifest; resumes by itself",
    "predict": "predict a manifest's pictures into a score store",
    "fuse": "combine the score stores of several systems into one",
    "stack": "learn to combine the score stores of several systems into one",
    "predict-proposals": "predict a manifest's pictures box by box into a score store",
    "crf": "refine a score store by a fully connected CRF (DenseCRF)",
    "crf-search": "search a CRF's parameters on pictures that are never scored",
    "merge-scores": "merge the score stores of parts of a split into one",
    "evaluate": "score a score store against the masks of a manifest",
    "audit": "audit which scored pictures were seen in the making of each system",
    "near-duplicates": "find near-duplicates between two sets of pictures by perceptual hash",
    "checksum": "write size and sha256 of a fetched file",
    "provenance": "put config, data, code, packages and machine of a run together",
    "submission": "pack a system's test predictions for the VOC server",
    "check-submission": "find the mistakes in an archive for the VOC server",
    "statistics": "compute bootstrap intervals of systems and of the differences between them",
    "tables": "collect metrics into the comparison tables",
    "table-boundary": "collect boundary IoU, trimap mIoU and IoU by object size into a table",
    "page-pictures": "pack a split for the explorer of the report page",
    "page": "assemble the report page: tables, figures, explorer, how it was run",
    "figure-labels": "draw the class histogram of a data set",
    "figure-classes": "draw the IoU of each class, or of the weakest ones, for several systems",
    "figure-grid": "draw picture, ground truth and predictions side by side",
    "figure-examples": "draw a contact sheet of training examples with boxes",
    "figure-proposals": "draw how a proposal-wise map grows with the proposals",
    "figure-crf": "draw what a CRF changes: before, after and the gain a class",
    "figure-curves": "draw training curves",
    "figure-trimap": "draw the mIoU of systems near boundaries, by the width of the band",
    "figure-sizes": "draw boundary IoU and the IoU of objects by size, of several systems",
    "figure-confusion": "draw the confusion matrix of a system",
}


# Faults of the machine rather than of the program: a sentence says more than a traceback.
REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space within your quota and run the same command again",
    errno.EFBIG: "raise the file size limit (ulimit -f) and run the same command again",
    errno.EACCES: "make it accessible to this user",
    errno.EROFS: "choose a place that can be written",
}


def _parser(verb: str | None) -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:20}{text}" for name, text in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="segrepro",
        description="Semantic segmentation, reproduced. The verbs behind the workflow's rules:\n\n" + listing,
        epilog="`segrepro VERB --help` explains one verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"segrepro {__version__}")
    if verb not in VERBS:
        parser.add_argument("verb", metavar="VERB", choices=list(VERBS))
        return parser
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    module = importlib.import_module(f"segrepro.verbs.{verb.replace('-', '_')}")
    sub = verbs.add_parser(verb, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(sub)
    sub.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run one verb; exit 0 on success, 1 on a `UserError` (one sentence, no traceback), 2 on bad usage."""
    fix_environment()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter would bury our messages
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv[0] if argv else None).parse_args(argv)
    args.argv = argv  # results record the command that made them
    try:
        with stops_cleanly():
            stop_with(os.environ.get(STARTED_BY))
            with usable_gpus(args.gpus) if "gpus" in args else nullcontext() as gpus:
                args.gpus = gpus
                args.run(args)
    except UserError as error:
        sys.exit(f"segrepro {argv[0]}: {error}")
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"segrepro {argv[0]}: {place}{error.strerror}; {REMEDIES[error.errno]}.")
    except KeyboardInterrupt:
        sys.exit(130)
