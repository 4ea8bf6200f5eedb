"""The masks of a training: read before it by the eyes of all other readers, and equal to what it trains on."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image, PngImagePlugin

from builders import grey_png, jpeg_bytes
from networks import spec_of
from segrepro.data.masks import read_mask, write_mask, write_palette_mask
from segrepro.errors import UserError
from segrepro.stores.manifests import Example, write_manifest
from segrepro.training.augment import decode_mask
from segrepro.training.mask_check import check_masks
from training_setup import PROTOCOL, write_examples


@pytest.fixture
def examples(tmp_path) -> list[Example]:
    return write_examples(tmp_path)


def check(examples: list[Example]) -> None:
    check_masks(examples, "voc21", threads=2)


def test_good_masks_pass_whatever_the_rows_of_a_picture(examples):
    boxes = [replace(examples[0], box=box) for box in ((0, 0, 5, 5), (3, 3, 9, 9))]
    check([*examples, *boxes])


def sixteen_bit(path, mask):
    Image.fromarray(mask.astype(np.uint16) * 257).save(path)


def in_jpeg(path, mask):
    path.write_bytes(jpeg_bytes(mask))


FAULTS = {
    "sixteen bit": (sixteen_bit, "not a single-channel 8-bit PNG"),
    "palette": (write_palette_mask, "a palette or RGB mask would be read as colours"),
    "JPEG": (in_jpeg, "not a single-channel 8-bit PNG"),
    "other size": (lambda path, mask: write_mask(path, mask[:, :-1]), "the mask is 23x22 but its picture is 24x22"),
    "label": (lambda path, mask: write_mask(path, np.full_like(mask, 21)), "pixel value 21 is not in the label space"),
    "missing": (lambda path, mask: path.unlink(), "it is missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mask_that_other_readers_refuse_stops_a_training_by_name(examples, fault):
    write, words = FAULTS[fault]
    path = examples[2].mask
    write(path, read_mask(path))
    with pytest.raises(UserError, match=rf"2\.png: .*{words}"):
        check(examples)


def test_an_object_that_its_instance_mask_does_not_hold_is_refused(examples, tmp_path):
    """It would be trained as background alone."""
    instances = np.zeros_like(read_mask(examples[0].mask))
    instances[3:9, 3:9] = 1
    write_mask(tmp_path / "objects.png", instances)
    row = replace(examples[0], box=(0, 0, 9, 9), instance_mask=tmp_path / "objects.png", instance=1)
    check([row])
    with pytest.raises(UserError, match=r"objects\.png: holds no object 2"):
        check([row, replace(row, instance=2)])


def test_a_training_without_one_labelled_pixel_is_refused(examples):
    for example in examples[1:]:
        write_mask(example.mask, np.full_like(read_mask(example.mask), 255))
    check(examples)
    write_mask(examples[0].mask, np.full_like(read_mask(examples[0].mask), 255))
    with pytest.raises(UserError, match=r"0\.png and all other masks .* are void"):
        check(examples)


def test_train_refuses_before_it_builds_a_network(examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_palette_mask(examples[4].mask, read_mask(examples[4].mask))
    write_manifest(tmp_path / "m.csv", examples)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec_of({}, PROTOCOL).plain()))
    files = ["--model", "m.keras", "--history", "h.csv", "--checkpoints", "c"]
    # In a process of its own: in this one TensorFlow may be at work already, and takes no number of threads any more.
    command = [sys.executable, "-m", "segrepro", "train", "--spec", "spec.yaml", "--manifest", "m.csv", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "segrepro train: 4.png: not a single-channel" in done.stderr
    assert not any((tmp_path / file).exists() for file in files[1::2])


@pytest.mark.parametrize("kind", ["plain", "interlaced", "gamma", "transparent"])
def test_training_sees_the_values_that_read_mask_gives(tmp_path, kind):
    """TensorFlow decodes by libpng, which knows more of PNG than Pillow: none of it may touch a label."""
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    options = {}
    if kind == "gamma":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add(b"gAMA", (100000).to_bytes(4, "big"))
        options["pnginfo"].add(b"sBIT", b"\x05")
    if kind == "transparent":
        options["transparency"] = 3
    Image.fromarray(labels).save(tmp_path / "m.png", **options)
    if kind == "interlaced":
        (tmp_path / "m.png").write_bytes(grey_png(labels, interlaced=True))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), labels)
    np.testing.assert_array_equal(decode_mask(tf.constant(str(tmp_path / "m.png"))), labels)
