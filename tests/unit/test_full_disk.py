"""A disk that fills up: one sentence with file and space, nothing half-written, and the next run goes on.

The quick tests limit the size of a file (RLIMIT_FSIZE); those marked `faults` train, or fill a small disk, which root
mounts.
"""

import os
import re
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from builders import scene, write_voc_tar
from segrepro.config import model_spec, parse_config
from segrepro.files import atomic_path, full_disk_named, scratch_folder
from workflow_runs import TINY

SEGREPRO = [sys.executable, "-B", "-m", "segrepro"]
IDS = ["2007_000001", "2007_000002"]


def segrepro(folder, *arguments, largest_file=None):
    """Run a verb in a folder, with a limit on the bytes of a file."""

    def limit():
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    call = [*SEGREPRO, *map(str, arguments)]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False, preexec_fn=limit)


def assert_one_sentence(done, pattern):
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert re.match(rf"segrepro \S+: .*{pattern}", done.stderr.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A small VOC archive with a noisy picture, the folder it is converted to, and a file to fetch."""
    folder = tmp_path_factory.mktemp("inputs")
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    pictures = {IDS[0]: noise, IDS[1]: noise[:, ::-1]}
    scenes = {id: scene(1, 2, height=64, width=80) for id in IDS}
    lists = {"train": IDS[:1], "val": IDS[1:], "trainval": IDS}
    write_voc_tar(folder / "voc.tar", pictures, scenes, lists)
    done = segrepro(folder, "convert", "voc2012", "--archives", "voc.tar", "--out", "voc", "--threads", "1")
    assert done.returncode == 0, done.stderr
    (folder / "file.bin").write_bytes(bytes(range(256)) * 400)
    return folder


def jobs(inputs):
    """Verbs with what they write, and a size that the largest of their files does not keep to."""
    return {
        "download": (["fetch", "--url", (inputs / "file.bin").as_uri(), "--out", "copy.bin"], "copy.bin", 50_000),
        "conversion": (
            ["convert", "voc2012", "--archives", inputs / "voc.tar", "--out", "voc", "--threads", "2"],
            "voc",
            4000,
        ),
        "manifest": (["manifest", "voc_val", "--voc", inputs / "voc", "--out", "val.csv"], "val.csv", 10),
    }


@pytest.mark.parametrize("job", ["download", "conversion", "manifest"])
def test_a_file_that_may_not_grow_is_one_sentence_and_the_next_run_goes_on(inputs, tmp_path, job):
    call, made, limit = jobs(inputs)[job]
    assert_one_sentence(segrepro(tmp_path, *call, largest_file=limit), rf"{made}.*File too large")
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("copy.bin.partial")]
    again = segrepro(tmp_path, *call)
    assert again.returncode == 0, again.stderr
    assert [path.name for path in tmp_path.iterdir()] == [made]


def test_a_full_disk_names_the_file_and_the_space(tmp_path):
    def fill():
        with atomic_path(tmp_path / "a.csv") as file:
            file.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"a\.csv") as caught:
        fill()
    assert re.fullmatch(r"No space left on device \([\d,.]+ MB are free\)", caught.value.strerror)
    assert caught.value.filename == str(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(OSError, match="other") as caught, full_disk_named(tmp_path / "a.csv"):
        raise OSError(5, "Input/output error", "other")
    assert caught.value.filename == "other"


def test_a_scratch_folder_goes_with_its_block(tmp_path):
    with scratch_folder(tmp_path / "made" / "a.h5") as folder:
        (folder / "part").write_text("x")
    assert list((tmp_path / "made").iterdir()) == []


# --- a disk that is really full


@pytest.fixture
def disk(tmp_path):
    """Return a function that mounts a disk of so many kB, or gives it another size."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()

    def sized(kilobytes):
        again = "remount," if place.is_mount() else ""
        mount = ["mount", "-t", "tmpfs", "-o", f"{again}size={kilobytes}k", "tmpfs", str(place)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this machine mounts no disk ({done.stderr.strip()})")
        return place

    yield sized
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.faults
@pytest.mark.parametrize("job", ["download", "conversion", "manifest"])
def test_a_full_disk_is_one_sentence_and_with_space_the_run_goes_on(inputs, disk, job):
    call, made, _ = jobs(inputs)[job]
    place = disk(8)
    (place / "filling").write_bytes(bytes(8192 if job == "manifest" else 0))
    done = segrepro(place, *call)
    assert_one_sentence(done, r"(No space left on device \(0\.0 MB are free\)|are still needed)")
    assert [path.name for path in place.iterdir()] == ["filling"]
    disk(1000)
    again = segrepro(place, *call)
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in place.iterdir()) == sorted(["filling", made])


@pytest.fixture
def training(tmp_path, merged_config):
    """A function that trains a tiny model for four steps, into a folder."""
    from training_setup import write_examples  # TensorFlow, which few tests here need

    spec = model_spec(parse_config(merge(merged_config(), TINY)), "deeplabv3_trainaug")
    protocol = spec.protocol.model_copy(update={"steps": 4, "micro_batch": 2})
    spec = spec.model_copy(update={"protocol": protocol})
    examples = write_examples(tmp_path)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec.plain()))
    rows = [f"{e.id},{e.image.name},{e.mask.name}\n" for e in examples]
    (tmp_path / "list.csv").write_text("id,image,mask\n" + "".join(rows))

    def train(folder, *, largest_file=None):
        call = ["train", "--spec", "spec.yaml", "--manifest", "list.csv", "--model", folder / "model.keras"]
        call += ["--history", folder / "history.csv", "--checkpoints", folder / "checkpoints"]
        return segrepro(tmp_path, *call, "--checkpoint-every", "1", largest_file=largest_file)

    return train


