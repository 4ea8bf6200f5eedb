"""Label checks: a sound set passes, and each known accident stops by name before anything trains."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segrepro.cli import main
from segrepro.config.data import DatasetChecks, LabelChecks
from segrepro.data.checks import check_manifest, check_statistics
from segrepro.data.label_statistics import LabelStatistics, measure, measure_picture
from segrepro.errors import UserError
from segrepro.files import ids_sha256
from segrepro.labels import COCO91, VOC21, voc_palette
from segrepro.stores.manifests import Example, write_manifest

HEIGHT, WIDTH = 20, 26
VOID = 255


def voc_like_masks(pictures: int = 10) -> dict[str, np.ndarray]:
    """Masks with all 20 classes, two a picture: 60 % background, 6 % void, as VOC has it."""
    masks = {}
    for n in range(pictures):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[2:12, 2:10] = mask[6:18, 14:22] = VOID  # the rings that remain around the objects
        mask[3:11, 2:10] = 1 + (2 * n) % 20
        mask[7:17, 14:22] = 2 + (2 * n) % 20
        masks[f"p{n:02}"] = mask
    return masks


def make_set(root: Path, masks: dict[str, np.ndarray]) -> Path:
    """Write pictures, masks and a manifest; return the manifest."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "masks").mkdir(exist_ok=True)
    examples = []
    for name, mask in masks.items():
        example = Example(name, root / "images" / f"{name}.jpg", root / "masks" / f"{name}.png")
        Image.fromarray(rng.integers(0, 256, (*mask.shape, 3), np.uint8)).save(example.image)
        Image.fromarray(mask).save(example.mask)
        examples.append(example)
    write_manifest(root / "m.csv", examples)
    return root / "m.csv"


@pytest.fixture
def manifest(tmp_path):
    return make_set(tmp_path / "set", voc_like_masks())


def run(manifest: Path, *options: str, space: str = "voc21") -> dict:
    """Run the verb; return the JSON."""
    out = manifest.parent / "out"
    main(["check-labels", "--manifest", str(manifest), "--label-space", space, "--json", str(out / "c.json"), *options])
    return json.loads((out / "c.json").read_text())


def refused(manifest: Path, message: str, *options: str, space: str = "voc21") -> None:
    """The verb must end with this sentence and leave nothing behind."""
    with pytest.raises(SystemExit, match=rf"^segrepro check-labels: .*{message}"):
        run(manifest, *options, space=space)
    assert not (manifest.parent / "out").exists() or not list((manifest.parent / "out").iterdir())


# ---- a sound set ------------------------------------------------------------------------------------------------


def test_a_sound_set_passes_and_is_counted_as_numpy_counts_it(manifest):
    result = run(manifest)
    masks = voc_like_masks()
    stack = np.stack(list(masks.values()))
    assert result["pictures"] == result["examples"] == 10
    assert result["pixels"] == stack.size
    assert result["ids_sha256"] == ids_sha256(list(masks))
    assert result["void_share"] == pytest.approx((stack == VOID).mean())
    assert result["background_share"] == pytest.approx((stack == 0).sum() / (stack != VOID).sum())
    for label, name in enumerate(VOC21.classes):
        assert result["classes"][name] == {
            "label": label,
            "pixels": (stack == label).sum(),
            "pictures": (stack == label).any(axis=(1, 2)).sum(),
        }
    assert result["absent_classes"] == []


def test_the_same_set_gives_the_same_bytes_for_any_number_of_processes(tmp_path):
    manifest = make_set(tmp_path / "set", voc_like_masks(40))
    outputs = []
    for threads in ("1", "2"):
        run(manifest, "--threads", threads)
        outputs.append((tmp_path / "set" / "out" / "c.json").read_bytes())
    assert outputs[0] == outputs[1]


