"""The learned stacker: never fitted on what it predicts, better than its members, the same bytes each time."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segrepro.cli import main
from segrepro.config.systems import Stacking
from segrepro.data.masks import write_mask
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusion
from segrepro.fusion.members import Ensemble
from segrepro.fusion.stacker import Split, assign_folds, stack
from segrepro.fusion.stacker_data import FLOOR, FitSet, cell_labels, collected, log_probabilities_at
from segrepro.fusion.stacker_network import StackerFitter
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.scores import ScoreReader, ScoreWriter

CLASSES = 5  # in use, of VOC's 21
IDS = tuple(f"p{number:02}" for number in range(10))
SIDE = 24
QUICK = {"folds": 5, "steps": 60, "learning_rate": 0.02, "storage_stride": 4, "crop": 6}


def write_store(path, arrays, *, sizes, kind="logits", space="voc21", resize="half_pixel"):
    with ScoreWriter(path, system=path.stem, label_space=space, kind=kind, resize=resize) as store:
        for id, array in arrays.items():
            store.add(id, array, size=sizes[id])
    return path


def write_masks(folder, masks, name="split"):
    folder.mkdir(exist_ok=True)
    for id, mask in masks.items():
        write_mask(folder / f"{id}.png", mask)
    path = folder / f"{name}.csv"
    write_manifest(path, [Example(id, folder / f"{id}.jpg", folder / f"{id}.png") for id in masks])
    return path


def blocks(seed, ids=IDS):
    """Masks of 4 x 4 blocks, a cell each."""
    random = np.random.default_rng(seed)
    cells = random.integers(0, CLASSES, (len(ids), SIDE // 4, SIDE // 4))
    return {id: np.kron(each, np.ones((4, 4))).astype(np.uint8) for id, each in zip(ids, cells, strict=True)}


def answers(masks, seed, knows):
    """Scores at stride 4 of a member that sees the classes ``knows``, and guesses the others with less confidence."""
    random, scores = np.random.default_rng(seed), {}
    for id, mask in masks.items():
        labels = mask[::4, ::4]
        known = np.isin(labels, knows)
        seen = np.where(known, labels, random.integers(0, CLASSES, labels.shape))
        scores[id] = np.where(known, 4, 2)[..., np.newaxis] * np.eye(21)[seen] + random.normal(size=(*labels.shape, 21))
        scores[id][..., CLASSES:] -= 5
    return scores


def split_of_two(folder, ids=IDS, *, masks=None, seed=0):
    """Two complementary members: one knows 0, 1 and 2, the other 0, 3 and 4."""
    masks = masks or blocks(seed, ids)
    manifest = write_masks(folder, masks)
    sizes = {id: mask.shape for id, mask in masks.items()}
    paths = tuple(
        write_store(folder / f"{name}.h5", answers(masks, seed + number, knows), sizes=sizes)
        for number, (name, knows) in enumerate({"a": (0, 1, 2), "b": (0, 3, 4)}.items())
    )
    return Split(Ensemble(paths, ("a", "b"), "voc21"), manifest), masks


def stacked(split, kind="linear", *, name="out", fit_on=None, **options):
    out, report = (split.manifest.parent / "made" / f"{name}.{ending}" for ending in ("h5", "json"))
    apart = {"fit_on": "others", "folds": None} if fit_on else {}
    settings = Stacking(kind=kind, members=["a", "b"], **QUICK | options | apart)
    stack(split, settings, out, report, system="stacked", fit_on=fit_on)
    return out, json.loads(report.read_text())


def mean_iou(path, masks):
    with ScoreReader(path) as store:
        total = sum(confusion(mask, store.labels(id), 21) for id, mask in masks.items())
    hits = np.diag(total)[:CLASSES]
    return (hits / (total.sum(0) + total.sum(1) - np.diag(total))[:CLASSES]).mean()


# --- folds ------------------------------------------------------------------------------------------------------


@given(st.sets(st.text(min_size=1, max_size=4), min_size=2, max_size=30), st.integers(0, 5), st.data())
def test_folds_are_a_partition_of_equal_parts_that_no_order_changes(ids, seed, data):
    count = data.draw(st.integers(2, len(ids)))
    folds = assign_folds(ids, count, seed)
    assert sorted(id for fold in folds for id in fold) == sorted(ids)
    sizes = [len(fold) for fold in folds]
    assert len(folds) == count
    assert 0 < max(sizes) <= min(sizes) + 1
    assert assign_folds(sorted(ids, reverse=True), count, seed) == folds


def test_folds_follow_from_the_seed():
    ids = [f"2007_{number:06}" for number in range(40)]
    assert assign_folds(ids, 4, 0) != assign_folds(ids, 4, 1)


# --- what the stacker sees --------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["voc21", "coco91"])
@pytest.mark.parametrize("resize", ["half_pixel", "legacy", "align_corners"])
def test_cells_hold_the_log_probability_at_their_centre(tmp_path, resize, space):
    size, classes = (15, 21), {"voc21": 21, "coco91": 91}[space]
    scores = {"p": np.random.default_rng(0).normal(size=(4, 6, classes))}
    path = write_store(tmp_path / "a.h5", scores, sizes={"p": size}, space=space, resize=resize)
    cells = log_probabilities_at(Ensemble((path,), ("a",), "voc21"), "p", (5, 7))  # 3 pixels: the centre is a pixel
    with ScoreReader(path) as reader:
        expected = np.log(reader.probabilities("p", "voc21")[1::3, 1::3])
    np.testing.assert_allclose(cells[:, :, 0], np.maximum(expected, FLOOR), atol=1e-5)


def test_a_store_on_the_same_grid_is_read_as_it_is_but_at_the_border(tmp_path):
    scores = np.random.default_rng(0).normal(size=(4, 6, 21)).astype(np.float16)
    path = write_store(tmp_path / "a.h5", {"p": scores}, sizes={"p": (16, 22)})
    cells = log_probabilities_at(Ensemble((path,), ("a",), "voc21"), "p", (4, 6))[:, :, 0]
    kept = scores.astype(np.float64)
    expected = kept - np.log(np.exp(kept).sum(-1, keepdims=True))
    np.testing.assert_allclose(cells[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)


LABELS = st.sampled_from([0, 1, 2, 20, 255])


@given(arrays(np.uint8, st.tuples(st.integers(1, 13), st.integers(1, 13)), elements=LABELS), st.integers(1, 5))
@settings(deadline=None)
def test_a_cell_has_the_commonest_label_of_its_pixels(mask, stride):
    grid = [-(-extent // stride) for extent in mask.shape]
    labels = cell_labels(mask, tuple(grid), 21)
    row, column = (np.arange(extent) * count // extent for extent, count in zip(mask.shape, grid, strict=True))
    for y, x in np.ndindex(*grid):
        pixels = mask[np.ix_(row == y, column == x)].ravel()
        valid = pixels[pixels != 255]
        expected = np.bincount(valid).argmax() if len(valid) * 2 >= len(pixels) else 255
        assert labels[y, x] == expected


def fit_set(cells, *, seed=0):
    random = np.random.default_rng(seed)
    scores = random.uniform(-5, 0, (cells[0] * cells[1], 2, 3)).astype(np.float16)
    return FitSet({"p": cells}, {"p": 0}, scores, {"p": random.integers(0, 3, cells).astype(np.uint8)})


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.sampled_from([0, 3]), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_a_crop_is_a_window_of_the_padded_picture(height, width, side, margin, seed):
    pictures = fit_set((height, width))
    scores, labels = pictures.crops(["p"], side, margin, np.random.default_rng(seed))
    assert (labels != 255).any()
    wide = np.pad(pictures.at_cells("p").astype(np.float32), [(20, 20)] * 2 + [(0, 0)] * 2, constant_values=FLOOR)
    truth = np.pad(pictures.labels["p"], 20, constant_values=255)
    found = [
        (y, x)
        for y in range(20 - side, 20 + height)
        for x in range(20 - side, 20 + width)
        if np.array_equal(truth[y : y + side, x : x + side], labels[0])
        and np.allclose(wide[y - margin : y + side + margin, x - margin : x + side + margin], scores[0], atol=1e-2)
    ]
    assert found


def test_crops_show_each_cell_equally_often():
    pictures, random = fit_set((10, 1)), np.random.default_rng(0)
    pictures.labels["p"][:, 0] = np.arange(10)
    labels = np.concatenate([pictures.crops(["p"], 4, 0, random)[1].ravel() for _ in range(3000)])
    counts = np.bincount(labels, minlength=256)[:10]
    assert counts.max() < 1.15 * counts.min()


def test_class_weights_make_up_for_rarity_and_average_to_one():
    pictures = FitSet({}, {}, np.zeros((1, 2, 4)), {"p": np.array([[0] * 9, [1] * 4 + [255] * 5], np.uint8)})
    np.testing.assert_allclose(pictures.class_weights(["p"], 0.5), np.array([1 / 3, 1 / 2, 0, 0]) * 13 / 5)
    np.testing.assert_allclose(pictures.class_weights(["p"], 0), [1, 1, 0, 0])


# --- the network ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["network", "shared"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_an_unfitted_residual_network_is_the_members_product_and_a_fitted_one_treats_crops_as_pictures(kind, kernel):
    pictures = fit_set((7, 9))
    settings = Stacking(kind=kind, members=["a", "b"], hidden=4, kernel=kernel, steps=3)
    fitter = StackerFitter(settings, members=2, classes=3)
    whole = pictures.at_cells("p")
    np.testing.assert_allclose(fitter.predict(whole), whole.astype(np.float32).mean(axis=2), atol=1e-5)
    batch = pictures.crops(["p"], 5, settings.margin, np.random.default_rng(0))
    fitter.fit([batch] * 3, np.ones(3))
    after = fitter.predict(whole)
    assert np.abs(after - whole.astype(np.float32).mean(axis=2)).max() > 1e-3
    margin = settings.margin
    around = np.pad(whole, [(margin, margin)] * 2 + [(0, 0)] * 2, constant_values=np.float16(FLOOR))
    crop = around[2 : 2 + 4 + 2 * margin, 3 : 3 + 5 + 2 * margin]
    np.testing.assert_allclose(fitter.model(crop[None].astype(np.float32))[0], after[2:6, 3:8], atol=1e-4)


def test_a_fit_starts_anew():
    settings = Stacking(kind="linear", members=["a", "b"], steps=3)
    pictures, fitter = fit_set((7, 9)), StackerFitter(settings, members=2, classes=3)
    batch = pictures.crops(["p"], 5, 0, np.random.default_rng(0))
    first = fitter.fit([batch] * 3, np.ones(3))
    np.testing.assert_array_equal(fitter.fit([batch] * 3, np.ones(3)), first)


def test_the_linear_stacker_recovers_the_weights_that_made_the_labels(tmp_path):
    """Labels are drawn from one member's probabilities, sharpened; the other is noise."""
    random, sharpness = np.random.default_rng(0), 1.5
    good, noise, masks = {}, {}, {}
    for id in IDS[:4]:
        good[id], noise[id] = random.normal(size=(2, 40, 40, 21))
        good[id][..., CLASSES:], noise[id][..., CLASSES:] = -20, -20
        gumbel = random.gumbel(size=(40, 40, CLASSES))
        masks[id] = (sharpness * good[id][..., :CLASSES] + gumbel).argmax(-1).astype(np.uint8)
    sizes = dict.fromkeys(masks, (40, 40))
    paths = tuple(write_store(tmp_path / f"{n}.h5", s, sizes=sizes) for n, s in (("good", good), ("noise", noise)))
    split = Split(Ensemble(paths, ("good", "noise"), "voc21"), write_masks(tmp_path, masks))
    options = {"folds": 2, "steps": 150, "storage_stride": 1, "crop": 40, "batch": 2, "balance": 0, "weight_decay": 0}
    _, report = stacked(split, learning_rate=0.05, **options)
    for stacker in report["stackers"]:
        used = list(stacker["weights"]["good"])[:CLASSES]
        assert np.mean([stacker["weights"]["good"][name] for name in used]) == pytest.approx(sharpness, abs=0.15)
        assert np.mean([stacker["weights"]["noise"][name] for name in used]) == pytest.approx(0, abs=0.1)
        assert stacker["loss_unseen"] < stacker["loss_unseen_product"]