def assert_same_training(folder, whole):
    for name in ("model.keras", "history.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.faults
def test_a_checkpoint_or_a_model_that_may_not_grow_is_one_sentence_and_the_training_goes_on(training, tmp_path):
    """As on a full disk, and without root."""
    whole, limited = tmp_path / "whole", tmp_path / "limited"
    assert training(whole).returncode == 0

    def refused(file, size):
        done = training(limited, largest_file=size - 1)
        assert_one_sentence(done, rf"{file}: File too large")
        assert not [path for path in limited.rglob("*") if ".partial" in path.name]
        assert not (limited / "model.keras").exists()

    refused(r"step_000000001\.npz", min(path.stat().st_size for path in whole.rglob("step_*.npz")))
    assert not list(limited.rglob("*.npz"))
    # The checkpoints are larger than the model: with all of them here, the model is the largest file yet to be written.
    shutil.rmtree(limited)
    shutil.copytree(whole / "checkpoints", limited / "checkpoints")
    refused(r"model\.keras", (whole / "model.keras").stat().st_size)
    again = training(limited)
    assert again.returncode == 0, again.stderr
    assert_same_training(limited, whole)


@pytest.mark.faults
def test_a_training_on_a_full_disk_goes_on_from_its_last_checkpoint(disk, training, tmp_path):
    assert training(tmp_path / "whole").returncode == 0
    size = max(path.stat().st_size for path in (tmp_path / "whole").rglob("step_*.npz")) // 1024
    place = disk(int(2.5 * size))
    assert_one_sentence(training(place), r"step_000000003\.npz: No space left on device .* are free")
    assert sorted(path.name for path in place.rglob("*.npz")) == ["step_000000001.npz", "step_000000002.npz"]
    assert not (place / "model.keras").exists()
    disk(10 * size)
    again = training(place)
    assert again.returncode == 0, again.stderr
    assert "going on from step 2 of 4" in again.stderr
    assert_same_training(place, tmp_path / "whole")


def merge(base, overlay):
    """Lay one mapping over another, deeply."""
    for key, value in overlay.items():
        base[key] = merge(base.get(key) or {}, value) if isinstance(value, dict) else value
    return base