def test_the_json_says_what_was_checked(manifest, tmp_path):
    other = make_set(tmp_path / "val", {"elsewhere": voc_like_masks()["p00"]})
    result = run(manifest, "--pictures", "10", "--disjoint-from", str(other))
    assert "the number of pictures is the published one" in result["checked"]
    assert "no picture in common with m" in result["checked"]
    assert result["limits"]["max_void_share"] == 0.25


def test_a_set_without_ground_truth_is_checked_for_its_pictures(manifest):
    ids = list(voc_like_masks())
    write_manifest(manifest, [Example(i, manifest.parent / "images" / f"{i}.jpg") for i in ids])
    result = run(manifest, space="none")
    assert result["pictures"] == 10
    assert "classes" not in result
    refused_picture = manifest.parent / "images" / "p03.jpg"
    refused_picture.write_bytes(refused_picture.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"p03\.jpg: cannot be decoded"):
        check_manifest(manifest, None, DatasetChecks(), LabelChecks())


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_statistics_equal_an_independent_count_of_any_masks(tmp_path_factory, data):
    labels = st.sampled_from([*range(21), VOID])
    masks = {
        f"p{n}": np.array(data.draw(st.lists(labels, min_size=12, max_size=12)), np.uint8).reshape(3, 4)
        for n in range(data.draw(st.integers(1, 4)))
    }
    folder = tmp_path_factory.mktemp("masks")
    make_set(folder, masks)
    examples = [Example(i, folder / "images" / f"{i}.jpg", folder / "masks" / f"{i}.png") for i in masks]
    statistics = measure(examples, "voc21")
    values = np.concatenate([mask.ravel() for mask in masks.values()]).tolist()
    assert statistics.pixels.tolist() == [values.count(v) for v in range(256)]
    assert statistics.pictures_with.tolist() == [sum(v in m for m in masks.values()) for v in range(256)]
    assert statistics.empty == sorted(i for i, m in masks.items() if set(m.ravel().tolist()) <= {0, VOID})
    assert statistics.pictures == len(masks)


# ---- accidents: whole sets whose labels are wrong ---------------------------------------------------------------


def minus_one_void_kept(mask):
    return np.where(mask == VOID, VOID, mask - np.uint8(1))


def plus_one(mask):
    return np.where(mask == VOID, VOID, mask + np.uint8(1))


def plus_one_circular(mask):
    return np.where(mask == VOID, VOID, (mask + np.uint8(1)) % 21)


def without_background(mask):
    return np.where(mask == 0, VOID, mask)


def stuff_ids(mask):
    """COCO-stuff: things are 0, the surroundings one of 92..182."""
    return np.where(mask == 0, 92 + mask[mask < VOID].max(), np.uint8(0))


def stuff_as_things(mask):
    """What the report's author trained on: nothing but background, void borders kept."""
    return np.where(mask == VOID, VOID, np.uint8(0))


def palette_greys(mask):
    return np.asarray(Image.fromarray(voc_palette()[mask]).convert("L"))


def interpolated(mask):
    return np.asarray(Image.fromarray(mask).resize((13, 10), Image.BILINEAR).resize((WIDTH, HEIGHT), Image.BILINEAR))


def one_class_only(mask):
    return np.where((mask > 0) & (mask < VOID), np.uint8(15), mask)


def halves_swapped(mask):
    """Background and one class exchanged."""
    return np.where(mask == VOID, VOID, np.where(mask == 0, np.uint8(15), np.uint8(0)))


