"""Bootstrap intervals: parity with SciPy, coverage, pairing, and what happens to classes that a resample loses."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from segrepro.cli import main
from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation import bootstrap
from segrepro.evaluation.bootstrap import bca_interval, bca_p_value, draws, estimate
from segrepro.evaluation.confusion import save_confusions
from segrepro.evaluation.metrics import class_ious, counts_of_confusions, mean_iou, metrics
from segrepro.evaluation.statistics import Statistics, read_statistics
from segrepro.report.columns import percent

CLASSES = 4


def pictures(number: int, seed: int, skill: float = 0.8) -> np.ndarray:
    """Confusions of pictures: the first class always occurs, the others in a third; skill does not move the truth."""
    truth_generator, generator = np.random.default_rng(seed), np.random.default_rng([seed, round(1000 * skill)])
    sizes = np.round(truth_generator.lognormal(5, 0.7, (number, CLASSES)))
    sizes[:, 1:] *= truth_generator.random((number, CLASSES - 1)) < 1 / 3
    right = np.round(sizes * generator.beta(8 * skill, 8 * (1 - skill), sizes.shape))
    confusions = np.zeros((number, CLASSES, CLASSES), np.int32)
    for label in range(CLASSES):
        confusions[:, label, label] += right[:, label].astype(np.int32)
        confusions[:, label, (label + 1) % CLASSES] += (sizes - right)[:, label].astype(np.int32)
    return confusions


def miou_of_drawn(confusions: np.ndarray):
    """The statistic as SciPy wants it: from the indices of the pictures drawn."""
    return lambda drawn: metrics(confusions[drawn.astype(int)].sum(axis=0)).miou


def test_the_resampled_metric_is_the_metric_of_the_drawn_pictures(monkeypatch):
    confusions = pictures(30, 0)
    monkeypatch.setattr(bootstrap, "BLOCK", 7)
    weights = np.concatenate(list(bootstrap.resample_weights(30, 20, 5)))
    assert weights.shape == (20, 30)
    assert (weights.sum(axis=1) == 30).all()
    expected = [metrics(np.tensordot(drawn, confusions, 1)).miou for drawn in weights]
    counts = counts_of_confusions(confusions)
    assert draws(mean_iou, counts, resamples=20, seed=5).resampled == pytest.approx(expected, abs=1e-12)


def test_the_interval_is_that_of_scipy():
    confusions = pictures(40, 1)
    counts = counts_of_confusions(confusions)
    drawn = draws(mean_iou, counts, resamples=400, seed=0)
    interval = bca_interval(*drawn, 0.9)
    scipy = partial(
        stats.bootstrap,
        (np.arange(40),),
        miou_of_drawn(confusions),
        vectorized=False,
        confidence_level=0.9,
        method="BCa",
    )
    own = scipy(n_resamples=400, rng=3)
    assert interval == pytest.approx(tuple(own.confidence_interval), abs=0.01)
    of_the_same = scipy(n_resamples=0, bootstrap_result=replace(own, bootstrap_distribution=drawn.resampled))
    assert interval == pytest.approx(tuple(of_the_same.confidence_interval), abs=1e-12)


def test_nine_in_ten_intervals_hold_the_truth():
    """Of samples from a known population; the bounds are three standard errors of 200 samples around 90 %."""
    population = counts_of_confusions(pictures(20_000, 2))
    truth = mean_iou(population.sum(axis=0))
    held = 0
    for sample in range(200):
        counts = population[np.random.default_rng(sample).integers(0, len(population), 120)]
        drawn = draws(mean_iou, counts, resamples=400, seed=sample)
        interval = bca_interval(*drawn, 0.9)
        held += interval.low <= truth <= interval.high
    assert 0.836 <= held / 200 <= 0.964


def test_pairing_narrows_the_interval_of_a_difference():
    better, worse = (counts_of_confusions(pictures(60, 3, skill)) for skill in (0.85, 0.8))
    one, two = (draws(mean_iou, counts, resamples=1000, seed=0) for counts in (better, worse))
    difference = one.minus(two)
    assert np.std(difference.resampled) < np.hypot(np.std(one.resampled), np.std(two.resampled))
    assert np.array_equal(difference.left_out, one.left_out - two.left_out)
    assert difference.value == one.value - two.value


def test_a_class_that_a_resample_loses_is_left_out_of_its_mean():
    confusions = np.zeros((2, 3, 3), np.int32)
    confusions[0, 0, 0] = confusions[0, 1, 1] = 10
    confusions[1, 0] = (5, 5, 0)  # without class 1, which it answers all the same; class 2 occurs nowhere
    counts = counts_of_confusions(confusions)
    assert mean_iou(counts.sum(axis=0)) == pytest.approx((15 / 20 + 10 / 15) / 2)
    assert mean_iou(counts[1]) == pytest.approx(0.5)
    assert set(np.round(draws(mean_iou, counts, resamples=100, seed=0).resampled, 6)) == {1.0, 0.5, 0.708333}


def test_pictures_without_ground_truth_do_no_harm():
    confusions = np.concatenate([pictures(3, 4), np.zeros((3, CLASSES, CLASSES), np.int32)])
    counts = counts_of_confusions(confusions)
    drawn = draws(mean_iou, counts, resamples=2000, seed=0)
    assert np.isnan(drawn.resampled).any()
    interval = bca_interval(*drawn, 0.95)
    assert 0 <= interval.low < interval.high <= 1


@given(number=st.integers(2, 12), seed=st.integers(0, 99), confidence=st.floats(0.5, 0.99))
@settings(max_examples=30, deadline=None)
def test_intervals_are_ordered_and_of_the_metrics_range(number, seed, confidence):
    counts = counts_of_confusions(pictures(number, seed))
    drawn = draws(mean_iou, counts, resamples=50, seed=seed)
    interval = bca_interval(*drawn, confidence)
    assert 0 <= interval.low <= interval.high <= 1


def test_what_one_picture_alone_defines_has_no_interval(tmp_path):
    """Drawn more or less often, the one picture gives the same value again: a width of zero would say certainty."""
    confusions = pictures(12, 3)
    confusions[:, 2], confusions[4, 2, 2], confusions[4, 2, 3] = 0, 30, 10
    confusions[:, [0, 1, 3], 2] = 0  # and no other picture is taken for it: every draw has the same IoU
    counts = counts_of_confusions(confusions)
    found = estimate(class_ious, counts, Bootstrap(resamples=50))
    assert found.value[2] == pytest.approx(0.75)
    assert np.isnan([found.low[2], found.high[2]]).all()
    assert not np.isnan([found.low[0], found.high[0]]).any()
    confusions[7, 2, 2] = 20  # two pictures have it
    assert not np.isnan(estimate(class_ious, counts_of_confusions(confusions), Bootstrap(resamples=50)).low).any()
    options = scored(tmp_path, a=pictures(1, 5, 0.9), b=pictures(1, 5, 0.5))
    statistics = computed(tmp_path, *options)
    one, gain = statistics.miou("a", "voc_val"), statistics.difference("b", "a", "voc_val")
    assert (one.low, one.high, gain.low, gain.high, gain.p) == (None, None, None, None, None)
    miou, difference = percent("x", interval="x"), percent("x", interval="x", printed="+.2f")
    assert miou.text(one.low) == ""
    assert miou.shown({"x": "61.00", "x_low": "", "x_high": ""}) == "61.00 [–]"
    assert difference.shown({"x": "1.50", "x_low": "", "x_high": ""}) == "+1.50 [–]"
    assert difference.shown({"x": "0.00", "x_low": "-1.00", "x_high": "1.00"}) == "0.00 [-1.00, +1.00]"


def test_systems_that_agree_everywhere_differ_by_nothing():
    none = np.zeros(100)
    assert bca_interval(0.0, none, np.zeros(5), 0.95) == (0, 0)
    assert bca_p_value(0.0, none, np.zeros(5)) == 1


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.15])
def test_the_p_value_is_where_scipys_interval_meets_zero(shift):
    values = np.random.default_rng(3).exponential(1, 60) - 1 + shift
    scipy = partial(stats.bootstrap, (values,), np.mean, method="BCa")
    drawn = scipy(n_resamples=4000, rng=0)
    left_out = (values.sum() - values) / 59
    p = bca_p_value(values.mean(), drawn.bootstrap_distribution, left_out)
    assert 0.005 < p < 0.9
    ends = [
        scipy(n_resamples=0, bootstrap_result=drawn, confidence_level=1 - factor * p).confidence_interval
        for factor in (0.97, 1.03)
    ]
    wide, narrow = (min(ends, key=abs) for ends in ends)
    assert wide * narrow < 0, "zero is inside the one and outside the other"


def test_p_values_far_below_one_in_the_draws_follow_the_normal_tail():
    drawn = np.random.default_rng(0).normal(5, 1, 2000)
    p = bca_p_value(5.0, drawn, np.random.default_rng(1).normal(0, 1, 500))
    assert 0 < p < 1e-5
    assert p == pytest.approx(2 * stats.norm.cdf(-5), rel=1)  # within a factor of two


def test_of_equal_systems_one_in_twenty_is_called_different():
    """P-values of samples without a difference are uniform: the bounds are three standard errors of 400."""
    generator = np.random.default_rng(0)
    below = 0
    for _ in range(400):
        values = generator.normal(0, 1, 50)
        weights = generator.multinomial(50, np.full(50, 1 / 50), 400) / 50
        below += bca_p_value(values.mean(), weights @ values, (values.sum() - values) / 49) < 0.05
    assert 0.02 <= below / 400 <= 0.1


def scored(folder, **systems):
    """Write metrics and confusions of systems on `voc_val`; return the command's options."""
    options = {"--metrics": [], "--confusions": []}
    for name, confusions in systems.items():
        space = np.zeros((len(confusions), 21, 21), np.int32)
        space[:, :CLASSES, :CLASSES] = confusions
        found = metrics(space.sum(axis=0, dtype=np.int64))
        entry = {"system": name, "split": "voc_val", "label_space": "voc21", "pictures": len(space), "classes": 4}
        entry |= {key: getattr(found, key) for key in ("miou", "pixel_accuracy", "mean_accuracy", "fw_iou")}
        (folder / f"{name}.json").write_text(json.dumps(entry | {"per_class_iou": {}}))
        save_confusions(folder / f"{name}.npz", [f"p{n}" for n in range(len(space))], space)
        options["--metrics"].append(str(folder / f"{name}.json"))
        options["--confusions"].append(str(folder / f"{name}.npz"))
    return ["--metrics", *options["--metrics"], "--confusions", *options["--confusions"]]


