"""The search for CRF parameters, on pictures that are never scored; and the figure of what a CRF changes."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from segrepro.cli import main
from segrepro.data.subsets import spread
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusion
from segrepro.evaluation.metrics import metrics
from segrepro.fusion.crf_search import (
    SearchResult,
    grid_trials,
    random_trials,
    read_best,
)
from segrepro.fusion.densecrf import PRESETS, read_evidence, refine
from segrepro.labels import VOC21
from segrepro.report.crf_figure import Change, change_text, draw_change, titles
from segrepro.report.grid import load_row
from segrepro.stores.manifests import Example, read_manifest, write_manifest
from segrepro.stores.scores import ScoreReader, ScoreWriter

CAT, DOG = 8, 12
SIZE = (24, 40)


def scene(seed):
    """A picture with a cat and a dog, the mask, and scores that are coarse and shifted."""
    random = np.random.default_rng(seed)
    truth = np.zeros(SIZE, np.uint8)
    truth[6:18, 4:16], truth[6:18, 24:36] = CAT, DOG
    truth = np.roll(truth, random.integers(-3, 4, 2), (0, 1))
    colours = np.zeros((21, 3))
    colours[[0, CAT, DOG]] = (90, 150, 90), (210, 120, 40), (70, 60, 160)
    picture = np.clip(colours[truth] + random.normal(0, 4, (*SIZE, 3)), 0, 255).astype(np.uint8)
    scores = 4 * np.eye(21)[np.roll(truth, (2, 2), (0, 1))[1::2, 1::2]]
    return picture, truth, scores


@pytest.fixture
def data(tmp_path):
    """Four tuning pictures (train.csv, base.h5) and a scored one (val.csv)."""
    examples = []
    with ScoreWriter(
        tmp_path / "base.h5", system="base", label_space="voc21", kind="logits", resize="half_pixel"
    ) as store:
        for number in range(4):
            picture, truth, scores = scene(number)
            Image.fromarray(picture).save(tmp_path / f"t{number}.png")
            Image.fromarray(truth).save(tmp_path / f"m{number}.png")
            store.add(f"t{number}", scores, size=SIZE)
            examples.append(Example(f"t{number}", tmp_path / f"t{number}.png", tmp_path / f"m{number}.png"))
    write_manifest(tmp_path / "train.csv", examples)
    write_manifest(tmp_path / "val.csv", [Example("v0", tmp_path / "t0.png", tmp_path / "m0.png")])
    return tmp_path


def search(data, *options, preset="deeplab_vgg", forbid="val.csv", scores="base.h5"):
    files = ["--scores", str(data / scores), "--manifest", str(data / "train.csv"), "--forbid", str(data / forbid)]
    outputs = ["--csv", str(data / "search.csv"), "--json", str(data / "best.json")]
    main(["crf-search", *files, *outputs, "--preset", preset, *map(str, options)])
    with (data / "search.csv").open(newline="") as stream:
        return list(csv.DictReader(stream)), json.loads((data / "best.json").read_text())


@pytest.mark.parametrize("drop_below", [0.0, 0.9])
def test_the_grid_is_scored_as_a_plain_loop_scores_it(data, capsys, drop_below):
    rows, best = search(data, "--bilateral-sxy", 1, 20, "--bilateral-compat", 4, 10, "--drop-below", drop_below)
    trials = [(sxy, compat) for sxy in (1.0, 20.0) for compat in (4.0, 10.0)]
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [(float(r["bilateral_sxy"]), float(r["bilateral_compat"])) for r in rows[1:]] == trials
    assert {row["iterations"] for row in rows[1:]} == {"10"}
    assert rows[0]["iterations"] == ""
    with ScoreReader(data / "base.h5") as reader:
        for row, trial in zip(rows, [None, *grid_trials("deeplab_vgg", named(trials))], strict=True):
            total = np.zeros((21, 21), np.int64)
            for number, example in enumerate(read_manifest(data / "train.csv")):
                evidence = read_evidence(reader, example, "voc21", hard=False)
                answer = evidence.maps if trial is None else refine(evidence, trial, drop_below=drop_below)
                total += confusion(scene(number)[1], answer.argmax(-1), 21)
            assert float(row["miou"]) == pytest.approx(100 * metrics(total).miou, abs=1e-3)
            assert float(row["gain"]) == pytest.approx(float(row["miou"]) - float(rows[0]["miou"]), abs=2e-3)
    winner = max(rows[1:], key=lambda row: float(row["miou"]))
    assert best["parameters"]["bilateral_sxy"] == float(winner["bilateral_sxy"])
    assert best["gain"] > 0
    assert best["search"]["drop_below"] == drop_below
    assert (best["ids"], best["pictures"], best["split"], best["trials"]) == (["t0", "t1", "t2", "t3"], 4, "train", 4)
    assert "points better" in capsys.readouterr().out


def named(trials):
    sxys, compats = (list(dict.fromkeys(values)) for values in zip(*trials, strict=True))
    return {"bilateral_sxy": sxys, "bilateral_compat": compats}


def test_a_search_that_helps_nothing_says_worse(data, capsys):
    _, best = search(data, "--gaussian-compat", 300, 400, "--gaussian-sxy", 30)
    assert best["gain"] < 0
    assert "points worse" in capsys.readouterr().out


def test_crf_reads_what_the_search_found_and_options_change_it(data):
    _, best = search(data, "--bilateral-sxy", 1, 20)
    files = ["--scores", str(data / "base.h5"), "--manifest", str(data / "train.csv"), "--system", "refined"]
    main(["crf", *files, "--parameters", str(data / "best.json"), "--out", str(data / "a.h5")])
    sxy = str(best["parameters"]["bilateral_sxy"])
    main(["crf", *files, "--preset", "deeplab_vgg", "--bilateral-sxy", sxy, "--out", str(data / "b.h5")])
    main(["crf", *files, "--parameters", str(data / "best.json"), "--iterations", "1", "--out", str(data / "c.h5")])
    assert (data / "a.h5").read_bytes() == (data / "b.h5").read_bytes() != (data / "c.h5").read_bytes()


def test_processes_and_runs_give_the_same_files(data):
    options = ("--method", "random", "--trials", 3, "--seed", 5, "--bilateral-sxy", 5, 50, "--pictures", 2)
    search(data, *options)
    first = (data / "search.csv").read_bytes(), (data / "best.json").read_bytes()
    search(data, *options, "--threads", 2)
    assert ((data / "search.csv").read_bytes(), (data / "best.json").read_bytes()) == first
    assert json.loads(first[1])["ids"] == ["t0", "t2"]


def test_a_vote_is_tuned_on_its_labels(data):
    with ScoreReader(data / "base.h5") as base:
        labels = {id: base.labels(id) for id in base.ids}
    with ScoreWriter(data / "vote.h5", system="vote", label_space="voc21", kind="labels", resize="half_pixel") as store:
        for id, array in labels.items():
            store.add(id, array, size=SIZE)
    rows, best = search(data, "--bilateral-sxy", 1, 20, scores="vote.h5")
    assert {row["gt_prob"] for row in rows[1:]} == {"0.7"}
    assert best["parameters"]["gt_prob"] == 0.7


def test_random_trials_stay_in_their_ranges_and_cover_them():
    ranges = {"iterations": [1, 10], "bilateral_sxy": [5.0, 80.0, 20.0], "gt_prob": [0.6, 0.9]}
    trials = random_trials("pydensecrf_example", ranges, 200, seed=0)
    assert trials == random_trials("pydensecrf_example", ranges, 200, seed=0)
    assert trials != random_trials("pydensecrf_example", ranges, 200, seed=1)
    sxys = np.array([trial.bilateral_sxy for trial in trials])
    assert sxys.min() >= 5
    assert sxys.max() <= 80
    assert np.median(sxys) == pytest.approx(20, rel=0.3)  # the middle on a log scale
    assert {trial.iterations for trial in trials} == set(range(1, 11))
    assert all(0.6 <= trial.gt_prob <= 0.9 and trial.bilateral_srgb == 13 for trial in trials)


def test_a_grid_has_each_combination_once():
    trials = grid_trials("deeplab_vgg", {"iterations": [5, 10, 5], "bilateral_compat": [4.0, 10.0]})
    found = [(trial.iterations, trial.bilateral_compat) for trial in trials]
    assert found == [(5, 4.0), (5, 10.0), (10, 4.0), (10, 10.0)]


def test_tuning_pictures_are_spread_over_the_list():
    examples = [Example(f"{number:02}", "x") for number in range(10)]
    assert [example.id for example in spread(examples, 4)] == ["00", "02", "05", "07"]
    assert spread(examples, None) == spread(examples, 99) == examples


def test_a_store_of_the_tuning_pictures_alone_is_searched_like_one_of_all(data):
    """The workflow predicts no more than `segrepro subset` chooses: the pictures that the search takes."""
    files = ["--manifest", str(data / "train.csv"), "--pictures", "2", "--out", str(data / "train_2.csv")]
    main(["subset", *files])
    chosen = read_manifest(data / "train_2.csv")
    assert chosen == spread(read_manifest(data / "train.csv"), 2)
    header = {"system": "base", "label_space": "voc21", "kind": "logits", "resize": "half_pixel"}
    with ScoreReader(data / "base.h5") as base, ScoreWriter(data / "two.h5", **header) as store:
        for example in chosen:
            store.add(example.id, base.stored(example.id), size=SIZE)
    options = ("--bilateral-sxy", 1, 20, "--pictures", 2)
    assert search(data, *options, scores="two.h5") == search(data, *options)


# --- unhappy paths ----------------------------------------------------------------------------------------------


def refused(data, *options, named, **more):
    with pytest.raises(SystemExit) as stopped:
        search(data, *options, **more)
    assert named in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert not (data / "search.csv").exists()
    assert not (data / "best.json").exists()


def test_pictures_that_are_scored_later_are_refused_by_name(data):
    sweep = ("--bilateral-sxy", 1, 20)
    examples = read_manifest(data / "train.csv")
    write_manifest(data / "val.csv", examples[2:3])
    refused(data, *sweep, named="train.csv: 1 pictures are in")
    refused(data, *sweep, "--pictures", 1, named="the first is 't2'; tune and fit on pictures that are not scored")
    refused(data, *sweep, forbid="gone.csv", named="gone.csv: no such manifest")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no parameter has two values"),
        (("--bilateral-sxy", 5), "no parameter has two values"),
        (("--bilateral-sxy", 1, 20, "--method", "bayes"), "--method is bayes; give grid or random"),
        (("--bilateral-sxy", 1, 20, "--trials", 5), "--trials: 'method: random' needs it, and no other takes it"),
        (("--bilateral-sxy", 1, 20, "--method", "random"), "--trials: 'method: random' needs it"),
        (("--bilateral-sxy", 1, 20, "--method", "random", "--trials", 0), "--trials is 0"),
        (
            ("--bilateral-compat", 0, 20, "--method", "random", "--trials", 1),
            "--bilateral-compat: 'method: random' draws on a log scale",
        ),
        (("--bilateral-sxy", 1, -20), "--bilateral-sxy is -20.0"),
        (("--bilateral-sxy", 1, 20, "--pictures", 0), "--pictures is 0"),
        (("--bilateral-sxy", 1, 20, "--drop-below", 1), "--drop-below is 1.0; give a number from 0 and below 1"),
        (("--bilateral-sxy", 1, "--gt-prob", 0.4, 0.7), "--gt-prob is 0.4; give a number above 0.5"),
        (("--bilateral-sxy", 1, 20, "--preset", "best"), "--preset is best; give deconvnet"),
    ],
)
def test_impossible_options_are_named(data, options, message):
    refused(data, *options, named=message)


def test_a_picture_without_mask_or_scores_is_named(data):
    examples = read_manifest(data / "train.csv")
    write_manifest(data / "train.csv", [*examples, Example("t9", data / "t0.png", data / "m0.png")])
    refused(data, "--bilateral-sxy", 1, 20, named="the first is 't9'; predict this manifest again")
    write_manifest(data / "train.csv", [Example("t0", data / "t0.png")])
    refused(data, "--bilateral-sxy", 1, 20, named="picture 't0' has no mask")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("{", "not JSON"),
        ("{}", "not parameters of a CRF"),
        ('{"parameters": {"iteration": 5}}', "iteration: unknown key"),
        ('{"parameters": {"iterations": 5}}', "parameter 'gaussian_sxy' is missing"),
        ('{"parameters": {"iterations": 5.5}}', "iterations: input should be a valid integer"),
    ],
)
def test_a_file_of_parameters_that_is_none_is_named(tmp_path, text, message):
    path = tmp_path / "best.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"best\.json.*" + message):
        read_best(path)


def test_parameters_in_a_file_are_checked(tmp_path):
    values = dict.fromkeys(("gaussian_sxy", "gaussian_compat", "bilateral_srgb", "bilateral_compat"), 3)
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"parameters": values | {"iterations": 5, "bilateral_sxy": "wide"}}))
    with pytest.raises(
        UserError, match=r"best\.json: not parameters of a CRF .bilateral_sxy: input should be a valid number"
    ):
        read_best(path)


# --- the figure -------------------------------------------------------------------------------------------------


def change_of(gains):
    """Pictures of 10 pixels of one class each way: mIoU before 0.5 and after 0.5 + gain."""
    before = np.zeros((len(gains), 2, 2), np.int32)
    after = before.copy()
    for number, gain in enumerate(gains):
        before[number, 1] = 50, 50
        after[number, 1] = 50 - round(100 * gain), 50 + round(100 * gain)
    return Change([f"p{number}" for number in range(len(gains))], before, after)


def test_pictures_are_chosen_by_gain_and_named_better_and_worse():
    change = change_of([0.0, 0.3, -0.2, 0.1, -0.4, 0.05, -0.1])
    chosen = change.chosen(5)
    assert [id for id, _ in chosen] == ["p1", "p3", "p0", "p2", "p4"]
    assert [text for _, text in chosen] == [
        "rank 1 of 7: 30.0 points better",
        "rank 2 of 7: 10.0 points better",
        "median: no change",
        "rank 6 of 7: 20.0 points worse",
        "rank 7 of 7: 40.0 points worse",
    ]
    assert [id for id, _ in change.chosen(1)] == ["p0"]
    for count in range(1, 9):
        assert len({id for id, _ in change.chosen(count)}) == min(count, 7)


def test_a_change_is_said_as_plainly_for_worse_as_for_better():
    assert change_text(0.0321) == "3.2 points better"
    assert change_text(-0.0321) == "3.2 points worse"
    assert change_text(-0.0001) == "worse by less than 0.1 points"
    assert change_text(0) == "no change"
    lines = titles(change_of([-0.2, 0.1, -0.1]), before="fcn", after="fcn_crf", split="voc_val")
    assert lines[0] == "fcn_crf on voc_val: 6.7 points worse"
    assert lines[1] == "mIoU 50.00 before (fcn), 43.33 after"
    assert lines[2] == "pictures: 1 better, 2 worse, 0 unchanged; classes: 0 better, 1 worse, 0 unchanged"


def test_the_figure_is_drawn_with_all_bars_inside(data):
    example = read_manifest(data / "train.csv")[0]
    row = load_row(example, [data / "base.h5"] * 2, VOC21, "median")
    counts = np.diag(np.arange(21))[None].astype(np.int32)
    worse = counts.copy()
    worse[0, CAT, DOG] = 30
    figure = draw_change(Change(["t0"], counts, worse), [row], VOC21, before="base", after="a" * 120, split="val")
    figure.canvas.draw()
    renderer, width = figure.canvas.get_renderer(), figure.bbox.width
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text") and artist.get_text()):
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= width


def test_the_verb_draws_and_refuses_other_confusions(data):
    files = ["--scores", str(data / "base.h5"), "--manifest", str(data / "train.csv"), "--system", "refined"]
    main(["crf", *files, "--preset", "deeplab_vgg", "--out", str(data / "a.h5")])
    manifest = ["--manifest", str(data / "train.csv")]
    stores = ["--scores", str(data / "base.h5"), str(data / "a.h5")]
    main(["figure", "crf", *manifest, *stores, "--out", str(data / "one.png"), "--rows", "2"])
    confusions = []
    for name in ("base", "a"):
        confusions.append(str(data / f"{name}.npz"))
        scores = ["--scores", str(data / f"{name}.h5"), "--json", str(data / "j.json")]
        main(["evaluate", *manifest, *scores, "--confusions", confusions[-1]])
    options = [*manifest, *stores, "--out", str(data / "two.png"), "--rows", "2", "--confusions"]
    main(["figure", "crf", *options, *confusions])
    assert (data / "one.png").read_bytes() == (data / "two.png").read_bytes()
    write_manifest(data / "train.csv", read_manifest(data / "train.csv")[:3])
    with pytest.raises(SystemExit, match="--confusions: 1 given; give two, without the CRF and with it"):
        main(["figure", "crf", *options, confusions[0]])
    with pytest.raises(SystemExit, match="are not in"):
        main(["figure", "crf", *options, *confusions])


def test_the_table_says_whose_scores_on_which_pictures_and_how_many_of_these_were_trained_on(data):
    options = ["--bilateral-sxy", 1, 20]
    rows, _ = search(data, *options)
    assert {(row["system"], row["split"], row["leaks"]) for row in rows} == {("base", "train", "")}
    write_manifest(data / "seen.csv", read_manifest(data / "train.csv")[1:])
    (data / "other.csv").write_text("id,image,mask\nt1,a.jpg,a.png\nx,b.jpg,b.png\n")
    rows, _ = search(data, *options, "--seen", data / "seen.csv", data / "other.csv")
    assert {row["leaks"] for row in rows} == {"75.00"}
    rows, _ = search(data, *options, "--pictures", 1, "--seen", data / "seen.csv")
    assert {row["leaks"] for row in rows} == {""}  # of the pictures that it was tuned on: t0 alone
    with pytest.raises(SystemExit, match=r"none.csv: no such manifest, but it is what the system was trained on"):
        search(data, *options, "--seen", data / "none.csv")


def test_the_best_of_equal_trials_is_the_first():
    assert SearchResult(0.5, [PRESETS["deeplab_vgg"]] * 3, [0.4, 0.6, 0.6]).best == 1