@pytest.mark.parametrize(
    ("accident", "message"),
    [
        (lambda mask: mask - np.uint8(1), r"p00\.png: pixel value 254 is not in the label space"),
        (minus_one_void_kept, r"more than 25\.0%; probably background became 255"),
        (plus_one, r"p09\.png: pixel value 21 is not in the label space"),
        (lambda mask: mask + np.uint8(1), r"p09\.png: pixel value 21 is not in the label space"),
        (plus_one_circular, r"the most frequent label is 1 \(aeroplane\), not background"),
        (without_background, "probably background became 255"),
        (stuff_ids, r"p00\.png: pixel value \d+ is not in the label space .*stuff"),
        (stuff_as_things, r"100\.0% of the labelled pixels are background.*stuff labels"),
        (palette_greys, r"p00\.png: pixel value .* colours of a palette"),
        (interpolated, r"p00\.png: pixel value .* is not in the label space"),
        (one_class_only, r"class aeroplane occurs in no picture \(19 such classes\)"),
        (halves_swapped, r"the most frequent label is 15 \(person\)"),
    ],
)
def test_wrong_label_sets_are_refused(tmp_path, accident, message):
    wrong = {name: np.asarray(accident(mask), np.uint8) for name, mask in voc_like_masks().items()}
    refused(make_set(tmp_path / "set", wrong), message)


def test_void_that_became_background_is_refused_where_void_is_expected(tmp_path):
    filled = {name: np.where(mask == VOID, 0, mask).astype(np.uint8) for name, mask in voc_like_masks().items()}
    manifest = make_set(tmp_path / "set", filled)
    refused(manifest, "probably void became a class", "--min-void-share", "0.005")
    run(manifest)  # SBD has no void: the bound is for sets with void borders


def test_a_shift_by_one_leaves_class_20_out_even_when_background_was_restored(tmp_path):
    """The report's training set after its author had patched background back: class 20 never trained."""
    shifted = {
        name: np.where((mask == 0) | (mask == VOID), mask, np.maximum(mask - 1, 1)).astype(np.uint8)
        for name, mask in voc_like_masks().items()
    }
    refused(make_set(tmp_path / "set", shifted), r"class tvmonitor occurs in no picture \(1 such classes\)")


@settings(max_examples=100, deadline=None)
@given(
    objects=st.lists(st.integers(1, 1000), min_size=20, max_size=20),
    background=st.floats(0.45, 0.9),
    void=st.floats(0.0, 0.2),
    shift=st.integers(0, 255),
    circle=st.sampled_from([21, 256]),
)
def test_no_shift_of_a_plausible_label_set_passes(objects, background, void, shift, circle):
    total = sum(objects)
    labels = np.zeros(256, np.int64)
    labels[1:21] = objects
    labels[0] = int(total * background / (1 - background)) + max(objects)
    labels[VOID] = int(labels.sum() * void)
    shift %= circle
    shifted = labels.copy()
    shifted[:circle] = np.roll(labels[:circle], shift)
    statistics = LabelStatistics(5, shifted, (shifted > 0) * 5)
    outside = shifted[21:VOID].any()  # refused by the mask that holds such a value
    if shift == 0:
        check_statistics(Path("m.csv"), statistics, VOC21, DatasetChecks(), LabelChecks())
    elif not outside:
        with pytest.raises(UserError):
            check_statistics(Path("m.csv"), statistics, VOC21, DatasetChecks(), LabelChecks())


# ---- pictures and masks that cannot be used ---------------------------------------------------------------------


def picture_bytes(mode: str, kind: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("images/p04.jpg", picture_bytes("RGB", "GIF"), r"p04\.jpg: no JPEG or PNG but GIF"),
        ("images/p04.jpg", picture_bytes("I;16", "PNG"), r"p04\.jpg: does not decode to three channels"),
        ("images/p04.jpg", picture_bytes("CMYK", "JPEG"), r"p04\.jpg: does not decode to three channels"),
        ("images/p04.jpg", b"<html>not found</html>", r"p04\.jpg: cannot be decoded \(it is not an image\)"),
        ("images/p04.jpg", b"", r"p04\.jpg: cannot be decoded \(it is not an image\)"),
        ("masks/p04.png", picture_bytes("P", "PNG"), r"p04\.png: not a single-channel .*mode P"),
        ("masks/p04.png", picture_bytes("RGB", "PNG"), r"p04\.png: not a single-channel .*mode RGB"),
        ("masks/p04.png", picture_bytes("I;16", "PNG"), r"p04\.png: not a single-channel .*mode I;16"),
        ("masks/p04.png", picture_bytes("L", "JPEG"), r"p04\.png: not a single-channel 8-bit PNG \(JPEG"),
        ("masks/p04.png", picture_bytes("L", "PNG", (WIDTH, HEIGHT - 1)), "mask is 26x19 but its picture is 26x20"),
        ("masks/p04.png", picture_bytes("L", "PNG", (HEIGHT, WIDTH)), "mask is 20x26 but its picture is 26x20"),
    ],
)
def test_a_file_of_the_wrong_kind_is_named(manifest, file, content, message):
    (manifest.parent / file).write_bytes(content)
    refused(manifest, message)


