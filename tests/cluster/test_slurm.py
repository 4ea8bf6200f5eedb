"""The workflow on a real Slurm: a throw-away one of one node, started here as root and stopped again.

`python -m pytest -m slurm -rs`; skipped where Slurm (Debian: slurm-wlm, munge), its plugin or root is missing.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import pytest

from progress import PATIENCE, wait_until
from segrepro.gpus import PRETENDED
from workflow_runs import ROOT, TINY, command, snakemake

pytestmark = pytest.mark.slurm

NODE = Path(__file__).with_name("slurm_node.sh")
MODEL = "results/models/deeplabv3_trainaug"
# On VOC alone, and with a GPU for the training although the sample does without.
OVERLAY = TINY | {
    "models": TINY["models"] | {"deeplabv3_trainaug": {"dataset": "voc_train"}},
}
SLURM = (
    "--workflow-profile",
    str(ROOT / "profiles/slurm"),
    *("--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    *("--latency-wait", "10", "--max-threads", "2"),
)


def missing() -> str:
    """What a throw-away Slurm lacks here; empty where it can be started."""
    if os.getuid() != 0:
        return "not root"
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            return f"{program} is not installed (Debian: slurm-wlm, munge)"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "snakemake-executor-plugin-slurm is not installed"
    if Path("/etc/slurm/slurm.conf").exists():
        return "this machine has a Slurm of its own"
    return ""


@pytest.fixture(scope="module", autouse=True)
def slurm():
    if reason := missing():
        pytest.skip(f"no throw-away Slurm: {reason}")
    with pytest.MonkeyPatch.context() as patch:  # jobs inherit it: the GPUs are none, and nothing is tried on them
        patch.setenv(PRETENDED, "GPU 0: none (UUID: GPU-0)\nGPU 1: none (UUID: GPU-1)\n")
        yield from node()


def node():
    """Start the node, and stop it again."""
    folder = Path(tempfile.mkdtemp(prefix="segrepro-slurm-"))  # pytest's own folders are closed to others
    folder.chmod(0o755)
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin", "SLURM_NODE_GPUS": "2"}
    started = subprocess.run([NODE, "start", folder], capture_output=True, text=True, env=environment, check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield
    finally:
        subprocess.run([NODE, "stop", folder], env=environment, check=True)
        shutil.rmtree(folder)


# What squeue calls the columns of a job.
COLUMNS = {
    "id": "JobID",
    "name": "Name",
    "partition": "Partition",
    "state": "State",
    "memory": "MinMemory",
    "cores": "NumCPUs",
    "limit": "TimeLimit",
    "gpus": "tres-per-job",
    "rule": "Comment",
    "restarts": "RestartCnt",
}
WIDTH = 100


def jobs() -> list[dict[str, str]]:
    """All jobs that Slurm knows, ended ones too, in the order of their submission; those that are ending have ended."""
    listed = []

    def settled() -> bool:
        listed[:] = listed_jobs()
        return all(job["state"] != "COMPLETING" for job in listed)

    wait_until(settled, "jobs that are ending have ended", every=0.2)
    return listed


def listed_jobs() -> list[dict[str, str]]:
    """All jobs that Slurm knows, as they are at this moment."""
    columns = ",".join(f"{column}:{WIDTH}" for column in COLUMNS.values())
    listed = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--sort=i", f"--Format={columns}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        {key: line[k * WIDTH : (k + 1) * WIDTH].strip() for k, key in enumerate(COLUMNS)}
        for line in listed.stdout.splitlines()
    ]


def of_rule(rule: str) -> list[dict[str, str]]:
    return [job for job in jobs() if job["rule"].startswith(f"rule_{rule}_")]


@pytest.fixture(scope="module")
def checked_data(slurm, tmp_path_factory) -> Path:
    """A folder with data made and checked by jobs that the other profile submitted to the same Slurm."""
    folder = tmp_path_factory.mktemp("run")
    generic = ("--workflow-profile", str(ROOT / "profiles/cluster-generic"), "--max-threads", "2")
    done = snakemake(folder, "results/checks/voc_train.json", *generic, "--latency-wait", "10", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder


def test_the_profile_for_other_schedulers_runs_on_slurm_too(checked_data):
    submitted = {job["name"].rsplit("-", 1)[0]: job for job in jobs() if not job["rule"].startswith("rule_")}
    assert set(submitted) == {"sample_archives", "convert", "manifest", "check_labels"}
    assert {(job["partition"], job["state"]) for job in submitted.values()} == {("cpu", "COMPLETED")}
    assert (submitted["check_labels"]["memory"], submitted["check_labels"]["cores"]) == ("4000M", "1")
    assert submitted["sample_archives"]["cores"] == "2"  # the one rule of the sample that takes more than a core
    assert submitted["check_labels"]["limit"] == "2:00:00"


def test_a_cancelled_training_is_submitted_again_and_every_job_is_where_it_belongs(checked_data):
    """The training is cancelled once in its middle; the prediction is shared between two jobs."""
    folder = checked_data
    targets = ("results/scores/deeplabv3_trainaug/voc_val.h5", "results/checks/voc_val.json")
    resources = ("--set-resources", "train:gpu=1", "predict_shard:gpu=1", "--set-scatter", "shards=2")
    with (folder / "run.log").open("w") as log:
        call = command(folder, *targets, *SLURM, *resources, overlay=OVERLAY)
        run = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT)
        try:
            checkpoints = partial(folder.glob, f"{MODEL}/checkpoints/*/step_*.npz")
            wait_until(lambda: any(checkpoints()), "a checkpoint", process=run)
            subprocess.run(["scancel", of_rule("train")[0]["id"]], check=True)
            assert run.wait(timeout=PATIENCE) == 0, (folder / "run.log").read_text()[-5000:]
        finally:
            run.kill()
    assert all((folder / target).stat().st_size > 0 for target in (f"{MODEL}/model.keras", *targets))

    first, second = of_rule("train")
    assert (first["state"], first["memory"]) == ("CANCELLED", "16000M")
    assert (second["state"], second["memory"]) == ("COMPLETED", "32000M")
    assert "going on from step" in (folder / "results/logs/train/deeplabv3_trainaug.log").read_text()
    shards = of_rule("predict_shard")
    assert [job["state"] for job in shards] == ["COMPLETED"] * 2
    for job in (first, second, *shards):
        assert (job["partition"], job["gpus"]) == ("gpu", "gres:gpu:1")
    (gathered,) = of_rule("gather_scores")
    assert (gathered["partition"], gathered["gpus"], gathered["state"]) == ("cpu", "N/A", "COMPLETED")
    assert not list(folder.glob("results/shards/*/*/*.h5")), "shards are left beside their store"
    (checks,) = of_rule("check_labels")
    assert (checks["partition"], checks["gpus"], checks["state"]) == ("cpu", "N/A", "COMPLETED")
    assert not of_rule("spec"), "a local rule was submitted"


def small_workflow(folder: Path, rule: str) -> list[str]:
    """Return the command that runs a Snakefile of one rule on Slurm."""
    (folder / "Snakefile").write_text(rule)
    call = command(folder, *SLURM)
    call[call.index("--snakefile") + 1] = str(folder / "Snakefile")
    return call


def test_a_job_that_asks_for_two_gpus_is_one_process_that_gets_both(tmp_path):
    """The overlay of docs/cluster.md for MirroredStrategy: without tasks_per_gpu it would run twice."""
    call = small_workflow(
        tmp_path,
        'rule train:\n    output: "seen.txt"\n    resources: gpu=2, tasks_per_gpu=0, mem_mb=100, runtime=60\n'
        '    shell: "echo $CUDA_VISIBLE_DEVICES >> {output}"\n',
    )
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "seen.txt").read_text() == "0,1\n"


def test_a_preempted_job_is_queued_again_by_slurm_itself(tmp_path):
    """The plugin takes the state PREEMPTED for one that passes: without `slurm-requeue` it would wait for ever."""
    call = small_workflow(
        tmp_path,
        'rule preempted:\n    output: "done.txt"\n    resources: mem_mb=100, runtime=60\n'
        '    shell: "if [ -e started ]; then touch {output}; else touch started; sleep 3600; fi"\n',
    )
    with (tmp_path / "run.log").open("w") as log:
        run = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until((tmp_path / "started").exists, "the job is at work", process=run)
            urgent = ["sbatch", "--partition=urgent", "--exclusive", f"--output={tmp_path}/urgent.log", "--wrap=true"]
            subprocess.run(urgent, stdout=subprocess.DEVNULL, check=True)
            assert run.wait(timeout=PATIENCE) == 0, (tmp_path / "run.log").read_text()[-3000:]
        finally:
            run.kill()
    (job,) = [job for job in jobs() if job["rule"] == "rule_preempted"]
    assert job["state"] == "COMPLETED"
    assert int(job["restarts"]) == 1


def test_ctrl_c_cancels_what_was_submitted(tmp_path):
    call = small_workflow(
        tmp_path,
        'rule endless:\n    output: "never.txt"\n    resources: mem_mb=100, runtime=60\n'
        '    shell: "touch started; sleep 3600; touch {output}"\n',
    )
    # A shell starts what runs in its background deaf to Ctrl-C, and these tests may.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    run = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=listening)
    try:
        wait_until((tmp_path / "started").exists, "the job is at work", process=run)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=PATIENCE) != 0
    finally:
        run.kill()
    assert [job["state"] for job in jobs() if job["rule"] == "rule_endless"] == ["CANCELLED"]
    assert not (tmp_path / "never.txt").exists()