# --- folds and leaks --------------------------------------------------------------------------------------------


def test_no_picture_is_predicted_by_a_stacker_that_saw_it(tmp_path, monkeypatch):
    split, _ = split_of_two(tmp_path)
    seen, predicted = set(), []
    crops, fit, add = FitSet.crops, StackerFitter.fit, ScoreWriter.add

    def spy_crops(self, ids, *rest):
        seen.update(ids)
        return crops(self, ids, *rest)

    def spy_fit(self, *rest):
        seen.clear()
        return fit(self, *rest)

    def spy_add(self, id, *rest, **options):
        predicted.append(id)
        assert len(seen) == 8
        assert id not in seen
        return add(self, id, *rest, **options)

    monkeypatch.setattr(FitSet, "crops", spy_crops)
    monkeypatch.setattr(StackerFitter, "fit", spy_fit)
    monkeypatch.setattr(ScoreWriter, "add", spy_add)
    _, report = stacked(split, steps=8)
    assert sorted(predicted) == list(IDS)
    for stacker in report["stackers"]:
        assert sorted(stacker["fitted"] + stacker["predicted"]) == list(IDS)


def test_a_mask_has_no_influence_on_the_answer_for_its_own_picture(tmp_path):
    split, masks = split_of_two(tmp_path)
    before, report = stacked(split, "shared", name="before", steps=8)
    own = next(stacker["predicted"] for stacker in report["stackers"] if "p03" in stacker["predicted"])
    write_masks(tmp_path, masks | {"p03": np.full((SIDE, SIDE), 4, np.uint8)})
    after, _ = stacked(split, "shared", name="after", steps=8)
    with ScoreReader(before) as first, ScoreReader(after) as second:
        changed = {id for id in IDS if (first.stored(id) != second.stored(id)).any()}
    assert changed == set(IDS) - set(own)


