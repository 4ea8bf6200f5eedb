"""The full-size networks on real pictures: two steps of training each, on a CPU, and predictions of the DeepLabs.

In the short form networks and protocols are the same, but pictures and crops have a third or a quarter of the side.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segrepro.cli import main
from segrepro.config import model_spec, parse_config
from segrepro.config.spec import ModelSpec
from segrepro.data.training_sets import instance_mask_path
from segrepro.stores.manifests import read_manifest, write_manifest
from segrepro.stores.scores import ScoreReader
from workflow_runs import FULL

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
    main(["convert", "voc2012", "--archives", str(archive), "--out", str(folder / "voc2012"), "--threads", "2"])
    main(["manifest", "voc_train", "--voc", str(folder / "voc2012"), "--out", str(folder / "all.csv")])
    four = read_manifest(folder / "all.csv")[:4]
    if not FULL:
        for path in (path for e in four for path in (e.image, e.mask, instance_mask_path(e))):
            with Image.open(path) as whole:
                small = whole.resize((whole.width // 3, whole.height // 3), Image.Resampling.NEAREST)
            small.save(path, quality=95)
    write_manifest(folder / "four.csv", four)
    return folder / "four.csv"


MEMORY_GB = 14  # resident, of one training; a machine of 24 GB has it beside the page cache


def segrepro(*arguments: object, log: Path) -> float:
    """Run a verb in a process of its own, as the workflow does, and return its peak of memory, in GB."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "segrepro", *map(str, arguments)], stdout=stream, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, log.read_text()[-2000:]
    return usage.ru_maxrss / 1e6  # Linux counts in kB


def train_two_steps(spec: ModelSpec, manifest: Path, folder: Path) -> list[float]:
    """Train by the command line, from random weights, and return the losses."""
    spec = changed(spec, steps=2, log_every=1).model_copy(update={"init": None})
    segrepro("spec", "--json", spec.content(), "--out", folder / "spec.yaml", log=folder / "log")
    trained = [
        *("--spec", folder / "spec.yaml", "--manifest", manifest, "--model", folder / "model.keras"),
        *("--history", folder / "history.csv", "--checkpoints", folder / "checkpoints", "--threads", 2),
    ]
    assert segrepro("train", *trained, log=folder / "log") < MEMORY_GB
    losses = [float(line.split(",")[2]) for line in (folder / "history.csv").read_text().splitlines()[1:]]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    return losses


def changed(spec: ModelSpec, **changes: object) -> ModelSpec:
    """The spec with other values in its protocol."""
    return spec.model_copy(update={"protocol": spec.protocol.model_copy(update=changes)})


@pytest.mark.parametrize("name", ["deeplabv3_trainaug", "deeplabv3plus_trainaug"])
def test_a_full_size_network_trains_two_steps_and_predicts(merged_config, manifest, tmp_path, name):
    spec = model_spec(parse_config(merged_config("full")), name)
    assert spec.protocol.crop == 513
    spec = changed(spec, micro_batch=1, crop=513 if FULL else 129)
    assert all(0 < loss < 20 for loss in train_two_steps(spec, manifest, tmp_path))

    one = tmp_path / "one.csv"
    write_manifest(one, read_manifest(manifest)[:1])
    scores = tmp_path / "scores.h5"
    model = ("--model", tmp_path / "model.keras", "--spec", tmp_path / "spec.yaml", "--manifest", one)
    segrepro("predict", *model, "--system", name, "--out", scores, "--threads", 2, log=tmp_path / "log")
    with ScoreReader(scores) as store:
        probabilities = store.probabilities(store.ids[0])
    assert probabilities.shape[-1] == 21
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-3)


@pytest.mark.parametrize("name", ["fcn32s", "fcn8s_at_once", "fcn32s_normalised"])
def test_a_full_size_fcn_trains_two_steps_as_published(merged_config, manifest, tmp_path, name):
    """Whole pictures padded by 100, the loss summed, momentum 0.99; or two pictures of the ten in squares of 500."""
    spec = model_spec(parse_config(merged_config("full")), name)
    assert spec.network.input_padding == 100
    whole = (spec.protocol.crop, spec.protocol.loss_normalisation, spec.protocol.momentum)
    if name == "fcn32s_normalised":
        assert whole == (500, "valid", 0.9)
        spec = changed(spec, accumulation=2, crop=500 if FULL else 167)
    else:
        assert whole == (None, "none", 0.99)
    losses = train_two_steps(spec, manifest, tmp_path)
    # Scores start at zero. The next loss is high: VGG's random features are far larger than trained ones.
    assert losses[0] == pytest.approx(math.log(21), abs=1e-4)


def test_a_full_size_deconvnet_trains_two_steps_on_boxes(merged_config, manifest, tmp_path):
    spec = model_spec(parse_config(merged_config("full")), "deconvnet_stage1")
    boxes = tmp_path / "boxes.csv"
    main(
        [
            "training-set",
            "objects",
            "--manifest",
            str(manifest),
            "--out",
            str(boxes),
            "--counts",
            str(tmp_path / "counts.csv"),
        ]
    )
    assert read_manifest(boxes)[0].box is not None
    small = {"micro_batch": 2, "accumulation": 1, "batch_norm_passes": 1, "batch_norm_batch": 2}
    assert all(0 < loss < 20 for loss in train_two_steps(changed(spec, **small), boxes, tmp_path))