def computed(folder, *options) -> Statistics:
    main(["statistics", *options, "--resamples", "200", "--out", str(folder / "out.json")])
    return read_statistics(folder / "out.json")


def refusal(folder, *options) -> str:
    with pytest.raises(SystemExit) as stopped:
        computed(folder, *options)
    assert not (folder / "out.json").exists()
    return stopped.value.code


def test_every_system_and_pair_has_its_interval_and_the_same_bytes_each_time(tmp_path):
    options = scored(tmp_path, a=pictures(20, 5, 0.9), b=pictures(20, 5, 0.6))
    found = computed(tmp_path, *options)
    first = (tmp_path / "out.json").read_bytes()
    computed(tmp_path, *options)
    assert (tmp_path / "out.json").read_bytes() == first
    a, b, gain = found.miou("a", "voc_val"), found.miou("b", "voc_val"), found.difference("a", "b", "voc_val")
    assert gain.value == pytest.approx(a.value - b.value)
    assert a.low < a.value < a.high
    assert gain.p < 0.05
    loss = found.difference("b", "a", "voc_val")
    assert (loss.value, loss.low, loss.high, loss.p) == (-gain.value, -gain.high, -gain.low, gain.p)
    for call in (lambda: found.miou("c", "voc_val"), lambda: found.difference("a", "c", "voc_val")):
        with pytest.raises(UserError, match="segrepro statistics"):
            call()


