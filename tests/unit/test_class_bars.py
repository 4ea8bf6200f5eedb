"""IoU per class as bars: intervals, the weakest classes, what the figure shows."""

import numpy as np
import pytest
from matplotlib.container import BarContainer
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import jaccard_score

from segrepro.cli import main
from segrepro.config.tables import Bootstrap
from segrepro.evaluation.bootstrap import estimate
from segrepro.evaluation.confusion import confusion, save_confusions
from segrepro.evaluation.metrics import HITS, PREDICTED, TRUE, class_ious, counts_of_confusions
from segrepro.labels import VOC21
from segrepro.report.class_bars import SystemBars, draw_class_bars, read_bars, weakest_classes

LABELS = [0, 3, 9]  # background, bird, chair
BOOTSTRAP = Bootstrap(resamples=300, confidence=0.95, seed=1)


def answers(pictures, right, seed=0):
    """Truth and prediction of some pictures: a share of the pixels is right, the others are drawn."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(LABELS, (pictures, 8, 9)).astype(np.uint8)
    guess = rng.choice(LABELS, truth.shape).astype(np.uint8)
    return truth, np.where(rng.random(truth.shape) < right, truth, guess)


@pytest.fixture
def scored(tmp_path):
    """Confusions of two systems on the same twelve pictures: `good.npz` and `bad.npz`."""
    for name, right in (("good", 0.8), ("bad", 0.2)):
        truth, guess = answers(12, right)
        counts = np.stack([confusion(t, g, 21) for t, g in zip(truth, guess, strict=True)])
        save_confusions(tmp_path / f"{name}.npz", [f"p{n:02}" for n in range(12)], counts)
    return tmp_path


def draw(folder, *options, out=("bars.png", "bars.pdf")):
    files = [str(folder / "good.npz"), str(folder / "bad.npz")]
    written = [str(folder / name) for name in out]
    name = "weak_classes" if "--weakest" in options else "class_bars"
    given = ["--confusions", *files, "--split", "val", "--resamples", "50", "--out", *written, *options]
    main(["figure", name, *given])
    return [folder / name for name in out]


def test_bars_are_the_ious_that_scikit_learn_computes(scored):
    truth, guess = answers(12, 0.8)
    bars = read_bars(scored / "good.npz", "good", VOC21, BOOTSTRAP)
    expected = jaccard_score(truth.ravel(), guess.ravel(), labels=LABELS, average=None)
    assert list(bars.iou) == ["background", "bird", "chair"]
    np.testing.assert_allclose([value for value, _, _ in bars.iou.values()], expected)
    for value, low, high in bars.iou.values():
        assert low < value < high


def test_a_class_of_one_picture_has_a_bar_without_a_whisker(scored):
    truth, guess = answers(12, 0.8)
    others = np.arange(12) != 4
    truth[others] = np.where(truth[others] == 9, 0, truth[others])
    counts = np.stack([confusion(t, g, 21) for t, g in zip(truth, guess, strict=True)])
    save_confusions(scored / "good.npz", [f"p{n:02}" for n in range(12)], counts)
    bars = read_bars(scored / "good.npz", "good", VOC21, BOOTSTRAP)
    assert bars.iou["chair"][0] > 0
    assert np.isnan(bars.iou["chair"][1:]).all()
    figure = draw_class_bars([bars], list(bars.iou), title="", note="")
    assert 0 < figure.axes[0].get_ylim()[1] <= 100


def test_class_intervals_are_those_of_scipy():
    truth, guess = answers(40, 0.6)
    counts = counts_of_confusions(np.stack([confusion(t, g, 10) for t, g in zip(truth, guess, strict=True)]))

    def iou(intersection, union, axis=-1):
        return intersection.sum(axis=axis) / union.sum(axis=axis)

    ours = estimate(class_ious, counts, Bootstrap(resamples=4000, confidence=0.9, seed=0))
    assert np.flatnonzero(~np.isnan(ours.value)).tolist() == LABELS
    for label in LABELS:
        theirs = scipy_bootstrap(
            (counts[:, HITS, label], (counts[:, TRUE] + counts[:, PREDICTED] - counts[:, HITS])[:, label]),
            iou,
            paired=True,
            n_resamples=4000,
            confidence_level=0.9,
            method="BCa",
            rng=np.random.default_rng(1),
        ).confidence_interval
        np.testing.assert_allclose([ours.low[label], ours.high[label]], theirs, atol=0.004)


def test_the_weakest_classes_come_first_and_equal_ones_by_name():
    ious = {"cat": 0.5, "boat": 0.1, "bus": 0.9, "ant": 0.5}
    bars = SystemBars("a", {name: (iou, 0.0, 1.0) for name, iou in ious.items()})
    assert weakest_classes(bars, 3) == ["boat", "ant", "cat"]
    assert len(weakest_classes(bars, 9)) == 4


def test_every_bar_is_drawn_once_with_its_height():
    nan = float("nan")
    systems = [
        SystemBars(f"s{n}", {f"c{c}": (0.1 * n, *((0.0, 0.9) if c == 0 else (nan, nan))) for c in range(21)})
        for n in range(1, 4)
    ]
    figure = draw_class_bars(systems, [f"c{c}" for c in range(21)], title="t", note="n")
    bars = [bar for axes in figure.axes for bar in axes.patches]
    assert len(bars) == 3 * 21
    assert sorted({round(bar.get_height()) for bar in bars}) == [10, 20, 30]
    names = [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()]
    assert names == [f"c{c}" for c in range(21)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["s1", "s2", "s3"]
    shown = [patch.get_facecolor() for patch in figure.legends[0].legend_handles]
    assert shown == [bars[0].get_facecolor() for bars in figure.axes[0].containers if isinstance(bars, BarContainer)]


def test_the_figure_has_the_same_bytes_each_time(scored):
    first = [path.read_bytes() for path in draw(scored, "--names", "good", "bad")]
    again = [path.read_bytes() for path in draw(scored, "--names", "good", "bad", out=("b.png", "b.pdf"))]
    weak = [path.read_bytes() for path in draw(scored, "--names", "good", "bad", "--weakest", "2", out=("w.png",))]
    assert first == again
    assert weak[0] != first[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--names", "good"], "1 for 2 confusions"),
        (["--names", "good", "bad", "--weakest", "0"], "--weakest is 0"),
        (["--names", "good", "bad", "--confidence", "1"], "--confidence is 1"),
        (["--names", "good", "bad", "--leakage", "absent.json"], "absent.json"),
    ],
)
def test_what_cannot_be_drawn_is_said(scored, options, message):
    with pytest.raises(SystemExit) as stopped:
        draw(scored, *options)
    assert message in stopped.value.code
    assert not (scored / "bars.png").exists()
