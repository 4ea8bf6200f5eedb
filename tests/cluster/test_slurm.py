"""The workflow on a real Slurm: a throw-away one of one node, started here as root and stopped again.

`python -m pytest -m slurm -rs`; skipped where Slurm (Debian: slurm-wlm, munge), its plugin or root is missing.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from workflow_runs import ROOT, TINY, command, snakemake

pytestmark = pytest.mark.slurm

NODE = Path(__file__).with_name("slurm_node.sh")
MODEL = "results/models/deeplabv3_trainaug"
# On VOC alone, and with a GPU for the training although the sample does without.
OVERLAY = TINY | {
    "models": TINY["models"] | {"deeplabv3_trainaug": {"dataset": "voc_train"}},
    "protocols": {"deeplabv3_report": TINY["protocols"]["deeplabv3_report"] | {"steps": 120}},
}
PATIENCE = 300  # seconds, of a busy machine
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


def jobs() -> list[dict[str, str]]:
    """All jobs that Slurm knows, ended ones too, in the order of their submission."""
    fields = {
        "id": "%i",
        "name": "%j",
        "partition": "%P",
        "state": "%T",
        "memory": "%m",
        "cores": "%C",
        "limit": "%l",
        "rule": "%k",
    }
    listed = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--sort=i", "--format=" + "|".join(fields.values())],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [dict(zip(fields, line.split("|"), strict=True)) for line in listed.stdout.splitlines()]
    for row in rows:
        shown = subprocess.run(["scontrol", "show", "job", row["id"]], capture_output=True, text=True, check=True)
        row["gpus"] = shown.stdout.split("gres/gpu=")[1][0] if "gres/gpu=" in shown.stdout else "0"
    return rows


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
    assert set(submitted) == {"sample_archives", "convert_voc2012", "manifest", "check_labels"}
    assert {(job["partition"], job["state"]) for job in submitted.values()} == {("cpu", "COMPLETED")}
    assert (submitted["check_labels"]["memory"], submitted["check_labels"]["cores"]) == ("4000M", "2")
    assert submitted["check_labels"]["limit"] == "2:00:00"


def test_a_cancelled_training_is_submitted_again_and_every_job_is_where_it_belongs(checked_data):
    """The training is cancelled once in its middle, as by a preemption."""
    folder, targets = checked_data, (f"{MODEL}/model.keras", "results/scores/deeplabv3_trainaug/voc_val.h5")
    resources = ("--set-resources", "train:gpu=1", "predict:gpu=1")
    with (folder / "run.log").open("w") as log:
        call = command(folder, *targets, *SLURM, *resources, overlay=OVERLAY)
        run = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT)
        try:
            give_up = time.monotonic() + PATIENCE
            while not list(folder.glob(f"{MODEL}/checkpoints/*/step_*.npz")):
                assert time.monotonic() < give_up, "no checkpoint was written"
                assert run.poll() is None, (folder / "run.log").read_text()[-3000:]
                time.sleep(0.1)
            subprocess.run(["scancel", of_rule("train")[0]["id"]], check=True)
            assert run.wait(timeout=PATIENCE) == 0, (folder / "run.log").read_text()[-5000:]
        finally:
            run.kill()
    assert all((folder / target).stat().st_size > 0 for target in targets)

    first, second = of_rule("train")
    assert (first["state"], first["memory"]) == ("CANCELLED", "16000M")
    assert (second["state"], second["memory"]) == ("COMPLETED", "32000M")
    assert "going on from step" in (folder / "results/logs/train/deeplabv3_trainaug.log").read_text()
    for job in (first, second, *of_rule("predict")):
        assert (job["partition"], job["gpus"]) == ("gpu", "1")
    (manifest,) = of_rule("manifest")
    assert (manifest["partition"], manifest["gpus"], manifest["state"]) == ("cpu", "0", "COMPLETED")
    assert not of_rule("spec"), "a local rule was submitted"


def test_a_job_that_asks_for_two_gpus_is_one_process_that_gets_both(tmp_path):
    """The overlay of docs/cluster.md for MirroredStrategy: without tasks_per_gpu it would run twice."""
    (tmp_path / "Snakefile").write_text(
        'rule train:\n    output: "seen.txt"\n    resources: gpu=2, tasks_per_gpu=0, mem_mb=100, runtime=5\n'
        '    shell: "echo $CUDA_VISIBLE_DEVICES >> {output}"\n'
    )
    call = command(tmp_path, *SLURM)
    call[call.index("--snakefile") + 1] = str(tmp_path / "Snakefile")
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "seen.txt").read_text() == "0,1\n"
