"""Shards of a CRF through the workflow, on drawn pictures and scores: seconds, no training."""

import numpy as np
import pytest
from PIL import Image

from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.scores import ScoreWriter
from workflow_runs import planned, snakemake

SYSTEM = "deeplabv3_phase2_ms_flip_crf"
STORE = f"results/scores/{SYSTEM}/voc_val.h5"
# What is below the CRF is there: nothing of it is made.
ONLY = ("--allowed-rules", "crf", "crf_shard", "gather_scores", "--cores", "2")


@pytest.fixture
def folder(tmp_path):
    """A working folder with a manifest of five pictures and the scores of the system below the CRF."""
    member, random, examples = tmp_path / "results/scores/deeplabv3_phase2_ms_flip", np.random.default_rng(0), []
    header = {"system": member.name, "label_space": "voc21", "kind": "logits", "resize": "legacy"}
    with ScoreWriter(member / "voc_val.h5", **header) as store:
        for number in range(5):
            picture = tmp_path / f"p{number}.png"
            Image.fromarray(random.integers(0, 256, (16, 20, 3), np.uint8)).save(picture)
            store.add(picture.stem, random.normal(size=(4, 5, 21)), size=(16, 20))
            examples.append(Example(picture.stem, picture))
    write_manifest(tmp_path / "data/sample/manifests/voc_val.csv", examples)
    return tmp_path


def test_shards_give_the_bytes_of_one_job_and_their_number_reruns_nothing(folder):
    done = snakemake(folder, STORE, *ONLY, "--set-scatter", "shards=2")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "3 of 3 jobs" in done.stdout
    assert [path.name for path in (folder / f"results/shards/{SYSTEM}").iterdir()] == ["voc_val.count"]
    assert planned(folder, STORE, *ONLY, overlay={"runtime": {"shards": 3}}) == {}
    changed = {"systems": {SYSTEM: {"crf": {"iterations": 3}}}}  # noticed, though the shards are gone
    assert planned(folder, STORE, *ONLY, overlay=changed) == {"crf_shard": 2, "gather_scores": 1}
    shared = (folder / STORE).read_bytes()
    (folder / STORE).unlink()
    (folder / f"results/shards/{SYSTEM}/voc_val.count").unlink()
    done = snakemake(folder, STORE, *ONLY)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 of 1 jobs" in done.stdout
    assert (folder / STORE).read_bytes() == shared
    assert planned(folder, STORE, *ONLY, overlay={"runtime": {"shards": 3}}) == {}