@pytest.mark.parametrize("kind", ["linear", "shared", "network"])
def test_stacking_complementary_members_beats_the_best_of_them_and_repeats_byte_by_byte(tmp_path, kind):
    split, masks = split_of_two(tmp_path)
    out, report = stacked(split, kind)
    best = max(mean_iou(path, masks) for path in split.members.paths)
    assert mean_iou(out, masks) > best + 0.05
    again, same = stacked(split, kind, name="again")
    assert again.read_bytes() == out.read_bytes()
    assert same == report
    assert sorted(path.name for path in out.parent.iterdir()) == ["again.h5", "again.json", "out.h5", "out.json"]


def test_a_stacker_fitted_on_other_pictures_reads_no_mask_of_the_scored_ones(tmp_path):
    fit_on, _ = split_of_two(tmp_path / "fit", tuple(f"q{n}" for n in range(6)), seed=7)
    (tmp_path / "scored").mkdir()
    scored, masks = split_of_two(tmp_path / "scored")
    for id in IDS:
        (tmp_path / "scored" / f"{id}.png").unlink()
    out, report = stacked(scored, fit_on=fit_on)
    assert mean_iou(out, masks) > max(mean_iou(path, masks) for path in scored.members.paths)
    (stacker,) = report["stackers"]
    assert stacker["predicted"] == list(IDS)
    assert stacker["fitted"] == [f"q{n}" for n in range(6)]
    assert "loss_unseen" not in stacker
    assert report["settings"]["folds"] is None