def test_only_systems_on_the_same_pictures_are_paired(tmp_path):
    options = scored(tmp_path, a=pictures(20, 5), b=pictures(19, 5))
    assert "b.npz, the first is '" in (message := refusal(tmp_path, *options))
    assert "1 of the 20 pictures of " in message
    options = scored(tmp_path, a=pictures(20, 5), b=pictures(20, 6))
    assert "b.npz: 'voc_val' has other masks here than in" in refusal(tmp_path, *options)


def test_what_cannot_be_used_is_named(tmp_path):
    options = scored(tmp_path, a=pictures(20, 5))
    assert "--confusions: 2 files for 1 metrics" in refusal(tmp_path, *options, str(tmp_path / "a.npz"))
    assert "--confidence is 95.0; give a number above 0 and below 1" in refusal(
        tmp_path, *options, "--confidence", "95"
    )
    scored(tmp_path, b=pictures(20, 6))
    stale = ["--metrics", str(tmp_path / "a.json"), "--confusions", str(tmp_path / "b.npz")]
    assert "b.npz: gives mIoU" in refusal(tmp_path, *stale)
    with pytest.raises(SystemExit) as stopped:
        main(["statistics", *options, "--resamples", "0", "--out", str(tmp_path / "out.json")])
    assert "--resamples is 0" in stopped.value.code


def test_statistics_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "s.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"s.json: .*required.*make it with `segrepro statistics`"):
        read_statistics(path)
