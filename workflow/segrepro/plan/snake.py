"""What touches Snakemake's own objects: refusals, the shell that jobs run in, records, memory at each attempt."""

import hashlib
import shlex
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile, report
from snakemake.resources import Resource

from segrepro.config import Config, in_order_of, model_spec, parse_config
from segrepro.errors import UserError
from segrepro.json_files import refuse_twins
from segrepro.plan.disk import check_room
from segrepro.plan.experiment import Plan
from segrepro.plan.lineage import config_sha256
from segrepro.plan.resolved import shown_config
from segrepro.provenance.unrecorded import refuse_other_results
from segrepro.report import figures, tables
from segrepro.report.registry import Entry
from segrepro.training.choices import require_tensorboard


@contextmanager
def in_words() -> Iterator[None]:
    """Let Snakemake tell a `UserError` as its own: one sentence, no traceback."""
    try:
        yield
    except UserError as error:
        raise WorkflowError(str(error)) from None


def validated(workflow: Any, merged: dict[str, Any]) -> Config:
    """Return the typed config of a run, of which Snakemake has merged the files.

    A key that is faulty, or comes twice in a file, is a `UserError`.
    """
    for file in workflow.configfiles:
        refuse_twins(file)
    published = yaml.safe_load(Path(f"{workflow.basedir}/config.yaml").read_text(encoding="utf-8"))
    config = parse_config(in_order_of(published, merged))
    if config.runtime.tensorboard and not in_conda(workflow):
        require_tensorboard()  # hours before the first training would ask for it
    return config


def in_conda(workflow: Any) -> bool:
    """Return whether jobs run in conda environments (``--sdm conda``)."""
    return "conda" in {str(method) for method in workflow.deployment_settings.deployment_method}


def interpreter(workflow: Any) -> str:
    """Return the Python that jobs run by: the one that runs Snakemake, or the environment's."""
    return "python" if in_conda(workflow) else sys.executable


def shell_prefix(workflow: Any) -> str:
    """Return what every job's shell command starts with; it defines ``segrepro``.

    When all are told to stop (preemption), a job's shell stays until the verb has answered. A verb stops by itself when
    the Snakemake that started it is gone.
    """
    path, python = _in_shell(f"{workflow.basedir}/workflow"), interpreter(workflow)
    return (
        "set -euo pipefail; trap : INT TERM; export SEGREPRO_STARTED_BY=$PPID; "
        f'segrepro() {{{{ trap : INT TERM; PYTHONPATH={path} {_in_shell(python)} -m segrepro "$@"; }}}}; '
    )


def _in_shell(path: str) -> str:
    """Return a path as a word of a shell command that Snakemake formats."""
    return shlex.quote(path).replace("{", "{{").replace("}", "}}")


def in_report(entry: Entry, path: str) -> Any:
    """Return an output that Snakemake's report shows by an entry's category and title.

    The rule gives the caption by its parameter ``caption`` (`segrepro.plan.entries.caption_of`).
    """
    labels = {entry.kind: entry.title} | {name: f"{{{name}}}" for name in entry.wildcards}
    template = Path(figures.__file__).with_name("caption.rst")
    return report(path, caption=str(template), category=entry.category, labels=labels)


def rules_sha256(workflow: Any) -> str:
    """Return a hash of what the Snakefile, the rule files and the entries say that rules are made of."""
    root = Path(str(workflow.basedir))
    files = [root / "Snakefile", *sorted((root / "workflow/rules").glob("*.smk"))]
    files += [Path(entries.__file__) for entries in (figures, tables)]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def compare_standing(workflow: Any, plan: Plan, merged: dict[str, Any]) -> None:
    """Compare results whose records are gone with the config, when jobs are planned or run.

    Without records (``.snakemake``) all that stands counts as up to date. Who forces jobs, or touches files, has said
    what is meant. What stands and was made by another config is a WorkflowError.
    """
    asked = workflow.dag_settings
    if not workflow.is_main_process or workflow.executor_plugin is None or workflow.touch:
        return
    if asked.forceall or asked.forcerun:
        return

    def is_unrecorded(path: str) -> bool:
        """Whether a file stands there of which Snakemake knows neither how it was made, nor that it is half-made."""
        if not Path(path).exists() or workflow.persistence.metadata(IOFile(path)):
            return False
        half_made = urlsafe_b64encode(path.encode()).decode()
        return not Path(f".snakemake/incomplete/{half_made}").exists()

    with in_words():
        refuse_other_results(
            Path(plan.results),
            specs={name: model_spec(plan.config, name).plain() for name in plan.config.models},
            hashes={pair: config_sha256(plan, *pair) for pair in plan.scored()},
            config=shown_config(merged),
            unrecorded=is_unrecorded,
        )


def check_disk(workflow: Any, plan: Plan) -> None:
    """Refuse a run for which a disk has too little room; to be called when its jobs are known and none has started.

    Raises:
        WorkflowError: naming the folder, and what is needed and free.
    """
    if plan.config.runtime.check_room and not workflow.touch:
        jobs = [(job.rule.name, job.wildcards_dict, job.output) for job in workflow.dag.needrun_jobs()]
        with in_words():
            check_room(plan, jobs)


def complete_rules(workflow: Any) -> None:
    """Give all rules what Snakemake has no setting for: an environment, and as much memory again at each attempt.

    The environment (``--sdm conda``) is that without CUDA where a rule names none. A job that a cluster ends for its
    memory is submitted again by `retries` (profiles/slurm) and must not ask for the same. What the profile or
    --set-resources says of a rule is in it by now, and grows too.
    """
    for rule in workflow.rules:
        rule.conda_env = rule.conda_env or f"{workflow.basedir}/envs/cpu.yaml"
        memory = rule.resources.get("mem_mb")
        # a number, or a rule's function of the wildcards
        if memory is not None and (isinstance(memory.raw, int) or (memory.raw is None and memory.is_evaluable())):
            rule.resources["mem_mb"] = _growing(memory)


def _growing(memory: Resource) -> Callable[[Any, int], int]:
    return lambda wildcards, attempt: memory.evaluate(wildcards).value * attempt
