"""Fusion: vote, mean and product equal a few lines of numpy, members fit together, faults are named."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

import segrepro.fusion.fuse as fuse_module
from segrepro.cli import main
from segrepro.config.systems import Fusion
from segrepro.errors import UserError
from segrepro.fusion import combine
from segrepro.fusion.fuse import fuse
from segrepro.fusion.members import PROBABILITIES, RAW_SCORES, Ensemble, ensemble_of
from segrepro.stores.fitting import PROBABILITY_FLOOR, fit, log_probabilities
from segrepro.stores.resize import interpolation_taps, resize_scores
from segrepro.stores.scores import ScoreReader, ScoreWriter

SIZES = {"p1": (17, 22), "p2": (24, 9), "p3": (17, 22)}
EQUAL = (1.0, 1.0, 1.0)


def write(path, arrays, *, kind="logits", space="voc21", resize="half_pixel", sizes=SIZES):
    with ScoreWriter(path, system=path.stem, label_space=space, kind=kind, resize=resize) as store:
        for id, array in arrays.items():
            store.add(id, array, size=sizes[id])
    return path


def scores_of(seed, *, stride=4, classes=21, sizes=SIZES):
    random = np.random.default_rng(seed)
    return {id: 3 * random.normal(size=(-(-h // stride), -(-w // stride), classes)) for id, (h, w) in sizes.items()}


def labels_of(seed, *, choices=21, sizes=SIZES):
    random = np.random.default_rng(seed)
    return {id: random.integers(0, choices, size) for id, size in sizes.items()}


@pytest.fixture
def three(tmp_path):
    """Stores a, b, c of random scores: at strides 4, 1 and 8, with three resize modes, one of them COCO's."""
    return [
        write(tmp_path / "a.h5", scores_of(1)),
        write(tmp_path / "b.h5", scores_of(2, stride=1), resize="align_corners"),
        write(tmp_path / "c.h5", scores_of(3, stride=8, classes=91), space="coco91", resize="legacy"),
    ]


def rule_of(kind, **options):
    """Return a fusion of so many members as there are weights, or as it needs."""
    count = len(options.get("weights") or ()) or (3 if kind == "vote" else 2)
    return Fusion(kind=kind, members=[f"m{number}" for number in range(count)], **options)


def fused(paths, rule, *, space="voc21", threads=1, mious=()):
    """Fuse into a store beside the first member's; return its path."""
    out = paths[0].with_name(f"{rule.kind}_{rule.ties}_{rule.storage_stride}_{threads}.h5")
    fuse(ensemble_of(paths, space=space), rule, out, system="fused", threads=threads, mious=mious)
    return out


def read(path, method, id, *space):
    with ScoreReader(path) as store:
        return getattr(store, method)(id, *space)


# --- parity with plain numpy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, [3.0, 1.0, 0.5]])
@pytest.mark.parametrize("kind", ["mean", "product"])
def test_mean_and_product_at_stride_1_equal_numpy(three, kind, weights):
    store = fused(three, rule_of(kind, weights=weights, storage_stride=1))
    with ScoreReader(store) as reader:
        assert (reader.system, reader.kind, reader.space.name, reader.ids) == (
            "fused",
            "log_probabilities",
            "voc21",
            [*SIZES],
        )
    for id in SIZES:
        maps = np.stack([read(path, "probabilities", id, "voc21") for path in three]).astype(np.float64)
        if kind == "mean":
            expected = np.average(maps, axis=0, weights=weights)
        else:
            expected = np.prod(maps ** np.reshape(weights or EQUAL, (3, 1, 1, 1)), axis=0)
            expected /= expected.sum(axis=-1, keepdims=True)
        floored = np.maximum(expected, PROBABILITY_FLOOR)
        np.testing.assert_allclose(read(store, "stored", id), np.log(floored), atol=5e-3)
        np.testing.assert_allclose(read(store, "probabilities", id), expected, atol=4e-3)
        second, first = np.sort(expected, axis=-1)[..., -2:].transpose(2, 0, 1)
        clear = first > 1.01 * second  # float16 tells logarithms apart by a few thousandths
        assert clear.mean() > 0.9
        assert (read(store, "labels", id) == expected.argmax(-1))[clear].all()


def majority(labels, weights=EQUAL):
    """Votes of each of 21 labels, by counting: (height, width, 21)."""
    return sum(w * (each[..., None] == np.arange(21)) for w, each in zip(weights, labels, strict=True))


