"""Report 1's networks on real pictures, from VGG16 weights of a local file: archives to tables, in an hour.

There is no short form: in less, nothing is learnt that could be told from background.
"""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from real_runs import assert_called_real
from segrepro.stores.manifests import read_manifest
from workflow_runs import FULL, ROOT, snakemake

SUBSET = os.environ.get("SEGREPRO_REAL_SUBSET", "")
VGG16 = os.environ.get("SEGREPRO_VGG16", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FULL, reason="takes an hour: make test-real"),
    pytest.mark.skipif(not SUBSET or not Path(SUBSET).is_dir(), reason="set SEGREPRO_REAL_SUBSET to the real subset"),
    pytest.mark.skipif(not VGG16 or not Path(VGG16).is_file(), reason="set SEGREPRO_VGG16 to Keras' VGG16, .h5"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report1")
    done = snakemake(
        folder,
        "--cores",
        "2",
        "--resources",
        "gpu=1",
        "--set-threads",
        "crf=2",
        overlay=ROOT / "tests/real/report1.yaml",
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return folder


@pytest.fixture(scope="module")
def miou(run) -> dict[str, float]:
    """System -> mIoU on voc_val, in percent."""
    with (run / "results/tables/miou.csv").open() as stream:
        return {row["system"]: float(row["miou"]) for row in csv.DictReader(stream) if row["split"] == "voc_val"}


def ids(run: Path, name: str) -> set[str]:
    return {example.id for example in read_manifest(run / f"data/sample/manifests/{name}.csv")}


@pytest.fixture(scope="module")
def all_background(run) -> float:
    """The mIoU, in percent, of an answer that is background everywhere, over the classes of voc_val."""
    counts = np.zeros(256, np.int64)
    for example in read_manifest(run / "data/sample/manifests/voc_val.csv"):
        counts += np.bincount(np.asarray(Image.open(example.mask)).ravel(), minlength=256)
    return 100 * counts[0] / counts[:21].sum() / np.count_nonzero(counts[:21])


def test_nothing_trains_on_val(run):
    assert len(ids(run, "trainaug")) == 637
    assert not ids(run, "trainaug") & ids(run, "voc_val")


def test_fcn_8s_learns_the_classes(miou):
    assert miou["fcn8s_vgg16"] >= 10


def test_fcn_8s_from_vgg16_is_above_the_same_network_from_scratch(miou):
    assert miou["fcn8s_vgg16"] > miou["fcn8s_scratch"]


def test_deconvnet_from_vgg16_is_above_the_same_network_from_scratch(miou):
    assert miou["deconvnet_stage1"] > miou["deconvnet_stage1_scratch"]  # measured: 4.35 and 4.21, after 500 steps


def test_the_crfs_say_which_way_they_went(run):
    with (run / "results/tables/crf.csv").open() as stream:
        gains = {row["system"]: row for row in csv.DictReader(stream)}
    assert set(gains) == {"fcn8s_vgg16_crf", "edeconvnet_crf", "vote_crf"}
    for row in gains.values():
        clear = float(row["p_holm"]) < 0.05
        assert row["verdict"] == ("unclear" if not clear else "better" if float(row["gain"]) > 0 else "worse")


@pytest.mark.parametrize("stage", ["deconvnet_stage1", "deconvnet_stage2"])
def test_deconvnet_learns_more_than_background(miou, all_background, stage):
    assert miou[stage] > all_background


@pytest.mark.parametrize("model", ["deconvnet_stage1", "deconvnet_stage2"])
def test_both_stages_have_examples_of_every_class_that_trainaug_holds(run, model):
    with (run / f"results/tables/examples/{model}.csv").open() as stream:
        examples = {row["class"]: int(row["examples"]) for row in csv.DictReader(stream)}
    total = examples.pop("total")
    assert sum(examples.values()) == total
    assert {name for name, count in examples.items() if not count} == {"aeroplane", "bus", "train"}


def test_proposals_find_most_objects(run):
    with (run / "results/tables/proposals/selective_search_voc_val.csv").open() as stream:
        recall = {(row["proposals"], row["iou"]): float(row["recall"]) for row in csv.DictReader(stream)}
    assert recall["2000", "0.5"] > 0.7  # 0.85 on 40 of the pictures
    assert recall["50", "0.5"] < recall["500", "0.5"] < recall["2000", "0.5"]


def test_nothing_calls_the_real_pictures_generated(run):
    assert_called_real(run)
