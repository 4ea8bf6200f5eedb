"""The ``segrepro`` command: one verb for each rule of the workflow, each usable by hand.

A verb is a module of ``segrepro.verbs`` with ``add_arguments(parser)`` and ``run(args)``; its docstring is its
help. A verb of `NAMED` is followed by the name of what it makes (``segrepro figure grid``): its module lists them in
``ENTRIES``, and its ``add_arguments`` takes the entry too. Only the module of the verb that was asked for is imported,
and it imports heavy libraries inside ``run``: ``segrepro --help`` answers at once, and no verb of data, evaluation or
report loads TensorFlow.
"""

import argparse
import difflib
import errno
import importlib
import os
import signal
import sys
import textwrap
from collections.abc import Iterable
from contextlib import nullcontext
from types import ModuleType

from segrepro import __version__
from segrepro.environment import fix_environment, open_standard_streams, refuse_removed_folder
from segrepro.errors import UserError
from segrepro.gpu_check import usable_gpus
from segrepro.options import check_values
from segrepro.outputs import check_paths
from segrepro.stopping import STARTED_BY, stop_with, stops_cleanly

# verb -> one line of help; the module is segrepro.verbs.<verb with _ for ->
VERBS = {
    "schema": "write the JSON schema of config.yaml",
    "spec": "write a resolved part of the config: a model's spec, the reported numbers",
    "sample": "generate the sample archives in the official layouts",
    "fetch": "download an archive from its mirrors, resume, verify its checksum",
    "convert": "convert the archives of VOC 2012, SBD or COCO 2017 to a dataset folder",
    "manifest": "write the manifest of a named dataset",
    "subset": "write a manifest of some of another one's pictures",
    "check-apart": "check that pictures to tune or fit on are not scored",
    "check-labels": "check a manifest's pictures and labels before anything trains on them",
    "training-set": "write a training set of a model's own: boxes of objects or of proposals, repeated classes",
    "import-weights": "build a spec's network and give it published weights",
    "proposals": "propose boxes where objects may be, for DeconvNet",
    "proposal-recall": "measure proposals against the boxes of the objects",
    "train": "train one model from its spec and a manifest; resumes by itself",
    "predict": "predict a manifest's pictures, whole or box by box, into a score store",
    "fuse": "combine the score stores of several systems into one",
    "stack": "learn to combine the score stores of several systems into one",
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
    "table": "make a table of the report from metrics",
    "figure": "draw a figure of the report",
    "page-pictures": "pack a split for the explorer of the report page",
    "page": "assemble the report page: tables, figures, explorer, how it was run",
}
# Verbs that are followed by the name of what they make.
NAMED = ("figure", "table")


# Faults of the machine or of a path rather than of the program: a sentence says more than a traceback.
REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space within your quota and run the same command again",
    errno.EFBIG: "raise the file size limit (ulimit -f) and run the same command again",
    errno.EACCES: "make it accessible to this user",
    errno.EPERM: "make it accessible to this user",
    errno.EROFS: "choose a place that can be written",
    errno.ENOENT: "give the name of one that is there",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "a part of its path is a file: give the name of a folder there",
    errno.EEXIST: "a part of its path is a file: give the name of a folder there",
    errno.ENAMETOOLONG: "give a shorter one",
    errno.ELOOP: "a link in its path leads back to itself: mend the link",
    errno.EMFILE: "raise the limit of open files (ulimit -n) and run the same command again",
    errno.ENOMEM: "free some memory, or give fewer --threads, and run the same command again",
}
OTHER_REMEDY = "look at the disk or the network share, and run the same command again"


def _program() -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:20}{text}" for name, text in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="segrepro",
        description="Semantic segmentation, reproduced. The verbs behind the workflow's rules:\n\n" + listing,
        epilog="`segrepro VERB --help` explains one verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"segrepro {__version__}")
    parser.add_argument("verb", metavar="VERB")
    return parser


def commands() -> list[str]:
    """Return every verb, those of `NAMED` with each of their names: all that `verb_parser` knows."""
    named = [f"{verb} {name}" for verb in NAMED for name in _module(verb).ENTRIES]
    return [verb for verb in VERBS if verb not in NAMED] + named


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"segrepro.verbs.{verb.replace('-', '_')}")


def verb_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of a verb's options: of ``train``, or of ``figure grid``."""
    verb, _, name = command.partition(" ")
    module = _module(verb)
    entry = [module.ENTRIES[name]] if name else []
    about = f"{entry[0].title}. {entry[0].caption}" if name else module.__doc__
    parser = argparse.ArgumentParser(
        prog=f"segrepro {command}",
        description=textwrap.fill(about, 100) if name else about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser, *entry)
    parser.set_defaults(run=module.run, command=command)
    return parser


def command_of(argv: list[str]) -> tuple[str, list[str]]:
    """Return the verb, with what it makes, and the words that follow; ends the process with code 2 on bad usage."""
    if not argv or argv[0] not in VERBS:
        program = _program()
        verb = program.parse_known_args(argv)[0].verb
        if argv[0].startswith("-"):
            program.error("the verb comes first, and then its options")
        program.error(f"there is no verb '{verb}'{_nearest(verb, VERBS)}; `segrepro --help` lists all")
    verb, *words = argv
    if verb not in NAMED:
        return verb, words
    entries = _module(verb).ENTRIES
    if words and words[0] in entries:
        return f"{verb} {words[0]}", words[1:]
    listing = "\n".join(f"  {name:20}{entry.title}" for name, entry in entries.items())
    family = argparse.ArgumentParser(
        prog=f"segrepro {verb}",
        description=f"{_module(verb).__doc__}\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    family.add_argument("name", metavar="NAME", help=f"`segrepro {verb} NAME --help` explains one")
    name = family.parse_known_args(words)[0].name
    family.error(f"there is no {verb} '{name}'{_nearest(name, entries)}; `segrepro {verb} --help` lists all")


def _parsed(argv: list[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Return a verb's parser and what it makes of the command; ends the process with code 2 on bad usage."""
    command, words = command_of(argv)
    parser = verb_parser(command)
    args, unknown = parser.parse_known_args(words)
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        parser.error(f"there is no option or place for '{unknown[0]}'{_nearest(unknown[0], options)}")
    return parser, args


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def main(argv: list[str] | None = None) -> None:
    """Run one verb; exit 0 on success, 1 on a `UserError` (one sentence, no traceback), 2 on bad usage."""
    open_standard_streams()
    fix_environment()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter would bury our messages
    argv = sys.argv[1:] if argv is None else argv
    parser, args = _parsed(argv)
    args.argv = argv  # results record the command that made them
    try:
        refuse_removed_folder()
        check_values(parser, args)
        check_paths(parser, args)
        with stops_cleanly():
            stop_with(os.environ.get(STARTED_BY))
            with usable_gpus(args.gpus) if "gpus" in args else nullcontext() as gpus:
                args.gpus = gpus
                args.run(args)
            sys.stdout.flush()  # here, where a reader that is gone is no fault
    except UserError as error:
        sys.exit(f"segrepro {args.command}: {error}")
    except BrokenPipeError:  # who read our output has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would try once more to write to it
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.errno is None:  # a library's own
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"segrepro {args.command}: {place}{error.strerror}; {REMEDIES.get(error.errno, OTHER_REMEDY)}.")
    except KeyboardInterrupt:
        sys.exit(130)
