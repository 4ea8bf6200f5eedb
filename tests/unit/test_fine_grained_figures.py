"""The table and figures of fine-grained metrics: what they say, which systems can be compared, same bytes always."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segrepro.cli import main
from segrepro.config.fine_grained import FineGrained
from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.confusion import save_confusions
from segrepro.evaluation.fine_grained import FineCounts, save_fine_counts
from segrepro.evaluation.object_sizes import UNITS
from segrepro.labels import COCO91, VOC21
from segrepro.report.confusion_figure import draw_confusion
from segrepro.report.fine_grained import check_comparable, measure, size_titles
from segrepro.report.size_figure import draw_sizes
from segrepro.report.style import save_figure
from segrepro.report.trimap import draw_trimaps

SETTINGS = FineGrained(trimap_widths=[1, 5, 12])
FEW = Bootstrap(resamples=100)
PICTURES = 8


def made(system="net", *, hits=0.5, seed=0, split="val"):
    """The counts of a system that has a share of the pixels of three classes right, and less near boundaries."""
    rng = np.random.default_rng(seed)

    def counts(shape, share):
        true = np.zeros((PICTURES, *shape, 21), np.int32)
        true[..., :3] = rng.integers(50, 100, (PICTURES, *shape, 3))
        right = (share * true).astype(np.int32)
        return np.stack([right, true, true], axis=-2)

    trimap = np.concatenate([counts((1,), hits * share) for share in (0.5, 0.75, 1)], axis=1)
    objects = np.zeros((PICTURES, 2, 3, 21), np.int32)
    objects[:, 0, :2, 1:3] = 2
    objects[:, 1, :2, 1:3] = 2 * hits * UNITS
    parts = {"whole": counts((), hits), "boundary": counts((), hits / 2), "trimap": trimap, "objects": objects}
    ids = [f"p{number}" for number in range(PICTURES)]
    return FineCounts(system, split, "voc21", SETTINGS, ids, **parts, instanced=np.ones(PICTURES, bool))


@pytest.fixture
def files(tmp_path):
    """Three systems' files; the second leaks."""
    for number, system in enumerate(("a", "b", "c")):
        save_fine_counts(tmp_path / f"{system}.npz", made(system, hits=0.4 + 0.2 * number, seed=number))
    (tmp_path / "leakage.json").write_text(json.dumps({"a": {"val": 0}, "b": {"val": 0.25}, "c": {"val": 0}}))
    return tmp_path


def fine_grained_of(files):
    return [
        "--fine-grained",
        *(str(files / f"{system}.npz") for system in "abc"),
        "--leakage",
        str(files / "leakage.json"),
    ]


def test_metrics_and_intervals_are_of_the_sums_over_pictures():
    counts = made(hits=0.5)
    measured = measure(counts, FEW)
    hit, true, predicted = counts.whole.sum(axis=0)[:, :3]
    assert measured.miou.value == pytest.approx((hit / (true + predicted - hit)).mean())
    assert measured.sizes.value[:2] == pytest.approx([0.5, 0.5])
    assert np.isnan(measured.sizes.value[2])
    assert measured.objects.tolist() == [32, 32, 0]
    for estimate in (measured.miou, measured.boundary, measured.trimap, measured.kept):
        assert (estimate.low <= estimate.value).all()
        assert (estimate.value <= estimate.high).all()
    np.testing.assert_allclose(measured.kept.value, measured.trimap.value / measured.miou.value)


def test_the_table_has_a_row_a_system_with_intervals_and_leaks(files):
    outputs = [str(files / f"boundary.{form}") for form in ("csv", "md", "tex")]
    main(["table", "boundary", *fine_grained_of(files), "--out", *outputs])
    rows = list(csv.DictReader((files / "boundary.csv").open(newline="")))
    assert [(row["system"], row["leaks"]) for row in rows] == [("a", ""), ("b", "25.00"), ("c", "")]
    assert list(rows[0])[:7] == ["system", "split", "leaks", "miou", "miou_low", "miou_high", "boundary_iou"]
    assert {"trimap_1", "trimap_5", "object_0", "object_32", "object_96_count"} <= set(rows[0])
    assert "trimap_12" not in rows[0]
    assert (rows[0]["object_96"], rows[0]["object_96_low"], rows[0]["object_96_count"]) == ("", "", "0")
    for row in rows:
        assert float(row["miou_low"]) <= float(row["miou"]) <= float(row["miou_high"])
        assert re.fullmatch(r"\d+\.\d\d", row["boundary_iou"])
    printed = (files / "boundary.md").read_text()
    assert f"{rows[0]['miou']} [{rows[0]['miou_low']}, {rows[0]['miou_high']}]" in printed
    assert "b †" in printed
    assert r"\toprule" in (files / "boundary.tex").read_text()
    save_fine_counts(files / "only.npz", replace(made(), settings=FineGrained(trimap_widths=[2, 4, 7])))
    main(["table", "boundary", "--fine-grained", str(files / "only.npz"), "--out", str(files / "only.csv")])
    assert {"trimap_2", "trimap_4", "trimap_7"} <= set((files / "only.csv").read_text().splitlines()[0].split(","))


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (made("net"), "was given twice"),
        (
            replace(made("x"), settings=FineGrained(boundary_ratio=0.05, trimap_widths=[1, 5, 12])),
            "measured otherwise than 'net'",
        ),
        (made("x", split="test"), "of other pictures than 'net'"),
        (replace(made("x"), ids=[*made().ids[1:], "new"]), "of other pictures than 'net'"),
    ],
)
def test_systems_that_cannot_be_compared_are_refused(other, sentence):
    with pytest.raises(UserError, match=sentence):
        check_comparable([made("net"), other], one_split=True)