def test_the_verb_writes_store_and_report(tmp_path, monkeypatch):
    monkeypatch.setattr("segrepro.training.devices.prepare_tensorflow", lambda *_, **__: None)
    split, _ = split_of_two(tmp_path)
    members = ["--members", *map(str, split.members.paths), "--manifest", str(split.manifest)]
    files = ["--out", str(tmp_path / "o.h5"), "--json", str(tmp_path / "o.json")]
    fit = ["--folds", "2", "--steps", "2", "--kernel", "3", "--hidden", "4", "--no-residual"]
    main(["stack", "--kind", "network", *members, *files, *fit, "--system", "learned", "--balance", "0"])
    report = json.loads((tmp_path / "o.json").read_text())
    assert (report["members"], report["split"], report["fitted_on"]) == (["a", "b"], "split", "split")
    assert report["settings"]["residual"] is False
    with ScoreReader(tmp_path / "o.h5") as store:
        assert (store.system, store.resize, store.ids) == ("learned", "half_pixel", list(IDS))
        assert store.stored("p00").shape == (6, 6, 21)


# --- unhappy paths ----------------------------------------------------------------------------------------------


def refused(split, message, kind="linear", **options):
    with pytest.raises(UserError, match=message) as raised:
        stacked(split, kind, **options)
    assert "\n" not in str(raised.value)
    made = split.manifest.parent / "made"
    assert not made.exists() or not list(made.iterdir())


def test_fewer_pictures_than_folds_are_named(tmp_path):
    split, _ = split_of_two(tmp_path, IDS[:3])
    refused(split, "--folds 5: there are only 3 pictures; use fewer folds")


def test_nan_is_named_with_member_and_picture(tmp_path):
    split, _ = split_of_two(tmp_path)
    with h5py.File(split.members.paths[1], "a") as file:
        file["pictures/p02"][0, 0, 0] = np.nan
    refused(split, r"'b' \(.*b\.h5\) has NaN or infinity among its scores of picture 'p02'")


