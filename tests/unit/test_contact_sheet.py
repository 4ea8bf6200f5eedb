"""The contact sheet: examples as the network sees them, chosen evenly, the same bytes every time."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from builders import jpeg_bytes, picture, scene
from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.labels import VOC21, VOID, voc_palette
from segrepro.report import contact_sheet
from segrepro.report.contact_sheet import Tile, choose_examples, example_labels, load_tile, main_label, painted
from segrepro.stores.manifests import Example, write_manifest


@pytest.fixture
def examples(tmp_path):
    """A row each for the objects of 12 pictures: a person and a car in all, a boat in the last alone."""
    rows = []
    for index in range(12):
        labels = (15, 7, 4) if index == 11 else (15, 7)
        mask, instances = scene(*labels)
        id = f"p{index:02}"
        (tmp_path / f"{id}.jpg").write_bytes(jpeg_bytes(picture(index)))
        Image.fromarray(mask).save(tmp_path / f"{id}.png")
        Image.fromarray(instances).save(tmp_path / f"{id}-objects.png")
        files = (tmp_path / f"{id}.jpg", tmp_path / f"{id}.png")
        for number in range(1, len(labels) + 1):
            left = 32 // len(labels) * (number - 1)
            box = (left - 2, -2, left + 16, 22)
            rows.append(Example(id, *files, box, tmp_path / f"{id}-objects.png", number))
    return rows


def test_an_instance_teaches_itself_alone_and_keeps_void(examples):
    first = replace(examples[0], box=(0, 0, 32, 24))
    mask, instances = scene(15, 7)
    labels = example_labels(first, VOC21)
    assert np.array_equal(labels == VOID, mask == VOID)
    assert np.array_equal(labels == 15, instances == 1)
    assert 7 not in labels


def test_without_an_instance_all_labels_are_taught(examples):
    whole = replace(examples[0], box=(-1, 0, 33, 24), instance_mask=None, instance=None)
    labels = example_labels(whole, VOC21)
    assert np.array_equal(labels[:, 1:-1], scene(15, 7)[0])
    assert np.all(labels[:, [0, -1]] == VOID)


def test_a_tile_is_the_padded_box_at_the_networks_size(examples):
    tile = load_tile(examples[0], VOC21, 36)
    assert tile.picture.shape == (36, 36, 3)
    assert tile.label == 15
    # The box is 18 x 24 and starts 2 pixels left of and above the picture: 4 columns, 3 rows of the tile are padding.
    assert not tile.picture[:2].any()
    assert not tile.picture[:, :3].any()
    assert np.all(tile.labels[:3] == VOID)
    assert np.all(tile.labels[:, :4] == VOID)
    assert np.all(tile.labels[3, 4:] == 0)


def test_a_tile_is_what_training_cuts_out(examples):
    from segrepro.training.boxes import resized_box, single_object

    example = replace(examples[1], box=(11, -3, 45, 30))
    mask, instances = (np.array(Image.open(path)) for path in (example.mask, example.instance_mask))
    rgb, alone = np.array(Image.open(example.image)), single_object(mask, instances, example.instance)
    expected, labels = resized_box(rgb, alone, example.box, 50)
    tile = load_tile(example, VOC21, 50)
    np.testing.assert_array_equal(tile.labels, labels)
    np.testing.assert_allclose(tile.picture, expected, atol=1)


def test_the_main_label_is_the_most_frequent_object():
    assert main_label(np.array([0, 0, 0, 255, 255, 3, 3, 9], np.uint8)) == 3
    assert main_label(np.array([0, 255], np.uint8)) == 0


def test_painting_tints_objects_hatches_void_and_leaves_background_alone():
    labels = np.zeros((60, 60), np.uint8)
    labels[20:40, 20:40], labels[:10] = 15, VOID
    grey = np.full((60, 60, 3), 100, np.uint8)
    sheet = painted(Tile("p", 15, grey, labels))
    assert np.all(sheet[50:] == 100)
    assert np.array_equal(sheet[30, 30], np.rint((100 + voc_palette()[15].astype(float)) / 2))
    assert np.array_equal(sheet[20, 20], voc_palette()[15])
    assert len(np.unique(sheet[:10].reshape(-1, 3), axis=0)) == 2


def drawn(examples, count, *, seed=0):
    places = contact_sheet.by_lot(len(examples), seed=seed)
    return choose_examples([examples[place] for place in places], VOC21, count)


def test_examples_are_chosen_evenly_over_the_classes_by_lot(examples):
    chosen = drawn(examples, 9, seed=1)
    assert Counter(row.instance for row in chosen)[3] == 1
    labels = [main_label(example_labels(row, VOC21)) for row in chosen]
    assert labels == sorted(labels)
    assert Counter(labels) == {4: 1, 7: 4, 15: 4}
    assert drawn(examples, 9, seed=1) == chosen
    assert drawn(examples, 9, seed=2) != chosen


def test_fewer_examples_than_tiles_are_all_chosen(examples):
    assert sorted(drawn(examples, 99)) == sorted(examples)


def test_the_search_for_rare_classes_ends(examples, monkeypatch):
    monkeypatch.setattr(contact_sheet, "EXAMPLES_SEARCHED", 3)
    assert len(drawn(examples, 9)) == 3


def test_the_sheet_is_the_same_every_time(examples, tmp_path):
    write_manifest(tmp_path / "stage1.csv", examples)
    files = ["--manifest", str(tmp_path / "stage1.csv"), "--rows", "2", "--columns", "3", "--size", "50"]
    for name in ("1.png", "2.png"):
        main(["figure", "examples", *files, "--out", str(tmp_path / name)])
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    with Image.open(tmp_path / "1.png") as sheet:
        assert sheet.width == 1750


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": None}, r"picture 'p00' has no box"),
        ({"mask": None}, r"picture 'p00' has no mask"),
        ({"box": (32, 0, 40, 9)}, r"p00\.jpg: the box 32,0,40,9 lies outside the 32 x 24 picture"),
    ],
)
def test_what_cannot_be_drawn_is_refused(examples, change, message):
    with pytest.raises(UserError, match=message):
        choose_examples([replace(examples[0], **change)], VOC21, 4)


def test_files_that_do_not_fit_are_refused(examples, tmp_path):
    Image.new("L", (3, 4)).save(tmp_path / "p00-objects.png")
    with pytest.raises(UserError, match=r"p00-objects\.png: the mask is 3 x 4 pixels and its picture 32 x 24"):
        load_tile(examples[0], VOC21, 10)
    (tmp_path / "p01.jpg").write_bytes(jpeg_bytes(picture(height=32, width=32)))
    with pytest.raises(UserError, match=r"p01\.png: the mask is 32 x 24 pixels and its picture 32 x 32"):
        load_tile(examples[2], VOC21, 10)


@pytest.mark.parametrize("option", ["--rows", "--columns", "--size"])
def test_a_sheet_of_nothing_is_refused(examples, tmp_path, option):
    write_manifest(tmp_path / "m.csv", examples)
    with pytest.raises(SystemExit, match=f"figure examples: {option} is 0; give"):
        main(
            ["figure", "examples", "--manifest", str(tmp_path / "m.csv"), "--out", str(tmp_path / "x.png"), option, "0"]
        )
