"""Real VOC, SBD and COCO pictures through the whole chain: archives to tables, in some ten minutes on two cores."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segrepro.data.manifests import read_manifest
from segrepro.report.measured_on import NOTES, REMARKS
from workflow_runs import ROOT, snakemake

SUBSET = os.environ.get("SEGREPRO_REAL_SUBSET", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path(SUBSET).is_dir() or not SUBSET, reason="set SEGREPRO_REAL_SUBSET to the real subset"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    done = snakemake(folder, "--cores", "2", "--set-threads", "crf=2", overlay=ROOT / "tests/real/config.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    return folder


def all_background_miou(run: Path) -> float:
    """The mIoU, in percent, of an answer that is background everywhere, over the classes of voc_val."""
    counts = np.zeros(256, np.int64)
    for example in read_manifest(run / "data/sample/manifests/voc_val.csv"):
        counts += np.bincount(np.asarray(Image.open(example.mask)).ravel(), minlength=256)
    present = np.count_nonzero(counts[:21])
    return 100 * counts[0] / counts[:21].sum() / present


def test_a_small_network_learns_more_than_background(run):
    with (run / "results/tables/miou.csv").open() as stream:
        row = next(row for row in csv.DictReader(stream) if row["system"] == "deeplabv3_trainaug")
    assert int(row["pictures"]) == 222
    assert int(row["classes"]) == 17
    assert float(row["miou"]) > 1.3 * all_background_miou(run)


def test_trainaug_takes_no_picture_of_val(run):
    names = {
        name: {example.id for example in read_manifest(run / f"data/sample/manifests/{name}.csv")}
        for name in ("voc_train", "voc_val", "trainaug")
    }
    assert names["voc_train"] < names["trainaug"]
    assert not names["trainaug"] & names["voc_val"]
    assert len(names["trainaug"]) == 637  # 437 of VOC train and 200 of SBD outside VOC


def test_coco_masks_hold_what_the_names_say(run):
    for name, pictures in (("coco20", 62), ("coco90", 80), ("coco20_val", 60), ("coco90_val", 79)):
        checks = json.loads((run / f"results/checks/{name}.json").read_text())
        assert checks["pictures"] == pictures
        assert 0.5 < checks["background_share"] < 0.9


def test_nothing_calls_the_real_pictures_generated(run):
    """This config is laid over the sample scale, whose own pictures are."""
    page = (run / "results/report/index.html").read_text()
    assert REMARKS["real_sample"] in page
    assert not (run / "results/figures/sample.png").exists()
    for text in (page, *(path.read_text() for path in (run / "results/tables").rglob("*.md"))):
        assert "generated" not in text.lower()
    assert NOTES["real_sample"] in (run / "results/tables/miou.md").read_text()