def test_votes_are_refused(tmp_path):
    split, masks = split_of_two(tmp_path)
    sizes = dict.fromkeys(masks, (SIDE, SIDE))
    votes = write_store(tmp_path / "vote.h5", masks, sizes=sizes, kind="labels")
    with_votes = Ensemble((*split.members.paths, votes), ("a", "b", "vote"), "voc21")
    refused(Split(with_votes, split.manifest), "'vote' .* stores labels .a vote., and has no probabilities")


def test_masks_that_do_not_fit_are_named(tmp_path):
    split, masks = split_of_two(tmp_path)
    write_masks(tmp_path, masks | {"p05": np.zeros((SIDE, SIDE + 1), np.uint8)})
    refused(split, r"p05\.png: the mask is 25 x 24 pixels, the members' scores 24 x 24")
    write_masks(tmp_path, masks | {"p05": np.full((SIDE, SIDE), 77, np.uint8)})
    refused(split, r"p05\.png: label 77 occurs, where 0\.\.20 and 255")
    write_masks(tmp_path, {id: np.full((SIDE, SIDE), 255, np.uint8) for id in IDS})
    refused(split, "all labels of the 8 pictures to fit on are void")


def test_a_manifest_of_other_pictures_is_named(tmp_path):
    split, masks = split_of_two(tmp_path)
    write_masks(tmp_path, {id: masks[id] for id in IDS[:-1]})
    refused(split, "1 of the 10 pictures of .* are not in .*, the first is 'p09'")


def test_pictures_to_fit_on_must_be_of_the_same_systems_and_not_scored(tmp_path):
    scored, _ = split_of_two(tmp_path / "scored")
    fit_on, _ = split_of_two(tmp_path / "fit", ("q1", "p04", "q2"))
    refused(scored, r"1 pictures of .* are scored too, the first is 'p04'", fit_on=fit_on)
    turned = Ensemble(fit_on.members.paths[::-1], ("a", "b"), "voc21")
    refused(scored, "system 'b' where --members has 'a'", fit_on=Split(turned, fit_on.manifest))
    fewer = Ensemble(fit_on.members.paths[:1], ("a",), "voc21")
    refused(scored, "--fit-members: 1 given for 2 members", fit_on=Split(fewer, fit_on.manifest))


def test_a_loss_that_explodes_is_named(tmp_path):
    split, _ = split_of_two(tmp_path)
    refused(split, "the stacker's loss is not finite at step .*; lower --learning-rate", learning_rate=1e38)


COMMAND = ["stack", *("--manifest", "m", "--system", "s", "--out", "o", "--json", "j")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--kind forest --members a b", "--kind is forest; give network, shared or linear"),
        ("--kind linear --members a b --hidden 8", "--kind: 'linear' has no convolutions; remove 'hidden', 'kernel'"),
        ("--kind linear --members a b --no-residual", "--kind: 'linear' has no convolutions"),
        ("--kind network --members a b --kernel 2", "--kernel is 2; give 1 or 3"),
        ("--kind network --members a b --storage-stride 0", "--storage-stride is 0; give a whole number from 1"),
        ("--kind network --members a b --learning-rate nan", "--learning-rate is nan; give a number above 0"),
        ("--kind network --members a b --weight-decay -1", "--weight-decay is -1.0; give a number, 0 or more"),
        ("--kind network --members a b --balance 2", "--balance is 2.0; give a number from 0 to 1"),
        ("--kind linear --members a", r"--members: give 2 or more, not \['a'\]"),
        ("--kind linear --members a a", "--members: 'a' is named twice"),
        ("--kind linear --members a b --fit-manifest f", "--fit-manifest and --fit-members belong together"),
        ("--kind linear --members a b --fit-manifest f --fit-members c d --folds 3", "--folds: has no meaning beside"),
    ],
)
def test_impossible_settings_are_named(options, message):
    with pytest.raises(SystemExit, match=f"segrepro stack: {message}"):
        main([*COMMAND, *options.split()])


def test_the_scratch_file_has_no_name(tmp_path):
    split, masks = split_of_two(tmp_path)
    examples = [Example(id, tmp_path / f"{id}.jpg", tmp_path / f"{id}.png") for id in IDS]
    sizes, scratch = dict.fromkeys(IDS, (SIDE, SIDE)), tmp_path / "scratch"
    with collected(split.members, examples, sizes, stride=4, folder=scratch, label="read") as pictures:
        assert not list(scratch.iterdir())
        np.testing.assert_array_equal(pictures.labels["p01"], masks["p01"][::4, ::4])
        expected = log_probabilities_at(split.members, "p01", (6, 6))
        np.testing.assert_allclose(pictures.at_cells("p01"), expected, atol=5e-3)
