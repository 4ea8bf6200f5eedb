"""Jobs of Snakemake as jobs of a scheduler that schedulers.toml describes.

A job is known to Snakemake by ``<number>@<name>``: the scheduler's number, and the name of two files in
``.snakemake/cluster``: ``<name>.sh``, what was submitted, and ``<name>.exit``, the exit code that it leaves. So the
end of a job is known even when the scheduler has forgotten it; the scheduler is only asked whether a job that has not
ended yet is still there.
"""

import json
import re
import shlex
import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path
from typing import Any

SETTINGS = Path(__file__).with_name("schedulers.toml")
STATE = Path(".snakemake/cluster")
LOGS = Path("results/logs/cluster")
# Seconds until a scheduler's answer is given up; it is asked again.
PATIENCE = 60


def settings(path: Path = SETTINGS) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the settings of the site, and the commands of its scheduler."""
    site = tomllib.loads(path.read_text())
    name = site["scheduler"]
    if not isinstance(site.get(name), dict):
        known = ", ".join(key for key, value in site.items() if isinstance(value, dict))
        sys.exit(f"{path}: no table [{name}]; set scheduler to one of {known}.")
    return site, site[name]


def words(template: str, **fields: Any) -> list[str]:
    """Split a command as a shell does and fill in its fields; a filled-in value stays in its word, but for gpus."""
    filled = []
    for word in shlex.split(template):
        filled += fields["gpus"].split() if word == "{gpus}" else [word.format(**fields)]
    return filled


def properties(script: Path) -> dict[str, Any]:
    """Return what Snakemake says of a job in the second line of its script."""
    for line in script.read_text().splitlines():
        if line.startswith("# properties = "):
            return json.loads(line.removeprefix("# properties = "))
    sys.exit(f"{script}: not a job script of Snakemake; it has no line '# properties ='.")


def request(job: dict[str, Any], site: dict[str, Any], commands: dict[str, str]) -> dict[str, Any]:
    """Return the fields of the submit command that say what a job needs."""
    resources, threads = job["resources"], max(1, int(job["threads"]))
    memory, minutes, gpu = (int(resources.get(key, 0)) for key in ("mem_mb", "runtime", "gpu"))
    return {
        "queue": site["gpu_queue"] if gpu else site["cpu_queue"],
        "threads": threads,
        "mem_mb": memory,
        "mem_mb_per_thread": -(-memory // threads),
        "minutes": minutes,
        "seconds": 60 * minutes,
        "gpus": commands["gpus"].format(gpu=gpu) if gpu else "",
    }


def submit(script: Path) -> str:
    """Submit a job script of Snakemake; return ``<number>@<name>``."""
    site, commands = settings()
    job = properties(script)
    kind = job.get("rule") or job["groupid"]
    name = f"{kind}-{uuid.uuid4().hex[:8]}"
    state, logs = STATE.resolve(), (LOGS / kind).resolve()
    state.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    wrapper, ended = state / f"{name}.sh", state / f"{name}.exit"
    # A scheduler that ends a job signals all its processes: the wrapper outlives what it runs, to say how that ended.
    # Written under another name first: a number that is half there would be read as another one.
    wrapper.write_text(
        f"#!/bin/sh\ntrap : INT TERM\nsh {shlex.quote(str(script.resolve()))}\ncode=$?\n"
        f"echo $code > {shlex.quote(f'{ended}.new')} && mv {shlex.quote(f'{ended}.new')} {shlex.quote(str(ended))}\n"
        "exit $code\n"
    )
    wrapper.chmod(0o755)
    call = words(
        commands["submit"],
        name=name,
        log=logs / f"{name}.log",
        script=wrapper,
        **request(job, site, commands),
    )
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=False)
    number = re.search(commands["id"], done.stdout, re.MULTILINE)
    if done.returncode or not number:
        sys.exit(f"{shlex.join(call)}: exit code {done.returncode}, no job number in {done.stdout.strip()!r}.")
    return f"{number[1]}@{name}"


def is_gone(number: str, commands: dict[str, str]) -> bool:
    """Return whether the scheduler says that a job is over, or that it knows none of this number.

    Any other failure (no connection, a restart, a time-out) says nothing about the job.
    """
    try:
        answer = subprocess.run(
            words(commands["ask"], id=number), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if answer.returncode == 0 and "over" in commands and re.search(commands["over"], answer.stdout):
        return True
    return bool(re.search(commands["unknown"], f"{answer.returncode}\n{answer.stdout}{answer.stderr}"))


def status(job: str) -> str:
    """Return ``running`` (or waiting), ``success`` or ``failed``."""
    site, commands = settings()
    number, name = job.split("@", 1)
    ended, gone = STATE / f"{name}.exit", STATE / f"{name}.gone"
    if ended.exists():
        return "success" if ended.read_text().strip() == "0" else "failed"
    if not is_gone(number, commands):
        gone.unlink(missing_ok=True)
        return "running"
    # Killed, or ended on a node whose file is not to be seen here yet.
    if not gone.exists():
        gone.touch()
    if time.time() - gone.stat().st_mtime <= site["lost_after"]:
        return "running"
    cancel([job])  # it will be submitted again: should it live after all, two would write the same files
    return "failed"


def cancel(jobs: list[str]) -> None:
    """Cancel jobs; what the scheduler prints goes to stderr (Snakemake reads the answer of status.py from stdout)."""
    _, commands = settings()
    for job in jobs:
        subprocess.run(words(commands["cancel"], id=job.split("@", 1)[0]), stdout=sys.stderr, check=False)
