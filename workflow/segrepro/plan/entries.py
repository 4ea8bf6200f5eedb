"""What the rules of figures and tables take from an entry of the report's registry, as Snakemake's functions."""

from collections.abc import Callable
from typing import Any

from segrepro.plan.experiment import Plan
from segrepro.report.figures import FIGURES
from segrepro.report.needs import inputs, options
from segrepro.report.registry import Entry
from segrepro.report.tables import TABLES


def inputs_of(plan: Plan, entry: Entry) -> Callable[[Any], list[str]]:
    """Return the inputs of an entry's rule, as a function of the wildcards."""
    return lambda wildcards: inputs(entry, plan, entry.subject(plan, dict(wildcards.items())))


def options_of(plan: Plan, entry: Entry) -> Callable[[Any], str]:
    """Return the options of an entry's command, as a function of the wildcards."""
    return lambda wildcards: options(entry, plan, entry.subject(plan, dict(wildcards.items())))


def job_options(entry: Entry) -> Callable[[Any, int, Any], str]:
    """Return the options that say what a job gets: threads and GPUs."""

    def given(wildcards: Any, threads: int, resources: Any) -> str:
        words = [f"--threads {threads}"] * ("threads" in entry.needs) + [f"--gpus {resources.gpu}"] * entry.network
        return " ".join(words)

    return given


def caption_of(entry: Entry) -> Callable[[Any, Any], str]:
    """Return an entry's caption, as the parameter that ``report/caption.rst`` shows in Snakemake's report.

    Snakemake counts a parameter that takes the output as derived from it: another caption makes no file again.
    """
    return lambda wildcards, output: entry.caption


def files_of(plan: Plan, entry: Entry) -> list[str]:
    """Return the outputs of an entry's rule, the first of which Snakemake's report shows."""
    return [f"{plan.results}/{entry.kind}s/{entry.place}.{form}" for form in entry.forms]


def made_by_verbs() -> list[Entry]:
    """Return the entries with a rule of their own; the others are written by rules that make something else too."""
    return [entry for entry in (*TABLES.values(), *FIGURES.values()) if entry.made_by]