def test_vote_equals_numpy_and_sums_probabilities_at_ties(three):
    store = fused(three, rule_of("vote"))
    with ScoreReader(store) as reader:
        assert (reader.kind, reader.space.name) == ("labels", "voc21")
    for id in SIZES:
        votes = majority([read(path, "labels", id, "voc21") for path in three])
        summed = sum(read(path, "probabilities", id, "voc21").astype(np.float64) for path in three)
        expected = np.where(votes == votes.max(-1, keepdims=True), summed, -1).argmax(-1)
        np.testing.assert_array_equal(read(store, "stored", id), expected)


def test_vote_of_label_stores_takes_the_lowest_label_at_ties_as_report_2_did(tmp_path):
    paths = [write(tmp_path / f"{s}.h5", labels_of(s, choices=4), kind="labels") for s in range(5)]
    store = fused(paths, rule_of("vote", ties="lowest"))
    for id in SIZES:
        labels = np.stack([read(path, "labels", id) for path in paths])
        expected = np.apply_along_axis(lambda column: np.bincount(column, minlength=21).argmax(), 0, labels)
        np.testing.assert_array_equal(read(store, "stored", id), expected)


@pytest.mark.parametrize(
    ("options", "mious", "order"),
    [
        ({"ties": "member"}, (), (0, 1, 2, 3)),
        ({"ties": "miou", "ties_from": "voc_train"}, (0.4, 0.7, 0.1, 0.7), (1, 3, 0, 2)),
    ],
)
def test_ties_go_to_the_best_member_that_supports_a_tied_label(tmp_path, options, mious, order):
    paths = [write(tmp_path / f"{s}.h5", labels_of(s, choices=3), kind="labels") for s in range(4)]
    store = fused(paths, rule_of("vote", **options), mious=mious)
    for id in SIZES:
        labels = np.stack([read(path, "labels", id) for path in paths])
        votes, result = majority(labels, (1,) * 4), read(store, "stored", id)
        for y, x in np.ndindex(result.shape):
            tied = np.flatnonzero(votes[y, x] == votes[y, x].max())
            assert result[y, x] == next(labels[m, y, x] for m in order if labels[m, y, x] in tied)


