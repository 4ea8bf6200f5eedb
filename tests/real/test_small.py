"""The small scale on real pictures: real numbers in three hours, and the whole of it at a hundredth of its steps."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from real_runs import cut_val
from segrepro.report.measured_on import NOTES, REMARKS
from segrepro.stores.manifests import read_manifest
from workflow_runs import FULL, ROOT, snakemake

FOLDERS = {
    "SEGREPRO_REAL_SUBSET": "VOCtrainval_11-May-2012.tar",
    "SEGREPRO_REAL_MORE": "benchmark.tgz",
    "SEGREPRO_REAL_WEIGHTS": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
}
MISSING = [name for name, file in FOLDERS.items() if not Path(os.environ.get(name, "/nonexistent"), file).is_file()]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FULL, reason="takes hours: make test-real"),
    pytest.mark.skipif(bool(MISSING), reason=f"set {', '.join(MISSING)} to the folders of docs/data.md"),
]


def run_of(folder: Path, *overlays) -> Path:
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=0", "--set-threads", "crf=2", overlay=[*overlays])
    assert done.returncode == 0, done.stdout[-5000:]
    return folder


def rows(run: Path, table: str) -> list[dict[str, str]]:
    with (run / f"results/small/tables/{table}.csv").open() as stream:
        return list(csv.DictReader(stream))


def assert_called_small(run: Path) -> None:
    assert REMARKS["small"] in (run / "results/small/report/index.html").read_text()
    assert NOTES["small"] in (run / "results/small/tables/miou.md").read_text()


# ---- numbers


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return run_of(tmp_path_factory.mktemp("small"), ROOT / "tests/real/small.yaml")


@pytest.fixture(scope="module")
def miou(trained) -> dict[str, float]:
    return {row["system"]: float(row["miou"]) for row in rows(trained, "miou")}


def test_an_hour_of_two_cores_reaches_25_miou_from_imagenet_weights_and_far_less_from_scratch(trained, miou):
    counts = np.zeros(256, np.int64)
    for example in read_manifest(trained / "data/manifests/voc_val.csv"):
        counts += np.bincount(np.asarray(Image.open(example.mask)).ravel(), minlength=256)
    all_background = 100 * counts[0] / counts[:21].sum() / np.count_nonzero(counts[:21])
    assert miou["deeplabv3_trainaug"] >= 25
    assert miou["deeplabv3plus_trainaug"] > 2 * all_background
    assert miou["deeplabv3_scratch"] < miou["deeplabv3_trainaug"] / 2


def test_vote_and_crf_lie_near_what_they_are_made_of(miou):
    members = [miou[name] for name in ("deeplabv3_trainaug", "deeplabv3_trainaug_ms_flip", "deeplabv3plus_trainaug")]
    assert min(members) - 0.5 < miou["vote"] < max(members) + 1.5
    assert abs(miou["vote_crf"] - miou["vote"]) < 3
    assert abs(miou["deeplabv3_trainaug_ms_flip_crf"] - miou["deeplabv3_trainaug_ms_flip"]) < 3


def test_no_system_has_seen_a_picture_of_val(trained):
    assert {(row["split"], row["scored"], row["leaked"]) for row in rows(trained, "leakage")} == {
        ("voc_val", "222", "0")
    }
    assert_called_small(trained)


# ---- the whole scale


def hundredth() -> dict:
    """Return an overlay with a hundredth of each protocol's steps."""
    small = yaml.safe_load((ROOT / "workflow/scales/small.yaml").read_text())["protocols"]
    full = yaml.safe_load((ROOT / "config.yaml").read_text())["protocols"]
    steps = {name: small.get(name, {}).get("steps") or protocol["steps"] for name, protocol in full.items()}
    protocols = {name: {"steps": max(count // 100, 1), "log_every": 1} for name, count in steps.items()}
    for name in protocols:
        if name.startswith("deconvnet"):
            protocols[name] |= {"batch_norm_passes": 1}
    return {"protocols": protocols}


def test_the_whole_small_scale_runs_through_to_its_page(tmp_path, monkeypatch):
    folder = tmp_path / "subset"
    kept = cut_val(Path(os.environ["SEGREPRO_REAL_SUBSET"]), folder, every=8)
    monkeypatch.setenv("SEGREPRO_REAL_SUBSET", str(folder))
    counts = {"voc_val": kept, "voc_trainval": 437 + kept}
    datasets = {name: {"pictures": count, "min_classes": 5} for name, count in counts.items()}
    datasets |= {"seg11valid": {"min_classes": 5}}
    run = run_of(tmp_path / "run", ROOT / "tests/real/small_whole.yaml", hundredth(), {"datasets": datasets})
    assert_called_small(run)
    measured = {row["system"]: row for row in rows(run, "miou")}
    assert {"fcn8s", "edeconvnet", "deeplabv3_coco90", "stacking_learned", "stacking_mean_crf"} <= measured.keys()
    assert {row["system"] for row in rows(run, "ablation")} <= measured.keys()
    # whoever trains on voc_val is marked, and whoever is made of that
    leaking = {row["system"] for row in rows(run, "leakage") if float(row["share"]) == 100}
    assert leaking == {"deeplabv3plus_trainval", "stacking_vote", "stacking_vote_crf"}
