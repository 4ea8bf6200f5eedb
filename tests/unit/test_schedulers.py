"""profiles/cluster-generic: what it calls, and how it tells how a job ended. The schedulers here are scripts."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from progress import wait_until
from workflow_runs import ROOT

PROFILE = ROOT / "profiles/cluster-generic"
spec = importlib.util.spec_from_file_location("schedulers", PROFILE / "schedulers.py")
schedulers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(schedulers)

JOB = {
    "type": "single",
    "rule": "train",
    "threads": 8,
    "resources": {"mem_mb": 16001, "runtime": 2880, "gpu": 1},
    "jobid": 7,
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A function that makes a folder the working directory, with a scheduler chosen and ``PATH`` led to scripts."""

    def choose(scheduler: str, **scripts: str) -> None:
        text = re.sub(r'^scheduler = ".*?"', f'scheduler = "{scheduler}"', schedulers.SETTINGS.read_text(), flags=re.M)
        (tmp_path / "schedulers.toml").write_text(text)
        monkeypatch.setattr(schedulers.settings, "__defaults__", (tmp_path / "schedulers.toml",))
        commands = tmp_path / "bin"
        commands.mkdir()
        for name, script in scripts.items():
            (commands / name).write_text(f"#!/bin/sh\n{script}\n")
            (commands / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
        monkeypatch.chdir(tmp_path)

    return choose


def job_script(folder: Path, command: str = "true", job: dict | None = None) -> Path:
    script = folder / "snakejob.sh"
    script.write_text(f"#!/bin/sh\n# properties = {json.dumps(job or JOB)}\n{command}\n")
    return script


def submit_endless(folder: Path) -> str:
    """Submit a job that ends by a signal alone; return when it is at work, and so its wrapper heeds signals."""
    job = schedulers.submit(job_script(folder, f"touch {folder}/at_work; sleep 3600"))
    wait_until((folder / "at_work").exists, "the job is at work")
    return job


def outcome(job: str) -> str:
    states = ["running"]
    wait_until(lambda: states.append(schedulers.status(job)) or states[-1] != "running", "the job has ended")
    return states[-1]


@pytest.mark.parametrize("script", ["submit.py", "status.py", "cancel.py"])
def test_the_commands_find_their_module_in_the_environment_of_a_run(tmp_path, script):
    """Runs set PYTHONSAFEPATH, so that no file of the user is imported, and schedulers' commands inherit it."""
    done = subprocess.run(
        [PROFILE / script], cwd=tmp_path, env=os.environ | {"PYTHONSAFEPATH": "1"}, capture_output=True, check=False
    )
    assert b"No module named" not in done.stderr
    assert b"schedulers" in done.stderr or done.returncode == 0  # without arguments they fail within the module's call


@pytest.mark.parametrize(("command", "state"), [("true", "success"), ("exit 3", "failed")])
def test_a_job_runs_and_says_how_it_ended(site, tmp_path, command, state):
    site("local")
    job = schedulers.submit(job_script(tmp_path, f"echo hello; {command}"))
    assert outcome(job) == state
    assert [log.read_text() for log in tmp_path.glob("results/logs/cluster/train/*.log")] == ["hello\n"]


def test_a_cancelled_job_has_failed_at_once(site, tmp_path):
    site("local")
    job = submit_endless(tmp_path)
    assert schedulers.status(job) == "running"
    schedulers.cancel([job])
    assert outcome(job) == "failed"
    assert (tmp_path / f".snakemake/cluster/{job.split('@')[1]}.exit").read_text() == "143\n"


def test_a_killed_job_has_failed_once_its_time_to_say_so_is_over(site, tmp_path):
    site("local")
    (tmp_path / "schedulers.toml").write_text((tmp_path / "schedulers.toml").read_text().replace("= 120", "= 0.3"))
    job = submit_endless(tmp_path)
    assert schedulers.status(job) == "running"
    subprocess.run(["pkill", "-KILL", "--session", job.split("@")[0]], check=True)
    started = time.monotonic()
    assert outcome(job) == "failed"
    assert time.monotonic() - started > 0.3


CALLS = {
    "slurm": "--partition=gpu --ntasks=1 --cpus-per-task=8 --mem=16001M --time=2880 --output=LOG --gres=gpu:1 SCRIPT",
    "pbs": "-q gpu -l select=1:ncpus=8:mem=16001mb:ngpus=1 -l walltime=172800 -j oe -o LOG SCRIPT",
    "sge": "-q gpu -pe smp 8 -l h_vmem=2001M -l h_rt=172800 -l gpu=1 -j y -o LOG SCRIPT",
    "lsf": "-q gpu -n 8 -R span[hosts=1] -M 16001MB -W 2880 -gpu num=1 -o LOG sh SCRIPT",
}
ANSWERS = {"slurm": "42", "pbs": "42.head.cluster", "sge": "42", "lsf": "Job <42> is submitted to queue <gpu>."}
SUBMITS = {"slurm": "sbatch", "pbs": "qsub", "sge": "qsub", "lsf": "bsub"}


@pytest.mark.parametrize("scheduler", CALLS)
def test_a_scheduler_is_told_what_the_job_needs(site, tmp_path, scheduler):
    site(scheduler, **{SUBMITS[scheduler]: f"echo \"$@\" > {tmp_path}/call; echo '{ANSWERS[scheduler]}'"})
    job = schedulers.submit(job_script(tmp_path))
    number, name = job.split("@")
    assert number == ANSWERS[scheduler] if scheduler == "pbs" else number == "42"
    call = (tmp_path / "call").read_text().strip()
    log, script = tmp_path / f"results/logs/cluster/train/{name}.log", tmp_path / f".snakemake/cluster/{name}.sh"
    assert name in call.split(CALLS[scheduler].split()[0])[0]
    assert call.endswith(CALLS[scheduler].replace("LOG", str(log)).replace("SCRIPT", str(script)))


def test_a_job_without_a_gpu_goes_to_the_other_queue(site, tmp_path):
    site("slurm", sbatch=f'echo "$@" > {tmp_path}/call; echo 1')
    schedulers.submit(job_script(tmp_path, job=JOB | {"resources": {"mem_mb": 100, "runtime": 5, "gpu": 0}}))
    call = (tmp_path / "call").read_text()
    assert "--partition=cpu" in call
    assert "--gres" not in call


def test_a_scheduler_that_still_knows_ended_jobs_is_understood(site, tmp_path):
    site("lsf", bsub="echo 'Job <9> is submitted'", bjobs=f"cat {tmp_path}/state", bkill="true")
    job = schedulers.submit(job_script(tmp_path))
    (tmp_path / "schedulers.toml").write_text((tmp_path / "schedulers.toml").read_text().replace("= 120", "= 0"))
    (tmp_path / "state").write_text("PEND\n")
    assert schedulers.status(job) == "running"
    (tmp_path / "state").write_text("EXIT\n")
    assert outcome(job) == "failed"


# What `ask` answers of a job that the scheduler does not know: exit code, stderr.
UNKNOWN = {
    "slurm": ["echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", "exit 0"],
    "pbs": ["echo 'qstat: Unknown Job Id 5.head' >&2; exit 153", "echo 'qstat: 5 Job has finished' >&2; exit 35"],
    "sge": ["echo 'Following jobs do not exist:' >&2; echo 5 >&2; exit 1"],
    "lsf": ["echo 'Job <5> is not found' >&2; exit 255", "echo 'Job <5> is not found' >&2"],
}
ASKS = {"slurm": "squeue", "pbs": "qstat", "sge": "qstat", "lsf": "bjobs"}
CANCELS = {"slurm": "scancel", "pbs": "qdel", "sge": "qdel", "lsf": "bkill"}
AWAY = (
    "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
    "echo 'Connection refused' >&2; echo 'qstat: cannot connect to server head (errno=111)' >&2; exit 111",
    "echo 'error: unable to contact qmaster using port 6444 on host \"head\"' >&2; exit 1",
    "echo 'Failed in an LSF library call: LIM is down; try later' >&2; exit 255",
    "exit 1",
)


@pytest.fixture
def submitted(site, tmp_path):
    """Submit a job to a scheduler that answers as it is told, with no patience for jobs that are gone."""

    def submit(scheduler: str, answer: str) -> str:
        site(
            scheduler,
            **{SUBMITS[scheduler]: f"echo '{ANSWERS[scheduler]}'", ASKS[scheduler]: answer},
            **{CANCELS[scheduler]: f'echo "$@" >> {tmp_path}/cancelled; echo answer'},
        )
        job = schedulers.submit(job_script(tmp_path))
        (tmp_path / "schedulers.toml").write_text((tmp_path / "schedulers.toml").read_text().replace("= 120", "= -1"))
        return job

    return submit


@pytest.mark.parametrize("scheduler", ASKS)
@pytest.mark.parametrize("answer", AWAY)
def test_a_scheduler_that_is_away_has_lost_no_job(submitted, tmp_path, scheduler, answer):
    job = submitted(scheduler, answer)
    assert [schedulers.status(job) for _ in range(3)] == ["running"] * 3
    assert not (tmp_path / "cancelled").exists()


@pytest.mark.parametrize(("scheduler", "answer"), [(name, answer) for name in UNKNOWN for answer in UNKNOWN[name]])
def test_a_job_that_its_scheduler_does_not_know_has_failed_and_is_cancelled_before(
    submitted, tmp_path, capfd, scheduler, answer
):
    job = submitted(scheduler, answer)
    assert schedulers.status(job) == "failed"
    assert (tmp_path / "cancelled").read_text().split()[-1] == job.split("@")[0]
    assert capfd.readouterr().out == ""  # Snakemake reads the status there


def test_a_wrapper_that_is_told_to_stop_with_its_job_still_says_how_that_ended(site, tmp_path):
    site("local")
    job = schedulers.submit(job_script(tmp_path, "trap 'exit 143' TERM; touch started; sleep 3600 & wait"))
    wait_until((tmp_path / "started").exists, "the job is at work")
    os.killpg(int(job.split("@")[0]), signal.SIGTERM)
    assert outcome(job) == "failed"
    assert (tmp_path / f".snakemake/cluster/{job.split('@')[1]}.exit").read_text() == "143\n"


def test_a_job_that_ended_well_is_not_lost_when_its_scheduler_forgot_it(site, tmp_path):
    site("pbs", qsub="echo 5.head", qstat="exit 153")
    job = schedulers.submit(job_script(tmp_path))
    assert schedulers.status(job) == "running"  # gone, but not for long
    (tmp_path / f".snakemake/cluster/{job.split('@')[1]}.exit").write_text("0\n")
    assert schedulers.status(job) == "success"


@pytest.mark.parametrize("qsub", ["exit 1", "echo 'the queue is closed' >&2", "exit 0"])
def test_a_refused_submission_says_what_was_called(site, tmp_path, qsub):
    site("sge", qsub=qsub)
    with pytest.raises(SystemExit, match=r"qsub -terse .*no job number"):
        schedulers.submit(job_script(tmp_path))


def test_an_unknown_scheduler_is_named_with_the_known_ones(site, tmp_path):
    site("loadleveler")
    with pytest.raises(
        SystemExit, match=r"no table \[loadleveler\]; set scheduler to one of slurm, pbs, sge, lsf, local"
    ):
        schedulers.submit(job_script(tmp_path))
