"""The full-size networks on real pictures: two steps of training and one prediction, on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segrepro.cli import main
from segrepro.config import model_spec, parse_config
from segrepro.data.manifests import read_manifest, write_manifest
from segrepro.inference.scores import ScoreReader

SUBSET = os.environ.get("SEGREPRO_REAL_SUBSET", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path(SUBSET).is_dir() or not SUBSET, reason="set SEGREPRO_REAL_SUBSET to the real subset"),
]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """Four real pictures of VOC train."""
    folder = tmp_path_factory.mktemp("voc")
    archive = Path(SUBSET) / "VOCtrainval_11-May-2012.tar"
    main(["convert-voc", "--archive", str(archive), "--out", str(folder / "voc2012"), "--threads", "2"])
    main(["manifest", "voc_train", "--voc", str(folder / "voc2012"), "--out", str(folder / "all.csv")])
    write_manifest(folder / "four.csv", read_manifest(folder / "all.csv")[:4])
    return folder / "four.csv"


def segrepro(*arguments: object) -> None:
    """Run a verb in a process of its own, as the workflow does: the networks need gigabytes."""
    done = subprocess.run(
        [sys.executable, "-m", "segrepro", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["deeplabv3_trainaug", "deeplabv3plus_trainaug"])
def test_a_full_size_network_trains_two_steps_and_predicts(merged_config, manifest, tmp_path, name):
    spec = model_spec(parse_config(merged_config("full")), name) | {"init": None}
    assert spec["protocol"]["crop"] == 513
    spec["protocol"] |= {"steps": 2, "micro_batch": 1, "log_every": 1}
    segrepro("spec", "--json", json.dumps(spec), "--out", tmp_path / "spec.yaml")
    trained = [
        *("--spec", tmp_path / "spec.yaml", "--manifest", manifest, "--model", tmp_path / "model.keras"),
        *("--history", tmp_path / "history.csv", "--checkpoints", tmp_path / "checkpoints", "--threads", 2),
    ]
    segrepro("train", *trained)
    losses = [float(line.split(",")[2]) for line in (tmp_path / "history.csv").read_text().splitlines()[1:]]
    assert len(losses) == 2
    assert all(0 < loss < 20 for loss in losses)

    one = tmp_path / "one.csv"
    write_manifest(one, read_manifest(manifest)[:1])
    scores = tmp_path / "scores.h5"
    model = ("--model", tmp_path / "model.keras", "--spec", tmp_path / "spec.yaml")
    segrepro("predict", *model, "--manifest", one, "--system", name, "--out", scores, "--threads", 2)
    with ScoreReader(scores) as store:
        probabilities = store.probabilities(store.ids[0])
    assert probabilities.shape[-1] == 21
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-3)