@pytest.mark.parametrize(("mode", "grey"), [("RGB", 0), ("RGBA", 0), ("P", 0), ("L", 1), ("LA", 1)])
def test_a_png_among_the_pictures_passes(manifest, mode, grey):
    """COCO's train2017 has one."""
    (manifest.parent / "images/p04.jpg").write_bytes(picture_bytes(mode, "PNG"))
    checked = check_manifest(manifest, VOC21, DatasetChecks(), LabelChecks(max_grey_share=1.0))
    assert checked["grey_pictures"] == grey


@pytest.mark.parametrize("file", ["images/p04.jpg", "masks/p04.png"])
def test_a_file_that_ends_early_or_is_missing_is_named(manifest, file):
    path = manifest.parent / file
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.8)])
    refused(manifest, f"{file}: cannot be decoded")
    path.unlink()
    refused(manifest, f"{file}: the manifest names this file but it is missing")


def test_the_first_bad_picture_is_named_with_several_processes_too(tmp_path):
    manifest = make_set(tmp_path / "set", voc_like_masks(40))
    for name in ("p35", "p20", "p07"):
        (tmp_path / "set" / "masks" / f"{name}.png").write_bytes(b"no mask")
    refused(manifest, r"p07\.png: cannot be decoded \(it is not an image\)", "--threads", "2")


def test_a_picture_without_a_mask_is_named(manifest):
    examples = [Example(i, manifest.parent / "images" / f"{i}.jpg") for i in voc_like_masks()]
    write_manifest(manifest, examples)
    refused(manifest, "'p00' has no mask")


def test_a_few_grey_pictures_are_counted_and_many_refused(manifest):
    (manifest.parent / "images" / "p04.jpg").write_bytes(picture_bytes("L", "JPEG"))
    refused(manifest, r"1 of 10 pictures have one channel, more than 5\.0%")
    assert run(manifest, "--max-grey-share", "0.1")["grey_pictures"] == 1


def test_pictures_that_ask_for_a_rotation_are_counted(manifest):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(manifest.parent / "images" / "p04.jpg", exif=exif)
    assert run(manifest)["exif_rotated_pictures"] == 1


# ---- counts, ids and overlap ------------------------------------------------------------------------------------


def test_another_number_of_pictures_is_refused(manifest):
    refused(manifest, "10 pictures instead of 1464", "--pictures", "1464")


def test_other_ids_are_refused_by_their_hash(manifest):
    right = ids_sha256(list(voc_like_masks()))
    run(manifest, "--ids-sha256", right.upper())
    (manifest.parent / "out" / "c.json").unlink()
    refused(manifest, f"sha256 is {right} instead of 00", "--ids-sha256", "00" * 32)


def test_a_picture_in_common_with_another_manifest_is_refused(manifest, tmp_path):
    val = make_set(tmp_path / "val", {"p03": voc_like_masks()["p03"]})
    other = make_set(tmp_path / "other", {"q": voc_like_masks()["p03"]})
    refused(manifest, r"'p03' is also in .*val/m\.csv \(1 in all\)", "--disjoint-from", str(other), str(val))


# ---- classes that need not occur --------------------------------------------------------------------------------