def test_the_released_product_equals_numpy_on_raw_scores(tmp_path):
    deconvnet = {id: np.maximum(scores, 0) for id, scores in scores_of(1, stride=1).items()}
    paths = [write(tmp_path / "deconvnet.h5", deconvnet), write(tmp_path / "fcn.h5", scores_of(2, stride=2))]
    store = fused(paths, rule_of("release_product", storage_stride=1))
    for id, size in SIZES.items():
        fcn = resize_scores(read(paths[1], "stored", id), size, "half_pixel")
        expected = read(paths[0], "stored", id).astype(np.float32) * np.maximum(0, fcn)
        np.testing.assert_allclose(read(store, "stored", id), expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(read(store, "probabilities", id), softmax(expected, axis=-1), atol=0.02)


def test_pixels_that_no_box_covers_are_background_in_the_released_product(tmp_path):
    deconvnet, fcn = scores_of(1, stride=1), scores_of(2, stride=1)
    deconvnet["p1"] = np.abs(deconvnet["p1"])
    deconvnet["p1"][:5] = 0
    paths = [write(tmp_path / "deconvnet.h5", deconvnet), write(tmp_path / "fcn.h5", fcn)]
    store = fused(paths, rule_of("release_product", storage_stride=1))
    assert (read(store, "labels", "p1")[:5] == 0).all()
    assert read(store, "labels", "p1")[5:].any()
    np.testing.assert_allclose(read(store, "probabilities", "p1")[:5], 1 / 21, rtol=1e-5)


# --- properties -------------------------------------------------------------------------------------------------

MAPS = arrays(np.uint8, st.tuples(st.integers(3, 6), st.just(4), st.just(5)), elements=st.integers(0, 4))


@given(MAPS, st.randoms())
def test_a_vote_does_not_depend_on_the_order_of_the_members(labels, random):
    order = random.sample(range(len(labels)), len(labels))
    weights = [1.0] * len(labels)
    np.testing.assert_array_equal(combine.vote(labels, weights), combine.vote(labels[order], weights))


@given(MAPS, st.data())
def test_integer_weights_count_a_member_so_many_times(labels, data):
    weights = data.draw(st.lists(st.integers(1, 3), min_size=len(labels), max_size=len(labels)))
    repeated = np.repeat(labels, weights, axis=0)
    np.testing.assert_array_equal(combine.vote(labels, weights), combine.vote(repeated, [1] * len(repeated)))


@given(MAPS)
def test_a_vote_is_always_some_members_label_and_a_majority_wins_under_any_preference(labels):
    preference = np.arange(len(labels))[:, None, None]
    for result in (combine.vote(labels, [1] * len(labels)), combine.vote(labels, [1] * len(labels), preference)):
        assert (labels == result).any(axis=0).all()
        for label in range(5):
            assert (result == label)[(labels == label).sum(axis=0) * 2 > len(labels)].all()


def test_weights_that_add_up_to_the_same_are_a_tie_despite_rounding():
    labels = np.array([3, 3, 1], np.uint8)[:, None, None]
    assert combine.is_tied(labels, (0.1, 0.2, 0.3)).all()
    assert combine.vote(labels, (0.1, 0.2, 0.3)) == 1


def test_a_product_is_defined_where_every_class_is_impossible_for_some_member():
    certain = np.zeros((2, 1, 2, 21), np.float32)
    certain[0, ..., 3] = certain[1, ..., 5] = 1
    both = combine.product(certain, (1, 1))
    np.testing.assert_allclose(both[0, 0, [3, 5]], 0.5, rtol=1e-4)
    np.testing.assert_allclose(both.sum(-1), 1, rtol=1e-5)


def test_a_product_of_one_map_is_that_map_and_mean_and_product_keep_their_input(three):
    each = read(three[0], "probabilities", "p1")
    kept = each.copy()
    np.testing.assert_allclose(combine.product([each], (1,)), kept, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(combine.mean([each, each], (1, 5)), kept, rtol=1e-5)
    np.testing.assert_array_equal(each, kept)


# --- storage ----------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_the_stored_map_is_the_least_squares_fit(height, width, stride):
    full = np.random.default_rng(height).normal(size=(height, width, 2)).astype(np.float32)
    expected = full.astype(np.float64)
    for axis, extent in enumerate((height, width)):
        nodes = -(-extent // stride)
        lower, upper, weight = interpolation_taps(nodes, extent, "half_pixel")
        matrix = np.zeros((extent, nodes))
        np.add.at(matrix, (np.arange(extent), lower), 1 - weight)
        np.add.at(matrix, (np.arange(extent), upper), weight)
        expected = np.moveaxis(np.tensordot(np.linalg.pinv(matrix), expected, (1, axis)), 0, axis)
    np.testing.assert_allclose(fit(full, stride), expected, atol=2e-5)


def test_a_map_that_came_from_the_stride_is_stored_without_loss():
    coarse = np.random.default_rng(0).normal(size=(6, 7, 21)).astype(np.float32)
    np.testing.assert_allclose(fit(resize_scores(coarse, (24, 28), "half_pixel"), 4), coarse, atol=1e-5)


def test_the_fit_keeps_more_labels_of_smooth_maps_than_averages_over_cells():
    """Members at strides 8 and 16; blobs of some 60 pixels."""
    maps = [
        softmax(resize_scores(4 * np.random.default_rng(s).normal(size=n), (128, 192), "half_pixel"), axis=-1)
        for s, n in ((0, (2, 3, 21)), (1, (3, 4, 21)))
    ]
    full = combine.mean(maps, (1, 1))

    def changed(coarse):
        return (resize_scores(coarse, full.shape[:2], "half_pixel").argmax(-1) != full.argmax(-1)).mean()

    cells = log_probabilities(full.reshape(32, 4, 48, 4, 21).mean(axis=(1, 3)))
    assert changed(fit(log_probabilities(full), 4)) < 0.005
    assert changed(fit(log_probabilities(full), 4)) < 0.6 * changed(cells)


def test_the_default_storage_is_a_sixteenth_of_the_pixels(three):
    assert read(fused(three, rule_of("mean")), "stored", "p1").shape == (5, 6, 21)


# --- the store --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [rule_of("mean"), rule_of("vote")])
def test_the_file_does_not_depend_on_processes_nor_on_how_many_results_wait(three, rule, monkeypatch):
    one = fused(three, rule).read_bytes()
    assert fused(three, rule, threads=2).read_bytes() == one
    monkeypatch.setattr(fuse_module, "RESULT_BYTES", 1)
    assert fused(three, rule).read_bytes() == one


def test_members_of_one_label_space_may_stay_in_it(tmp_path):
    paths = [write(tmp_path / f"{s}.h5", scores_of(s, classes=91), space="coco91") for s in range(3)]
    store = fused(paths, rule_of("mean", storage_stride=1), space="coco91")
    assert read(store, "probabilities", "p1").shape == (17, 22, 91)
    assert read(store, "labels", "p1", "voc21").max() <= 20


def test_the_verb_writes_a_store(three, tmp_path):
    fused_by_miou(three, metrics_of(tmp_path, x=0.3, y=0.2, z=0.1), tmp_path / "o.h5")
    with ScoreReader(tmp_path / "o.h5") as store:
        assert (store.system, store.kind, store.ids) == ("stacking", "labels", [*SIZES])
    # z first, as a member in front that has no metrics
    fused_by_miou(three, metrics_of(tmp_path, x=0.3, y=0.2, z=0.9), tmp_path / "z.h5")
    by_member = fused(three[::-1], rule_of("vote", ties="member"))
    for id in SIZES:
        np.testing.assert_array_equal(read(tmp_path / "z.h5", "stored", id), read(by_member, "stored", id))


def metrics_of(folder, *, split="voc_train", **mious):
    """Write a metrics file for each system, with what `segrepro evaluate` says at least."""
    others = dict.fromkeys(("pixel_accuracy", "mean_accuracy", "fw_iou"), 0.5)
    others |= {"label_space": "voc21", "pictures": 3, "classes": 21, "per_class_iou": {}}
    for system, miou in mious.items():
        entry = {"system": system, "split": split, "miou": miou, **others}
        (folder / f"{system}_{split}.json").write_text(json.dumps(entry))
    return [folder / f"{system}_{split}.json" for system in mious]


def fused_by_miou(members, metrics, out):
    files = ["--members", *members, "--names", "x", "y", "z", "--metrics", *metrics, "--out", out]
    main(["fuse", "--kind", "vote", "--ties", "miou", "--system", "stacking", "--threads", "2", *map(str, files)])


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({"y": 0.1, "x": 0.2, "z": 0.3}, "of system 'y' where the member is 'x'; give the members' metrics, in order"),
        ({"x": 0.1, "y": 0.2}, "--metrics: 2 given for 3 members"),
        ({"x": 0.1, "y": None, "z": 0.3}, "the mIoU is None; evaluate 'y' again"),
    ],
)
def test_metrics_that_do_not_rank_the_members_are_named(three, tmp_path, of, message):
    with pytest.raises(SystemExit) as stopped:
        fused_by_miou(three, metrics_of(tmp_path, **of), tmp_path / "o.h5")
    assert message in stopped.value.code
    assert not (tmp_path / "o.h5").exists()


def test_metrics_of_two_splits_are_not_compared(three, tmp_path):
    metrics = metrics_of(tmp_path, x=0.1, y=0.2) + metrics_of(tmp_path, split="voc_val", z=0.3)
    with pytest.raises(SystemExit) as stopped:
        fused_by_miou(three, metrics, tmp_path / "o.h5")
    assert "of split 'voc_val', but" in stopped.value.code


def test_fusion_loads_no_tensorflow():
    code = "import sys, segrepro.fusion.fuse; print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- unhappy paths ----------------------------------------------------------------------------------------------


def refused(paths, rule, message, **options):
    """Expect one sentence, and no file besides the members."""
    before = sorted(paths[0].parent.iterdir())
    with pytest.raises(UserError, match=message) as raised:
        fused(paths, rule, **options)
    assert "\n" not in str(raised.value)
    assert sorted(paths[0].parent.iterdir()) == before


def test_wrong_names_are_named(three):
    with pytest.raises(UserError, match="--names: 1 names for 3 members"):
        ensemble_of(three, names=["a"], space="voc21")


def test_a_missing_and_a_damaged_member_are_named(three):
    gone = three[1].with_name("gone.h5")
    refused([three[0], gone], rule_of("mean"), r"gone\.h5: no such score store")
    named = Ensemble((three[0], gone), ("a", "b"), "voc21")
    with pytest.raises(UserError, match=r"gone\.h5: no such score store"):
        named.check(PROBABILITIES)
    three[1].write_bytes(three[1].read_bytes()[:500])
    refused(three, rule_of("mean"), r"b\.h5: damaged")


def test_other_pictures_are_named_with_both_stores(three, tmp_path):
    fewer = write(tmp_path / "fewer.h5", {id: scores_of(1)[id] for id in ("p1", "p3")})
    message = r"1 of the 3 pictures of 'a' \(.*a\.h5\) are not in 'fewer' \(.*fewer\.h5\), the first is 'p2'"
    refused([three[0], fewer], rule_of("mean"), message)
    refused([fewer, three[0]], rule_of("mean"), message)


def test_other_sizes_are_named_with_both_stores(three, tmp_path):
    sizes = SIZES | {"p2": (9, 24)}
    turned = write(tmp_path / "turned.h5", scores_of(1, sizes=sizes), sizes=sizes)
    refused([three[0], turned], rule_of("mean"), "picture 'p2' is 9 x 24 pixels in 'a' .* but 24 x 9 in 'turned'")


def test_label_spaces_that_cannot_be_mapped_are_named(three):
    refused(three, rule_of("mean"), "label space 'voc21' cannot be mapped to 'coco91'", space="coco91")
    refused(three, rule_of("mean"), "label space 'ade20k' is unknown", space="ade20k")
    refused(
        [three[0], three[2]], rule_of("release_product"), "'c' .* raw scores in label space 'coco91'.*--kind product"
    )


def test_a_store_of_labels_has_no_probabilities(three, tmp_path):
    labels = write(tmp_path / "labels.h5", labels_of(0), kind="labels")
    for rule in (rule_of("mean"), rule_of("product"), rule_of("vote")):
        refused([*three, labels], rule, "'labels' .* stores labels .* has no probabilities")
    refused([three[0], labels], rule_of("release_product"), f"has no {RAW_SCORES}")
    fused([three[0], three[2], labels], rule_of("vote", ties="member"))


def test_log_probabilities_are_no_raw_scores(three):
    mean = fused(three, rule_of("mean"))
    refused([mean, three[0]], rule_of("release_product"), r"'fused' .* kind 'log_probabilities', not 'logits'")
    refused([three[0], mean], rule_of("release_product"), "--kind product")


def test_raw_scores_are_told_by_the_stores_word_and_not_by_their_signs(three, tmp_path):
    below = {id: scores - 100 for id, scores in scores_of(1).items()}
    logits = write(tmp_path / "below.h5", below)
    product = fused([three[0], logits], rule_of("release_product", storage_stride=1))
    assert not read(product, "labels", "p1").any()
    above = write(tmp_path / "above.h5", scores_of(1), kind="log_probabilities")
    refused([three[0], above], rule_of("release_product"), "'above' .* kind 'log_probabilities', not 'logits'")


def test_a_store_of_an_earlier_version_has_probabilities_but_no_raw_scores(three):
    expected = read(fused(three, rule_of("mean")), "stored", "p1")
    with h5py.File(three[1], "a") as file:
        file.attrs["kind"] = "scores"
    np.testing.assert_array_equal(read(fused(three, rule_of("mean")), "stored", "p1"), expected)
    refused([three[0], three[1]], rule_of("release_product"), "'b' .* kind 'scores', not 'logits'")


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("mean", "log_probabilities"),
        ("product", "log_probabilities"),
        ("release_product", "logits"),
        ("vote", "labels"),
    ],
)
def test_each_rule_says_what_it_stores(three, kind, written):
    with ScoreReader(fused(three[:2] if kind == "release_product" else three, rule_of(kind))) as reader:
        assert reader.kind == written


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("rule", [rule_of("mean"), rule_of("vote"), rule_of("vote", ties="lowest")])
def test_nan_and_infinity_are_named_with_the_picture(three, rule, value):
    with h5py.File(three[1], "a") as file:
        scores = file["pictures/p2"][()]
        scores[0, 0, 0] = value
        file["pictures/p2"][...] = scores
    refused(three, rule, r"'b' \(.*b\.h5\) has NaN or infinity among its scores of picture 'p2'")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("vote --members a b", "--members: 'vote' needs 3 or more"),
        ("mean --members a", "--members: 'mean' needs 2 or more"),
        ("mean --members", "--members: 'mean' needs 2 or more"),
        ("mean --members a b a", "--members: 'a' is named twice; name it once"),
        ("release_product --members a b c", "--members: 'release_product' needs 2"),
        ("mean --members a b c --weights 1 2", "--weights: give one for each member"),
        ("release_product --members a b --weights 1 1", "--weights: have no meaning"),
        ("mean --members a b --weights 1 0", "--weights is 0.0; give a number above 0"),
        ("product --members a b --weights 1 inf", "--weights is inf; give a number above 0"),
        ("median --members a b", "--kind is median; give vote, mean, product or release_product"),
        ("vote --members a b c --ties coin", "--ties is coin; give probability, lowest, member or miou"),
        ("mean --members a b --ties lowest", "--ties: has no meaning for 'kind: mean'"),
        ("vote --members a b c --ties miou", "--metrics and --ties miou belong together"),
        ("mean --members a b --metrics c d", "--metrics and --ties miou belong together"),
        ("mean --members a b --storage-stride 0", "--storage-stride is 0; give a whole number from 1"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(SystemExit, match=f"segrepro fuse: {message}"):
        main(["fuse", "--system", "s", "--out", "o", "--kind", *options.split()])