def test_a_table_may_have_several_splits():
    check_comparable([made("net"), made("net", split="test")], one_split=False)


def test_figures_are_saved_in_each_format_with_the_same_bytes_every_time(files):
    for time in ("one", "two"):
        outputs = [str(files / f"{time}.{kind}") for kind in ("png", "pdf", "svg")]
        main(["figure", "trimap", "--fine-grained", str(files / "a.npz"), "--out", *outputs])
    for kind in ("png", "pdf", "svg"):
        assert (files / f"one.{kind}").read_bytes() == (files / f"two.{kind}").read_bytes()
    assert np.asarray(Image.open(files / "one.png").convert("L")).std() > 5
    assert b"Date" not in (files / "one.pdf").read_bytes()
    assert "<dc:date>" not in (files / "one.svg").read_text()


def test_the_size_figure_marks_leaking_systems(files):
    main(["figure", "object_sizes", *fine_grained_of(files), "--out", str(files / "sizes.svg")])
    assert "<!-- b \N{DAGGER} -->" in (files / "sizes.svg").read_text()  # matplotlib writes each text as a comment


def test_a_format_that_is_none_of_them_is_refused_before_anything_is_written(files):
    with pytest.raises(SystemExit) as stopped:
        main(["figure", "trimap", *fine_grained_of(files), "--out", str(files / "x.png"), str(files / "x.jpg")])
    assert "x.jpg: the name must end in .png or .pdf or .svg" in stopped.value.code
    assert not (files / "x.png").exists()
    with pytest.raises(UserError, match="saved as"):
        save_figure(None, [files / "y"])


def test_the_trimap_figure_names_every_system_in_rows_of_seven():
    names = [f"system_{number}" for number in range(9)]
    measured = [measure(made(hits=0.1 + 0.1 * number), FEW) for number in range(9)]
    figure = draw_trimaps(names, measured, SETTINGS.trimap_widths, split="val")
    assert len(figure.axes) == 4
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    shown = [[text.get_text().split(" ")[0] for text in legend.get_texts()] for legend in legends]
    assert shown == [[f"system_{n}" for n in range(6, -1, -1)], ["system_8", "system_7"]]  # highest first
    for axes in figure.axes:
        looks = {(line.get_color(), line.get_marker()) for line in axes.lines if line.get_marker() not in ("None", "")}
        assert len(looks) in (7, 2)


def test_a_trimap_figure_of_pictures_without_boundaries_can_be_drawn():
    empty = replace(made(), trimap=np.zeros_like(made().trimap))
    measured = [measure(empty, FEW), measure(made("x"), FEW)]
    assert np.isnan(measured[0].trimap.value).all()
    draw_trimaps(["net", "x"], measured, SETTINGS.trimap_widths, split="val")
    draw_trimaps(["net"], measured[:1], SETTINGS.trimap_widths, split="val")


def test_the_size_figure_names_the_ranges_and_leaves_out_empty_ones():
    measured = measure(made(), FEW)
    titles = size_titles(made(), measured)
    assert titles == ["< 32² (32)", "32²\N{EN DASH}96² (32)", "≥ 96² (0)"]
    figure = draw_sizes(["net"], [measured], titles, split="val")
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["net"]
    points = [line for line in right.lines if line.get_marker() in ("o", "s", "D")]
    assert len(points) == 2


def confusions_of(classes, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, (6, classes, classes)) + 60 * np.eye(classes, dtype=int)
    counts[:, 4] = 0  # a class that no picture has
    return counts.astype(np.int32)


def test_the_confusion_matrix_is_in_percent_of_the_truth():
    counts = confusions_of(21)
    figure = draw_confusion(counts, VOC21, FEW, title="net")
    shares = np.ma.filled(figure.axes[0].collections[0].get_array(), np.nan).reshape(21, 21)
    np.testing.assert_allclose(np.nansum(shares, axis=1), [100] * 4 + [0] + [100] * 16)
    total = counts.sum(axis=0)
    assert shares[2, 3] == pytest.approx(100 * total[2, 3] / total[2].sum())
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "none" in texts
    assert f"{100 * total[0, 0] / total[0].sum():.0f}" in texts


def test_the_recall_of_a_class_in_one_picture_has_no_interval():
    counts = confusions_of(21)
    counts[1:, 7] = 0
    texts = [text.get_text() for text in draw_confusion(counts, VOC21, FEW, title="").axes[0].texts]
    assert [text for text in texts if text.endswith("(\N{EN DASH})")] == [
        f"{100 * counts[0, 7, 7] / counts[0, 7].sum():.0f}  (\N{EN DASH})"
    ]


def test_a_matrix_of_coco_leaves_out_labels_not_in_use():
    figure = draw_confusion(confusions_of(91), COCO91, FEW, title="net")
    assert len(figure.axes[0].get_yticklabels()) == 81


def test_confusions_of_another_label_space_are_refused(tmp_path):
    save_confusions(tmp_path / "c.npz", [f"p{n}" for n in range(6)], confusions_of(21))
    arguments = ["figure", "confusion", "--confusions", str(tmp_path / "c.npz"), "--out", str(tmp_path / "c.png")]
    arguments += ["--names", "net", "--split", "val"]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--label-space", "coco91"])
    assert "c.npz: has 21 labels, label space 'coco91' has 91" in stopped.value.code
    assert not (tmp_path / "c.png").exists()
    main(arguments)
    assert (tmp_path / "c.png").exists()
