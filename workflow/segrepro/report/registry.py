"""What the report can show: every figure and table is one entry, and all else about it follows from the entry.

From an entry come the verb (`segrepro figure NAME`, `segrepro table NAME`) with its options, the rule with its inputs,
the targets of a plan, the caption and labels in Snakemake's report, and its place on the report page. The entries stand
in `segrepro.report.figures` and `segrepro.report.tables`; what they may need of a run is listed in
`segrepro.report.needs`.
Entries name their functions by text: whoever only plans loads neither matplotlib nor OpenCV.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from segrepro.report.columns import COMMON, Column

if TYPE_CHECKING:
    from segrepro.plan import Plan

Wildcards = Mapping[str, str]
Pair = tuple[str, str]  # a system and a split


@dataclass(frozen=True)
class Subject:
    """What one file of an entry is about."""

    names: Wildcards  # in its path: ``split``, ``system``, ``model``, ``dataset``
    pairs: tuple[Pair, ...] = ()  # that it shows, in order

    @property
    def systems(self) -> list[str]:
        """The systems that it shows, in order."""
        return [system for system, _ in self.pairs]

    @property
    def split(self) -> str:
        """The split of the systems that it shows."""
        return self.pairs[0][1] if self.pairs else self.names["split"]


@dataclass(frozen=True)
class Scope:
    """What an entry has a file for."""

    place: str  # of its file below the entry's folder, with wildcards; empty: one file for the whole plan
    wanted: Callable[[Plan], list[Wildcards]]  # of the files that a run makes unasked
    pairs: Callable[[Plan, Wildcards], list[Pair]]  # that a file shows


def compared(plan: Plan, wildcards: Wildcards) -> list[Pair]:
    """Return the systems of a split that `figures.compared` of the config names, or all where it names none of them."""
    return chosen(plan, wildcards["split"], plan.config.figures.compared.systems)


def chosen(plan: Plan, split: str, systems: list[str]) -> list[Pair]:
    """Return those of some systems that are scored on a split, or all that are where none of these is."""
    scored = plan.scored(split)
    return [(name, split) for name in systems if (name, split) in scored] or scored


def splits(plan: Plan) -> list[Wildcards]:
    """Return every split that a system is scored on, sorted."""
    return [{"split": split} for split in sorted({split for _, split in plan.scored()})]


def _nothing(*_: Any) -> list:
    return []


RUN = Scope("", lambda plan: [{}], lambda plan, _: plan.scored())
SPLIT = Scope("{split}", splits, compared)
SYSTEM_AND_SPLIT = Scope(
    "{system}/{split}",
    lambda plan: [
        {"system": system, "split": split} for each in splits(plan) for system, split in compared(plan, each)
    ],
    lambda _, wildcards: [(wildcards["system"], wildcards["split"])],
)
SYSTEM = Scope("{system}", _nothing, _nothing)
MODEL = Scope("{model}", _nothing, _nothing)
DATASET = Scope("{dataset}", _nothing, _nothing)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A figure or table of the report.

    Attributes:
        name: of its files below ``figures/`` or ``tables/``, and of the verb.
        kind: ``figure`` or ``table``.
        title: its heading on the page, and what Snakemake's report lists it as.
        category: of Snakemake's report.
        caption: what it shows, in sentences; below it on the page and in Snakemake's report.
        scope: what it has a file for.
        made_by: the function that makes it, ``module:function``: from the parsed options, a matplotlib figure or a
            `segrepro.report.printed.Table`. Empty for one that another verb writes beside its other outputs.
        needs: inputs and options, keys of `segrepro.report.needs.NEEDS`; a question mark behind one that the verb can
            do without.
        wanted: instead of the scope's.
        pairs: instead of the scope's.
        only_wanted: whether there are no other files of it than those wanted.
        columns: of a table, in the order of its CSV.
        others: the column of a name that is not among these, which the table has behind them; None: it has no more.
        printed: the names of the columns of Markdown and LaTeX; empty: those with a heading, as declared.
        cores: of a job of the full scale.
        network: whether a job predicts, on a GPU if there is one.
        memory: of a job, MB.
        minutes: that a job may take.
    """

    name: str
    kind: str = "figure"
    title: str
    category: str
    caption: str
    scope: Scope = RUN
    made_by: str = ""
    needs: tuple[str, ...] = ()
    wanted: Callable[[Plan], list[Wildcards]] | None = None
    pairs: Callable[[Plan, Wildcards], list[Pair]] | None = None
    only_wanted: bool = False
    columns: tuple[Column, ...] = ()
    others: Callable[[str], Column] | None = None
    printed: tuple[str, ...] = ()
    cores: int = 1
    network: bool = False
    memory: int = 2000
    minutes: int = 20

    @property
    def place(self) -> str:
        """Where its files lie below ``figures/`` or ``tables/``: with wildcards, without ending."""
        return f"{self.name}/{self.scope.place}" if self.scope.place else self.name

    @property
    def wildcards(self) -> list[str]:
        """The names of the wildcards in its place."""
        return re.findall(r"{(\w+)}", self.scope.place)

    def places(self, plan: Plan) -> list[str]:
        """Return where the files lie that a run makes unasked."""
        return [self.place.format(**wildcards) for wildcards in (self.wanted or self.scope.wanted)(plan)]

    def subject(self, plan: Plan, wildcards: Wildcards) -> Subject:
        """Return what the file of some wildcards is about."""
        return Subject(dict(wildcards), tuple((self.pairs or self.scope.pairs)(plan, wildcards)))

    def constraints(self, plan: Plan) -> dict[str, str]:
        """Return the constraints of its wildcards, beyond those that hold everywhere."""
        if not self.only_wanted:
            return {}
        wanted = (self.wanted or self.scope.wanted)(plan)
        keys = [key for key in self.wildcards if key != "split"]
        return {key: "|".join(sorted({each[key] for each in wanted})) or "(?!)" for key in keys}

    @property
    def forms(self) -> tuple[str, ...]:
        """The endings of its files: those that its own verb writes, or that of another verb's file."""
        forms = ("csv", "md", "tex") if self.kind == "table" else ("png", "pdf")
        return forms if self.made_by else forms[:1]

    def column(self, name: str) -> Column:
        """Return a column by its name; one that is not declared is what it is in any table."""
        declared = {column.name: column for column in self.columns}
        if name in declared:
            return declared[name]
        return self.others(name) if self.others else COMMON.get(name, Column(name))

    def make(self, args: Any) -> Any:
        """Return the figure or table, from the parsed options of its verb."""
        module, _, function = self.made_by.partition(":")
        return getattr(import_module(module), function)(args)