def test_absent_classes_are_declared_or_refused(tmp_path):
    manifest = make_set(tmp_path / "set", {n: m for n, m in voc_like_masks().items() if n not in ("p00", "p01")})
    refused(manifest, r"class aeroplane occurs in no picture \(4 such classes\)")
    refused(manifest, "class bird", "--absent-classes", "aeroplane", "bicycle")
    result = run(manifest, "--absent-classes", "aeroplane", "bicycle", "bird", "boat")
    assert result["absent_classes"] == ["aeroplane", "bicycle", "bird", "boat"]


def test_a_misspelt_absent_class_is_refused_with_the_nearest_name(manifest):
    refused(manifest, "'aeroplan' is no class of voc21; did you mean 'aeroplane'", "--absent-classes", "aeroplan")


def test_a_number_of_classes_may_be_demanded_instead(tmp_path):
    manifest = make_set(tmp_path / "set", {n: m for n, m in voc_like_masks().items() if n != "p00"})
    refused(manifest, "18 of 20 classes occur, fewer than 19", "--min-classes", "19")
    assert run(manifest, "--min-classes", "18")["pictures"] == 9


def test_one_picture_in_a_hundred_may_be_without_an_object(tmp_path):
    """Of SBD's 11,355 crowdsourced masks; two are too many, and none where the bound says so."""
    masks = voc_like_masks(99) | {"empty": np.zeros((HEIGHT, WIDTH), np.uint8)}
    manifest = make_set(tmp_path / "one", masks)
    assert run(manifest)["empty_pictures"] == 1
    (manifest.parent / "out" / "c.json").unlink()
    refused(manifest, "'empty' has no object pixel", "--max-empty-share", "0")
    masks["other"] = masks["empty"]
    refused(
        make_set(tmp_path / "two", masks),
        r"picture 'empty' has no object pixel \(2 of 101 pictures, at most 1\.0% may\)",
    )


def test_a_picture_without_an_object_is_refused_in_voc_and_tolerated_in_coco(tmp_path):
    masks = voc_like_masks(20)
    masks["empty"] = np.zeros((HEIGHT, WIDTH), np.uint8)
    # VOC-like labels 1..11 are COCO categories too; 12 is not
    coco = {name: np.where((mask > 11) & (mask < VOID), 13, mask).astype(np.uint8) for name, mask in masks.items()}
    refused(make_set(tmp_path / "voc", masks), "'empty' has no object pixel")
    manifest = make_set(tmp_path / "coco", coco)
    assert run(manifest, "--min-classes", "12", space="coco91")["empty_pictures"] == 1
    (manifest.parent / "out" / "c.json").unlink()
    refused(manifest, "'empty' has no object", "--min-classes", "12", "--max-empty-share", "0.01", space="coco91")
    refused(manifest, "class", space="coco91")  # 68 of COCO's 80 classes are missing


@pytest.mark.parametrize("label", [12, 26, 45, 83, 91, 92, 182, 254])
def test_labels_that_coco_does_not_use_are_refused(tmp_path, label):
    mask = voc_like_masks()["p00"]
    mask[0, 0] = label
    manifest = make_set(tmp_path / "set", {"p00": mask})
    refused(manifest, f"pixel value {label} is not in the label space", "--min-classes", "1", space="coco91")


def test_every_used_label_of_coco_passes(tmp_path):
    masks = {f"p{label}": voc_like_masks()["p00"] for label in COCO91.used_labels[1:]}
    masks = {
        name: np.where((mask > 0) & (mask < VOID), np.uint8(label), mask).astype(np.uint8)
        for label, (name, mask) in zip(COCO91.used_labels[1:], masks.items(), strict=True)
    }
    result = run(make_set(tmp_path / "set", masks), space="coco91")
    assert result["absent_classes"] == []


# ---- manifests of objects (DeconvNet) ---------------------------------------------------------------------------


