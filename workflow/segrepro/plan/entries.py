"""What the rules of figures and tables take from an entry of the report's registry, as Snakemake's functions."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from snakemake.io import report

from segrepro.plan.experiment import Plan
from segrepro.report.needs import inputs, options
from segrepro.report.registry import Entry

# Snakemake's own report reads captions from files: these live as long as the process.
_CAPTIONS = TemporaryDirectory(prefix="segrepro-captions-")


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


def in_report(entry: Entry, path: str, kind: str = "figure") -> Any:
    """Return an output that Snakemake's report shows: with the entry's category, label and caption."""
    caption = Path(_CAPTIONS.name, f"{kind}_{entry.name}.rst")
    caption.write_text(entry.caption, encoding="utf-8")
    labels = {kind: entry.label} | {name: f"{{{name}}}" for name in entry.wildcards}
    return report(path, caption=str(caption), category=entry.category, labels=labels)
