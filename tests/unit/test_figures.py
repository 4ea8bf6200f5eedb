"""The picture grid and the training curves: what they show, how rows are chosen, same bytes every time."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.evaluation.confusion import load_confusions
from segrepro.evaluation.metrics import picture_mious
from segrepro.labels import VOC21, VOID, voc_palette
from segrepro.report.curves import draw_curves, read_history, running_mean
from segrepro.report.grid import draw_grid, load_row
from segrepro.report.ranked_pictures import RULES, Opinion, choose, read_opinion
from segrepro.report.sheet import wrap_name
from segrepro.report.style import colourise, line_look, save_figure
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.scores import ScoreWriter

SIZES = [(30, 40), (40, 30), (24, 50), (30, 40)]


@pytest.fixture
def split(tmp_path):
    """Four pictures, `val.csv`, and two stores of labels: `a.h5` (worse with each picture) and `b.h5` (right)."""
    rng = np.random.default_rng(0)
    examples, masks = [], {}
    for number, size in enumerate(SIZES):
        id = f"p{number}"
        mask = np.zeros(size, np.uint8)
        mask[5:20, 5:20] = 8 + number
        mask[4, 4:21] = VOID
        Image.fromarray(mask).save(tmp_path / f"{id}.png")
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{id}.jpg")
        examples.append(Example(id, tmp_path / f"{id}.jpg", tmp_path / f"{id}.png"))
        masks[id] = np.where(mask == VOID, 0, mask)
    write_manifest(tmp_path / "val.csv", examples)
    for system, damage in (("a", 4), ("b", 0)):
        header = {"system": system, "label_space": "voc21", "kind": "labels", "resize": "legacy"}
        with ScoreWriter(tmp_path / f"{system}.h5", **header) as store:
            for number, (id, mask) in enumerate(masks.items()):
                labels = mask.copy()
                labels[5 : 5 + number * damage] = 0
                store.add(id, labels, size=labels.shape)
    return tmp_path


def grid(split, *options, out="grid.png", stores=("a.h5", "b.h5")):
    scores = [str(split / store) for store in stores]
    files = ["--manifest", str(split / "val.csv"), "--out", str(split / out), "--scores", *scores]
    main(["figure", "grid", *files, *options])
    return split / out


def evaluate(split):
    files = {"scores": "a.h5", "manifest": "val.csv", "json": "a.json", "confusions": "a.npz"}
    main(["evaluate", *(part for key, file in files.items() for part in (f"--{key}", str(split / file)))])


def drawn_texts(figure):
    return [text.get_text() for text in figure.texts]


def opinion(id, miou, dispute=0.0, classes=2):
    return Opinion(id, classes, miou, dispute)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"best": 1}, {"e": "best"}),
        ({"best": 1, "median": 1, "worst": 1}, {"e": "best", "c": "median", "a": "worst"}),
        ({"worst": 2, "disputed": 2}, {"b": "worst", "a": "worst", "d": "disputed", "e": "disputed"}),
        ({"best": 9}, dict.fromkeys("edcba", "best")),
        ({}, {}),
    ],
)
def test_pictures_are_chosen_by_rule_and_each_once(counts, expected):
    mious, disputes = [0.1, 0.2, 0.5, 0.7, 0.9, np.nan], [0.0, 0.9, 0.0, 0.5, 0.2, 0.99]
    opinions = [opinion(*values) for values in zip("abcdex", mious, disputes, strict=True)]
    assert list(choose(opinions, counts).items()) == list(expected.items())


def test_a_picture_of_one_class_is_chosen_only_where_there_is_no_other():
    empty, full = opinion("empty", 1.0, classes=1), opinion("full", 0.4)
    assert choose([empty, full], {"best": 2}) == {"full": "best"}
    assert choose([empty], {"best": 2}) == {"empty": "best"}


@given(
    values=st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 1.0, np.nan]), st.sampled_from([0.0, 0.1, 0.6]), st.integers(1, 3)),
        max_size=12,
    ),
    counts=st.fixed_dictionaries({rule: st.integers(0, 4) for rule in RULES}),
    seed=st.integers(0, 9),
)
def test_the_choice_does_not_depend_on_the_order_of_the_pictures(values, counts, seed):
    opinions = [opinion(f"p{n:02}", *value) for n, value in enumerate(values)]
    chosen = choose(opinions, counts)
    order = np.random.default_rng(seed).permutation(len(opinions))
    assert choose([opinions[i] for i in order], counts) == chosen
    for rule, count in counts.items():
        assert sum(chosen[id] == rule for id in chosen) <= count


def test_the_dispute_is_the_share_of_labelled_pixels_that_pairs_of_systems_differ_on(split):
    stores = (split / "a.h5", split / "b.h5", split / "b.h5")
    found = read_opinion(stores, "voc21", 21, Example("p2", split / "p2.jpg", split / "p2.png"))
    mask = np.asarray(Image.open(split / "p2.png"))
    differ = (mask[5:13] == 10).sum()  # eight rows that `a` has lost
    assert found.dispute == pytest.approx(2 / 3 * differ / (mask != VOID).sum())
    assert found.classes == 2
    assert found.miou < 1


def test_a_row_holds_the_picture_the_masks_and_the_mious_that_evaluate_gives(split):
    evaluate(split)
    ids, confusions = load_confusions(split / "a.npz")
    picture, truth, *answers = load_row(
        Example("p2", split / "p2.jpg", split / "p2.png"), [split / "a.h5", split / "b.h5"], VOC21
    )
    assert picture.image.shape == (24, 50, 3)
    assert set(np.unique(truth.image)) == {0, 10, VOID}
    assert set(np.unique(answers[1].image)) == {0, 10}
    miou = 100 * picture_mious(confusions)[ids.index("p2")]
    assert [cell.caption for cell in answers] == [f"mIoU {miou:.1f}", "mIoU 100.0"]
    assert miou < 90


def test_the_grid_names_systems_pictures_mious_and_the_labels_that_occur(split):
    examples = [Example(f"p{n}", split / f"p{n}.jpg", split / f"p{n}.png") for n in (0, 3)]
    rows = [load_row(example, [split / "a.h5", split / "b.h5"], VOC21) for example in examples]
    figure = draw_grid(rows, ["fcn", "deeplab"], VOC21)
    texts = drawn_texts(figure)
    assert texts[:4] == ["picture", "ground truth", "fcn", "deeplab"]
    assert {"p0", "p3", "mIoU 100.0"} < set(texts)
    assert rows[1][2].caption in texts
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["background", "cat", "diningtable", "void"]
    colours = [patch.get_facecolor()[:3] for patch in figure.legends[0].get_patches()]
    np.testing.assert_allclose(colours, voc_palette()[[0, 8, 11, VOID]] / 255)
    assert len(figure.axes) == 2 * 4
    shown = [axes.get_images()[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[0], rows[0][0].image)
    np.testing.assert_array_equal(shown[1], voc_palette()[rows[0][1].image])
    np.testing.assert_array_equal(shown[6], voc_palette()[rows[1][2].image])


def test_pictures_keep_their_proportions_and_stay_in_the_figure(split):
    examples = [Example(f"p{n}", split / f"p{n}.jpg", split / f"p{n}.png") for n in range(4)]
    rows = [load_row(example, [split / "a.h5"] * 7, VOC21) for example in examples]
    figure = draw_grid(rows, [f"system_{n}" for n in range(7)], VOC21)
    width, height = figure.get_size_inches()
    boxes = [axes.get_position() for axes in figure.axes]
    for number, box in enumerate(boxes):
        rows_, columns = SIZES[number // 9]
        assert box.height * height / (box.width * width) == pytest.approx(rows_ / columns)
        assert 0 <= box.x0 < box.x1 <= 1
        assert 0 <= box.y0 < box.y1 <= 1
    assert all(not a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_picture_that_is_all_void_is_said_to_be(split):
    Image.fromarray(np.full(SIZES[0], VOID, np.uint8)).save(split / "p0.png")
    row = load_row(Example("p0", split / "p0.jpg", split / "p0.png"), [split / "a.h5"], VOC21)
    assert "all void" in drawn_texts(draw_grid([row], ["a"], VOC21))


def test_the_grid_chooses_by_rule_with_the_same_bytes_each_time(split):
    first = grid(split, "--median", "0").read_bytes()
    again = grid(split, "--median", "0", "--threads", "2", out="again.png").read_bytes()
    assert first == again
    assert first != grid(split, "--ids", "p0", "p3", "p2", "p1", out="other.png").read_bytes()


def test_the_rule_that_chose_a_picture_is_written_beside_it(split):
    row = load_row(Example("p2", split / "p2.jpg", split / "p2.png"), [split / "a.h5"], VOC21, "disputed")
    assert "disputed" in drawn_texts(draw_grid([row], ["a"], VOC21))


def test_a_users_matplotlib_settings_do_not_change_a_figure(split):
    expected = grid(split, "--ids", "p0").read_bytes()
    with mpl.rc_context({"savefig.bbox": "tight", "font.size": 20, "savefig.facecolor": "red"}):
        assert grid(split, "--ids", "p0", out="mine.png").read_bytes() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ids", "p0", "p9"], "--ids (figures.grid.ids.val in the config): no picture 'p9' in"),
        (["--worst", "-1"], "--worst is -1"),
        (["--best", "0", "--worst", "0", "--median", "0", "--disputed", "0"], "no picture to draw"),
        (["--label-space", "coco91"], "cannot be mapped to 'coco91'"),
    ],
)
def test_the_grid_refuses_what_it_cannot_draw(split, options, message):
    with pytest.raises(SystemExit) as stopped:
        grid(split, *options)
    assert message in stopped.value.code
    assert not (split / "grid.png").exists()


def test_the_grid_names_missing_files_and_sizes_that_differ(split):
    Image.new("RGB", (9, 9)).save(split / "p1.jpg")
    (split / "p2.jpg").write_bytes(b"no jpeg")
    (split / "p3.jpg").unlink()
    for id, message in (("p1", "differs in size"), ("p2", "not a picture or damaged"), ("p3", "no such picture")):
        with pytest.raises(UserError, match=message):
            load_row(Example(id, split / f"{id}.jpg", split / f"{id}.png"), [split / "a.h5"], VOC21)
    write_manifest(split / "val.csv", [Example("p0", split / "p0.jpg")])
    with pytest.raises(SystemExit, match="'p0' has no mask"):
        grid(split, "--ids", "p0")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("fcn", ["fcn"]),
        ("ground truth", ["ground truth"]),
        ("deeplabv3_trainaug_flip", ["deeplabv3_", "trainaug_", "flip"]),
        ("averyveryverylongname", ["averyveryverylongname"]),
    ],
)
def test_long_names_break_at_underscores(name, lines):
    assert wrap_name(name, 12).split("\n") == lines


def test_void_is_painted_in_its_own_colour():
    np.testing.assert_array_equal(colourise(np.array([[0, VOID]], np.uint8)), [[[0, 0, 0], [224, 224, 192]]])


def history(path, steps=100, header="step,learning_rate,loss,pixel_accuracy"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{10 * n},{0.01 * (1 - n / steps)},{3 / n},{1 - 1 / n}" for n in range(1, steps + 1)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_curves_show_each_training_against_the_step(tmp_path):
    histories = [
        read_history(history(tmp_path / "a.csv"), "a"),
        read_history(history(tmp_path / "b.csv", steps=20), "b"),
    ]
    figure = draw_curves(histories)
    loss, accuracy, rate = figure.axes
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["a", "b"]
    short = loss.get_lines()[-1]
    np.testing.assert_array_equal(short.get_xdata(), np.arange(10, 201, 10))
    np.testing.assert_allclose(short.get_ydata(), 3 / np.arange(1, 21))
    assert accuracy.get_lines()[-1].get_ydata()[-1] == pytest.approx(95)  # percent
    assert len(loss.get_lines()) == 3  # the long history has a pale trace below its running mean
    assert len(rate.get_lines()) == 2
    assert loss.get_yscale() == "log"


def test_curves_of_one_training_are_titled_by_its_folder_and_have_the_same_bytes(tmp_path):
    file = history(tmp_path / "deeplabv3" / "history.csv")
    for out in ("one.png", "two.png"):
        main(["figure", "training", "--history", str(file), "--out", str(tmp_path / out)])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    figure = draw_curves([read_history(file, "deeplabv3")])
    assert figure.axes[0].get_title(loc="left") == "deeplabv3"
    assert figure.axes[0].get_legend() is None


@pytest.mark.parametrize("rows", [1, 2])
def test_curves_of_the_first_steps_can_be_drawn(tmp_path, rows):
    file = history(tmp_path / "h.csv", steps=rows)
    save_figure(draw_curves([read_history(file, "a")]), [tmp_path / "h.png"])
    assert Image.open(tmp_path / "h.png").width > 1000


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300))
def test_the_running_mean_stays_within_the_values(values):
    mean = running_mean(np.array(values))
    assert len(mean) == len(values)
    assert mean.min() >= min(values) - 1e-6
    assert mean.max() <= max(values) + 1e-6


def test_lines_look_different():
    assert len({tuple(line_look(index).values()) for index in range(28)}) == 28


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,learning_rate,loss,pixel_accuracy\n", "no rows"),
        ("step,loss\n1,2\n", "column 'learning_rate' is missing"),
        ("step,learning_rate,loss,pixel_accuracy\n1,0.1,nan,0.5\n", "line 2: loss is 'nan'"),
        ("step,learning_rate,loss,pixel_accuracy\n1,0.1,2\n", "line 2: pixel_accuracy is 'None'"),
        ("step,learning_rate,loss,pixel_accuracy\n2,0.1,1,0.5\n1,0.1,1,0.5\n", "do not increase"),
    ],
)
def test_a_history_that_cannot_be_drawn_is_named(tmp_path, text, message):
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["figure", "training", "--history", str(tmp_path / "h.csv"), "--out", str(tmp_path / "h.png")])
    assert message in stopped.value.code
    assert not (tmp_path / "h.png").exists()


def test_names_must_match_the_histories(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["figure", "training", "--history", "a.csv", "b.csv", "--names", "a", "--out", str(tmp_path / "h.png")])
    assert "1 names for 2 histories" in stopped.value.code
    with pytest.raises(UserError, match="no such history"):
        read_history(tmp_path / "absent.csv", "a")


def test_scoring_and_drawing_load_no_tensorflow():
    rooms = "segrepro.evaluation.pictures, segrepro.report.grid, segrepro.report.curves, segrepro.report.results"
    script = f"import sys, {rooms}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