def objects(folder: Path, boxes, instances):
    make_set(folder, {"a": voc_like_masks()["p00"]})
    instance_mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    instance_mask[3:11, 2:10], instance_mask[7:17, 14:22] = 1, 2
    Image.fromarray(instance_mask).save(folder / "objects.png")
    return [
        Example("a", folder / "images" / "a.jpg", folder / "masks" / "a.png", box, folder / "objects.png", instance)
        for box, instance in zip(boxes, instances, strict=True)
    ]


def test_the_rows_of_one_picture_are_measured_once(tmp_path):
    rows = objects(tmp_path, [(-2, 0, 12, 13), (12, 5, 30, 20)], [1, 2])
    statistics = measure(rows, "voc21")
    assert statistics.pictures == 1
    assert statistics.pixels.sum() == HEIGHT * WIDTH


def test_an_object_or_box_that_is_not_in_the_picture_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"objects\.png: holds no object 3"):
        measure(objects(tmp_path, [(0, 0, 9, 9)], [3]), "voc21")
    with pytest.raises(UserError, match=r"a\.jpg: the box 26,0,30,9 lies outside the 26 x 20 picture"):
        measure(objects(tmp_path, [(26, 0, 30, 9)], [1]), "voc21")


def test_rows_of_one_picture_with_different_files_are_refused(tmp_path):
    first, second = objects(tmp_path, [(0, 0, 9, 9), (1, 1, 9, 9)], [1, 2])
    moved = Example("a", tmp_path / "other.jpg", second.mask, second.box, second.instance_mask, 2)
    with pytest.raises(UserError, match="'a' comes with different files"):
        measure_picture([first, moved], VOC21.used_labels)


# ---- the figure -------------------------------------------------------------------------------------------------


def test_the_histogram_is_drawn_from_the_checks_with_the_same_bytes(manifest):
    run(manifest)
    checks = manifest.parent / "out" / "c.json"
    for name in ("a.png", "b.png"):
        main(["figure", "labels", "--checks", str(checks), "--out", str(checks.with_name(name))])
    picture = checks.with_name("a.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert picture == checks.with_name("b.png").read_bytes()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"label_space": null}', "a set without masks"),
        (b'{"label_space": "voc21"}', "manifest: this key is required"),
        (b"\x89PNG\r\n\x1a\n", "not JSON"),
    ],
)
def test_a_histogram_of_anything_else_is_refused(tmp_path, content, sentence):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(SystemExit, match=rf"figure labels: .*c\.json: {sentence}"):
        main(["figure", "labels", "--checks", str(tmp_path / "c.json"), "--out", str(tmp_path / "c.png")])
    assert not (tmp_path / "c.png").exists()


def test_help_needs_no_heavy_import(capsys):
    with pytest.raises(SystemExit) as end:
        main(["check-labels", "--help"])
    assert end.value.code == 0
    assert "--max-void-share" in capsys.readouterr().out


# ---- real data --------------------------------------------------------------------------------------------------

REAL = os.environ.get("SEGREPRO_REAL_SUBSET")


@pytest.mark.real
@pytest.mark.skipif(not REAL or not Path(REAL).is_dir(), reason="set SEGREPRO_REAL_SUBSET to the real subset")
def test_the_real_voc_masks_pass_and_their_shift_fails(tmp_path):
    main(["convert", "voc2012", "--archives", f"{REAL}/VOCtrainval_11-May-2012.tar", "--out", str(tmp_path / "voc")])
    manifest = tmp_path / "voc_train.csv"
    main(["manifest", "voc_train", "--voc", str(tmp_path / "voc"), "--out", str(manifest)])
    result = run(manifest, "--pictures", "437", "--min-classes", "15", "--min-void-share", "0.005", "--threads", "2")
    assert 0.6 < result["background_share"] < 0.8
    assert 0.04 < result["void_share"] < 0.08
    for path in (tmp_path / "voc" / "masks").iterdir():
        Image.fromarray(minus_one_void_kept(np.asarray(Image.open(path))).astype(np.uint8)).save(path)
    with pytest.raises(SystemExit, match="probably background became 255"):
        run(manifest, "--min-classes", "15")
