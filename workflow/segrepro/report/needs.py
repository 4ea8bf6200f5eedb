"""What figures and tables need of a plan: files that are read, and settings; each an option of the verb.

A need says both ends: how its option is declared, and what a rule gives for it. An entry of the registry names needs by
their keys in `NEEDS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segrepro.config.figures import Examples, ProposalMaps, Ranked, Refined
from segrepro.config.systems import ProposalWise
from segrepro.config.tables import Bootstrap, Intervals, StatisticsSettings
from segrepro.data.datasets import DATASETS
from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, POSITIVE, SEED, add_options, as_options
from segrepro.report.measured_on import add_measured_on_option
from segrepro.report.registry import Entry, Subject

if TYPE_CHECKING:
    from segrepro.plan import Plan
    from segrepro.schema import Section

    Parser = argparse.ArgumentParser


@dataclass(frozen=True)
class Need:
    """An input or a setting of figures and tables."""

    # Declares its option; the second argument: whether the verb can do without.
    add: Callable[[Parser, bool], Any]
    # What a rule's command gives for it; empty where the rule file does (threads and GPUs).
    words: Callable[[Plan, Subject], str] = lambda plan, subject: ""
    # Those of the words that are inputs of the rule.
    files: Callable[[Plan, Subject], list[str]] = lambda plan, subject: []


def _input(
    option: str, metavar: str, text: str, files: Callable[[Plan, Subject], Iterable[str]], *, several: bool = False
) -> Need:
    nargs = {"nargs": "+"} if several else {}

    def add(parser: Parser, optional: bool) -> None:
        parser.add_argument(option, type=INPUT, required=not optional, metavar=metavar, help=text, **nargs)

    def listed(plan: Plan, subject: Subject) -> list[str]:
        return list(files(plan, subject))

    return Need(add, lambda plan, subject: " ".join([option, *listed(plan, subject)]), listed)


def _option(option: str, words: Callable[[Plan, Subject], Any], **declared: Any) -> Need:
    def given(plan: Plan, subject: Subject) -> str:
        value = words(plan, subject)
        return " ".join([option, *map(str, value)]) if isinstance(value, list) else f"{option} {value}"

    def add(parser: Parser, optional: bool) -> None:
        required = not optional and "default" not in declared
        parser.add_argument(option, required=required, **declared)

    return Need(add, given)


def _section(
    section: type[Section], given: Callable[[Plan, Subject], Section], *, leave_out: Collection[str] = ()
) -> Need:
    return Need(
        lambda parser, _: add_options(parser, section, leave_out),
        lambda plan, subject: as_options(given(plan, subject), leave_out),
    )


def _of_results(file: str) -> Callable[[Plan, Subject], list[str]]:
    return lambda plan, _: [f"{plan.results}/{file}"]


def _of_pairs(ending: str) -> Callable[[Plan, Subject], list[str]]:
    return lambda plan, subject: [plan.metrics(*pair, ending) for pair in subject.pairs]


def _model_file(file: str) -> Callable[[Plan, Subject], list[str]]:
    return lambda plan, subject: [plan.model(plan.config.systems[subject.names["system"]].model, file)]


def _trained(plan: Plan) -> list[str]:
    return [name for name, model in plan.config.models.items() if model.train]


def _label_space(plan: Plan, subject: Subject) -> str:
    model = subject.names.get("model")
    split = plan.config.models[model].dataset if model else subject.split
    return DATASETS[plan.config.dataset_of(split)].answer_space


def _ids_or_ranks(plan: Plan, subject: Subject) -> str:
    grid = plan.config.figures.grid
    ids = grid.ids.get(subject.split)
    return f"--ids {' '.join(ids)}" if ids else as_options(grid, leave_out=["ids", "systems"])


def _add_tiles(parser: Parser, _: bool) -> None:
    add_options(parser, Examples)
    add = parser.add_argument
    add("--size", type=POSITIVE, default=250, metavar="PIXELS", help="side that boxes are drawn to (default: 250)")
    add("--seed", type=SEED, default=0, metavar="N", help="another seed chooses others (default: 0)")
    add("--title", metavar="TEXT", help="what stands above the tiles (default: the manifest's name)")


def _tiles(plan: Plan, subject: Subject) -> str:
    model = subject.names["model"]
    size = plan.config.protocols[plan.config.models[model].protocol].box_size
    return f"--title {model} --size {size} --seed {plan.config.seed} {as_options(plan.config.figures.examples)}"


AGGREGATION = ("proposals", "count", "storage_stride")  # fields of ProposalWise that are not about the aggregation


def _add_proposal_counts(parser: Parser, _: bool) -> None:
    add_options(parser, ProposalMaps)
    add_options(parser, ProposalWise, AGGREGATION)


def _proposal_counts(plan: Plan, subject: Subject) -> str:
    """Return its options: as many proposals as the system predicts by, and fewer."""
    section, maps = plan.config.systems[subject.names["system"]].proposal_wise, plan.config.figures.proposals
    counts = [*(count for count in maps.counts if count < section.count), section.count]
    return f"{as_options(maps.model_copy(update={'counts': counts}))} {as_options(section, AGGREGATION)}"


def _split_proposals(plan: Plan, subject: Subject) -> list[str]:
    section = plan.config.systems[subject.names["system"]].proposal_wise
    return [plan.proposals(section.proposals, plan.config.dataset_of(subject.split))]


NEEDS: dict[str, Need] = {
    # files
    "manifest": _input("--manifest", "CSV", "pictures and masks", lambda plan, of: [plan.manifest(of.split)]),
    "training_set": _input(
        "--manifest", "CSV", "examples with boxes", lambda plan, of: [plan.model(of.names["model"], "training_set.csv")]
    ),
    "scores": _input(
        "--scores",
        "H5",
        "score store of each system",
        lambda plan, of: [plan.scores(*pair) for pair in of.pairs],
        several=True,
    ),
    "metrics": _input("--metrics", "JSON", "metrics of each system, in row order", _of_pairs("json"), several=True),
    "confusions": _input("--confusions", "NPZ", "confusions of each system", _of_pairs("npz"), several=True),
    "fine_grained": _input(
        "--fine-grained", "NPZ", "fine-grained counts of each system", _of_pairs("fine_grained.npz"), several=True
    ),
    "checks": _input(
        "--checks",
        "JSON",
        "what `segrepro check-labels` wrote",
        lambda plan, of: [f"{plan.results}/checks/{of.names['dataset']}.json"],
    ),
    "history": _input(
        "--history",
        "CSV",
        "history.csv of each training",
        lambda plan, _: [plan.model(name, "history.csv") for name in _trained(plan)],
        several=True,
    ),
    "model": _input("--model", "KERAS", "model file", _model_file("model.keras")),
    "spec": _input("--spec", "YAML", "the model's spec", _model_file("spec.yaml")),
    "proposals": _input("--proposals", "H5", "object proposals, by `segrepro proposals`", _split_proposals),
    "leakage": _input("--leakage", "JSON", "shares of leaked pictures (segrepro audit)", _of_results("leakage.json")),
    "statistics": _input("--statistics", "JSON", "intervals (segrepro statistics)", _of_results("statistics.json")),
    "published": _input(
        "--published", "JSON", "what reports and papers state, in percent", _of_results("metrics/published.json")
    ),
    "systems": _input(
        "--systems", "JSON", "CRFs, ablations, server answers, spec hashes", _of_results("metrics/systems.json")
    ),
    # of what it is
    "split": _option("--split", lambda _, of: of.split, metavar="NAME", help="that the systems are scored on"),
    "system": _option("--system", lambda _, of: of.names["system"], metavar="NAME", help="for the title"),
    "names": _option("--names", lambda _, of: of.systems, nargs="+", metavar="NAME", help="of the systems, in order"),
    "trainings": _option(
        "--names", lambda plan, _: _trained(plan), nargs="+", metavar="NAME", help="of the trainings (default: folders)"
    ),
    "label_space": _option(
        "--label-space", _label_space, default="voc21", metavar="NAME", help="of the masks (default: voc21)"
    ),
    # settings
    "intervals": Need(
        lambda parser, _: add_options(parser, Bootstrap),
        lambda plan, _: plan.bootstrap,
    ),
    "seed_deviation": _section(
        StatisticsSettings, lambda plan, _: plan.config.statistics, leave_out=Intervals.model_fields
    ),
    "measured_on": Need(
        lambda parser, _: add_measured_on_option(parser), lambda plan, _: f"--measured-on {plan.config.pictures}"
    ),
    "ids": Need(
        lambda parser, _: parser.add_argument("--ids", nargs="+", metavar="ID", help="pictures to draw, in this order")
    ),
    "ranked": Need(lambda parser, _: add_options(parser, Ranked), _ids_or_ranks),
    "weakest": _option(
        "--weakest",
        lambda plan, _: plan.config.figures.weak_classes.classes,
        type=POSITIVE,
        metavar="N",
        help="draw the first system's N weakest classes",
    ),
    "refined": _section(Refined, lambda plan, _: plan.config.figures.crf),
    "tiles": Need(_add_tiles, _tiles),
    "proposal_counts": Need(_add_proposal_counts, _proposal_counts),
    # what the rule file gives
    "threads": Need(
        lambda parser, _: parser.add_argument(
            "--threads", type=POSITIVE, default=1, metavar="N", help="CPU cores to use (default: 1)"
        )
    ),
    "gpus": Need(lambda parser, _: add_gpus_argument(parser)),
}


def add_entry_options(parser: Parser, entry: Entry) -> None:
    """Declare the options of an entry's verb, but for ``--out``."""
    for need in entry.needs:
        NEEDS[need.rstrip("?")].add(parser, need.endswith("?"))


def inputs(entry: Entry, plan: Plan, subject: Subject) -> list[str]:
    """Return what a rule reads to make an entry's file."""
    return [file for need in entry.needs for file in NEEDS[need.rstrip("?")].files(plan, subject)]


def options(entry: Entry, plan: Plan, subject: Subject) -> str:
    """Return the options of the command that makes an entry's file, but for threads, GPUs and ``--out``."""
    return " ".join(filter(None, (NEEDS[need.rstrip("?")].words(plan, subject) for need in entry.needs)))
