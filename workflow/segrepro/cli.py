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
from pathlib import Path
from types import ModuleType

from segrepro import __version__
from segrepro.environment import fix_environment, open_standard_streams, refuse_removed_folder
from segrepro.errors import UserError
from segrepro.gpu_check import usable_gpus
from segrepro.options import check_values
from segrepro.outputs import check_paths
from segrepro.stopping import STARTED_BY, stop_with, stops_cleanly

# In the order in which a run calls them; the module is segrepro.verbs.<verb with _ for ->.
VERBS = (
    *("schema", "spec", "sample", "fetch", "convert", "manifest", "subset", "check-apart", "check-labels"),
    *("training-set", "import-weights", "proposals", "proposal-recall", "train", "predict", "fuse", "stack", "crf"),
    *("crf-search", "merge-scores", "evaluate", "audit", "near-duplicates", "checksum", "provenance", "submission"),
    *("check-submission", "statistics", "table", "figure", "page-pictures", "page"),
)
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
    listing = "\n".join(f"  {verb:20}{_summary(verb)}" for verb in VERBS)
    parser = argparse.ArgumentParser(
        prog="segrepro",
        description="Semantic segmentation, reproduced. The verbs behind the workflow's rules:\n\n" + listing,
        epilog="`segrepro VERB --help` explains one verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"segrepro {__version__}")
    parser.add_argument("verb", metavar="VERB")
    return parser


def _summary(verb: str) -> str:
    """Return the beginning of a verb's own help, up to a colon, without importing its module."""
    with Path(__file__).with_name("verbs").joinpath(f"{_module_name(verb)}.py").open(encoding="utf-8") as source:
        line = source.readline().strip().lstrip('r"').rstrip('".')
    return line[0].lower() + line[1:].partition(":")[0]


def commands() -> list[str]:
    """Return every verb, those of `NAMED` with each of their names: all that `verb_parser` knows."""
    named = [f"{verb} {name}" for verb in NAMED for name in _module(verb).ENTRIES]
    return [verb for verb in VERBS if verb not in NAMED] + named


def _module_name(verb: str) -> str:
    return verb.replace("-", "_")


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"segrepro.verbs.{_module_name(verb)}")


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
