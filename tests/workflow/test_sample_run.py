"""The whole chain on the sample, as a new user runs it; after short trainings, or (`make test-sample`) its own."""

import base64
import csv
import hashlib
import json
import os
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix

from marks import unmarked
from segrepro.plan.snake import rules_sha256
from segrepro.report.figures import FIGURES
from segrepro.report.measured_on import NOTES, REMARKS
from segrepro.report.submission_check import check_submission
from segrepro.report.tables import TABLES
from segrepro.stores.manifests import read_manifest
from workflow_runs import FULL, ROOT, planned, snakemake

pytestmark = pytest.mark.workflow

LENGTH = [] if FULL else [ROOT / "tests/workflow/short.yaml"]
# What a system must reach, in percent; an answer that is background everywhere has less than 5.
REPORT_1 = 30 if FULL else 5
REPORT_2 = 50 if FULL else 8


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "csv.py").write_text("raise SystemExit('a file of the user was imported')")  # by no job
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", overlay=LENGTH)
    assert done.returncode == 0, done.stdout[-5000:]
    (folder / "console.txt").write_text(done.stdout)
    return folder


def test_the_console_has_a_line_per_job_and_the_details_are_in_the_logs(run):
    lines = (run / "console.txt").read_text().splitlines()
    ended = [line for line in lines if re.match(r"\[.*, \d+ of (\d+) jobs.*\] \S.* \(\d+(\.\d+)? (s|min|h)\)$", line)]
    total = int(re.search(r" of (\d+) jobs", ended[0])[1])
    assert len(ended) == total
    assert any("about" in line and "left]" in line for line in ended)
    assert not [line for line in lines if re.search("cuda|step/s|Shell command", line)]
    assert "step/s" in (run / "results/logs/train/deeplabv3_trainaug.log").read_text()


def rows(path: Path) -> list[dict]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_the_table_has_its_columns_and_the_system_learnt(run):
    table = rows(run / "results/tables/miou.csv")
    assert ",".join(table[0]) == (
        "system,split,leaks,miou,pixel_accuracy,mean_accuracy,fw_iou,published_miou,published_pixel_accuracy,"
        "published_source,difference,pictures,classes,miou_low,miou_high,spec"
    )
    row = next(r for r in table if (r["system"], r["split"]) == ("deeplabv3_trainaug", "voc_val"))
    assert float(row["miou"]) > REPORT_2
    assert (row["published_miou"], row["published_pixel_accuracy"], row["published_source"]) == (
        "76.42",
        "94.45",
        "report 2",
    )
    assert float(row["difference"]) == pytest.approx(float(row["miou"]) - 76.42, abs=0.006)
    assert (row["pictures"], row["classes"]) == ("60", "21")
    assert float(row["miou_low"]) < float(row["miou"]) < float(row["miou_high"])
    assert re.fullmatch("[0-9a-f]{12}", row["spec"])


def test_every_comparison_is_there_in_three_forms(run):
    names = (
        "miou",
        "per_class_iou",
        "report2",
        "voc2012_test",
        "crf",
        "ablation",
        "paired",
        "reproduction",
        "boundary",
    )
    for name in names:
        assert rows(run / f"results/tables/{name}.csv")
        assert (run / f"results/tables/{name}.md").read_text().startswith("# ")
        assert r"\toprule" in (run / f"results/tables/{name}.tex").read_text()
    mious = {(row["system"], row["split"]): float(row["miou"]) for row in rows(run / "results/tables/miou.csv")}
    for row in rows(run / "results/tables/crf.csv"):
        gain = mious[row["system"], row["split"]] - mious[row["refines"], row["split"]]
        assert float(row["gain"]) == pytest.approx(gain, abs=0.011)
    assert {row["split"] for row in rows(run / "results/tables/paired.csv")} == {"voc_val", "seg11valid"}


@pytest.mark.parametrize("system", ["fcn32s", "fcn16s", "fcn8s", "deconvnet_stage1", "deconvnet_stage2", "edeconvnet"])
def test_report_1_learnt_too(run, system):
    row = next(r for r in rows(run / "results/tables/miou.csv") if (r["system"], r["split"]) == (system, "voc_val"))
    assert float(row["miou"]) > REPORT_1


def test_an_ensemble_is_the_mean_of_its_members(run):
    """Its labels are those of the mean of the members' probabilities, but for what its coarser storage moves."""
    from segrepro.stores.scores import ScoreReader

    stores = [run / f"results/scores/{name}/voc_val.h5" for name in ("deconvnet_stage2", "fcn8s", "edeconvnet")]
    with ScoreReader(stores[0]) as first, ScoreReader(stores[1]) as second, ScoreReader(stores[2]) as fused:
        equal = [
            (np.argmax(first.probabilities(i) + second.probabilities(i), axis=-1) == fused.labels(i)).mean()
            for i in fused.ids[:10]
        ]
    assert np.mean(equal) > 0.97


def test_leaking_systems_are_marked_and_their_clean_counterparts_are_not(run):
    leaks = {(row["system"], row["split"]): row["leaks"] for row in rows(run / "results/tables/miou.csv")}
    for system in ("fcn8s", "edeconvnet"):
        assert float(leaks[system, "voc_val"]) > 0
        assert leaks[system, "seg11valid"] == ""
    assert leaks["deeplabv3plus_trainval", "voc_val"] == leaks["stacking_vote", "voc_val"] == "100.00"
    assert leaks["stacking_vote_clean", "voc_val"] == leaks["stacking_learned", "voc_val"] == ""
    audited = rows(run / "results/tables/leakage.csv")
    vote = next(row for row in audited if row["system"] == "stacking_vote")
    assert vote["through"] == "stacking_vote <- deeplabv3plus_trainval (trained on voc_trainval)"


def test_no_picture_is_predicted_by_a_stacker_that_saw_it(run):
    report = json.loads((run / "results/stackers/stacking_shared/voc_val.json").read_text())
    predicted = [id for stacker in report["stackers"] for id in stacker["predicted"]]
    assert sorted(predicted) == sorted(e.id for e in read_manifest(run / "data/sample/manifests/voc_val.csv"))
    for stacker in report["stackers"]:
        assert not set(stacker["fitted"]) & set(stacker["predicted"])


def test_a_crf_is_tuned_on_pictures_that_are_not_scored(run):
    found = json.loads((run / "results/crf_search/deeplabv3_phase2_ms_flip_crf_tuned.json").read_text())
    assert not set(found["ids"]) & {e.id for e in read_manifest(run / "data/sample/manifests/voc_val.csv")}
    first, *trials = rows(run / "results/tables/crf_search/deeplabv3_phase2_ms_flip_crf_tuned.csv")
    assert (first["trial"], first["gain"]) == ("0", "0.000")
    assert max(float(row["miou"]) for row in trials) == pytest.approx(100 * found["miou"], abs=5.1e-4)


def test_examples_are_counted_and_balanced(run):
    for model in ("deconvnet_stage1", "deconvnet_stage2"):
        *classes, total = rows(run / f"results/tables/examples/{model}.csv")
        assert len(classes) == 20
        assert int(total["examples"]) == sum(int(row["examples"]) for row in classes)
        counts = [int(row["examples"]) for row in classes]
        assert max(counts) < 2 * min(counts)
        examples = read_manifest(run / f"results/models/{model}/training_set.csv")
        assert sum(example.repeats for example in examples) == int(total["examples"])


def test_proposals_find_most_objects(run):
    table = rows(run / "results/tables/proposals/selective_search_voc_val.csv")
    recall = {(row["proposals"], row["iou"]): float(row["recall"]) for row in table}
    assert recall["500", "0.5"] > 0.9
    assert recall["500", "0.5"] >= recall["50", "0.5"] >= recall["50", "0.7"]


def labels_of(run: Path, split: str) -> list[np.ndarray]:
    examples = read_manifest(run / f"data/sample/manifests/{split}.csv")
    return [np.asarray(Image.open(example.mask)) for example in examples]


def test_an_all_background_answer_scores_below_five_percent(run):
    truth = np.concatenate([mask.ravel() for mask in labels_of(run, "voc_val")])
    truth = truth[truth != 255]
    assert np.unique(truth).size == 21
    assert (truth == 0).mean() / 21 < 0.05


def test_the_table_equals_scikit_learn_on_the_stored_scores(run):
    total = np.zeros((21, 21), np.int64)
    examples = read_manifest(run / "data/sample/manifests/voc_val.csv")
    from segrepro.stores.scores import ScoreReader

    with ScoreReader(run / "results/scores/deeplabv3_trainaug/voc_val.h5") as store:
        for example in examples:
            truth = np.asarray(Image.open(example.mask))
            known = truth != 255
            total += confusion_matrix(truth[known], store.labels(example.id)[known], labels=range(21))
    iou = np.diag(total) / (total.sum(0) + total.sum(1) - np.diag(total))
    table = next(row for row in rows(run / "results/tables/miou.csv") if row["system"] == "deeplabv3_trainaug")
    assert float(table["miou"]) == pytest.approx(100 * iou.mean(), abs=0.0051)
    assert float(table["pixel_accuracy"]) == pytest.approx(100 * np.diag(total).sum() / total.sum(), abs=0.0051)


def test_scores_are_kept_in_float16_at_the_networks_stride(run):
    with h5py.File(run / "results/scores/deeplabv3_trainaug/voc_val.h5") as store:
        for picture in store["pictures"].values():
            assert picture.dtype == np.float16
            height, width = picture.attrs["height"], picture.attrs["width"]
            assert picture.shape == (-(-height // 8), -(-width // 8), 21)


def test_every_figure_is_there_and_not_blank(run):
    figures = sorted((run / "results/figures").rglob("*.png"))
    names = {figure.relative_to(run / "results/figures").as_posix() for figure in figures}
    assert {"sample.png", "training.png", "grid/voc_val.png", "labels/trainaug.png"} <= names
    assert {"examples/deconvnet_stage1.png", "proposals/deconvnet_stage2.png"} <= names
    assert {"trimap/voc_val.png", "object_sizes/voc_val.png", "confusion/fcn8s/seg11valid.png"} <= names
    for figure in figures:
        assert np.asarray(Image.open(figure).convert("L")).std() > 5, figure


def test_the_page_shows_every_table_figure_and_system_of_the_run(run):
    html = (run / "results/report/index.html").read_text()
    for table in (run / "results/tables").rglob("*.csv"):
        assert f'tables/{table.relative_to(run / "results/tables").as_posix()}"' in html, table
    for figure in (run / "results/figures").rglob("*.png"):
        assert f'figures/{figure.relative_to(run / "results/figures").as_posix()}"' in html, figure
    index = (run / "results/report/pictures/voc_val/index.js").read_text()
    systems = {row["system"] for row in rows(run / "results/tables/miou.csv") if row["split"] == "voc_val"}
    assert all(f'"name":"{system}"' in index for system in systems)
    for graph in ("deeplabv3plus_trainval</text>", "check_labels</text>"):
        assert graph in html


def test_the_page_has_drawn_the_rules_that_ran_and_timed_every_job(run):
    record = run / ".snakemake/metadata" / base64.b64encode(b"results/rules.dot").decode()
    digest = rules_sha256(SimpleNamespace(basedir=ROOT))
    assert repr(digest) in json.loads(record.read_text())["params"]
    times = (run / "results/report/times.js").read_text()
    timed = sum(map(int, re.findall(r'"jobs":(\d+)', times)))
    assert timed == len(list((run / "results/benchmarks").rglob("*.tsv")))


def test_snakemakes_own_report_holds_the_tables_and_figures_with_their_captions(run, tmp_path):
    done = snakemake(run, "--report", str(tmp_path / "r.zip"), overlay=LENGTH)
    assert done.returncode == 0, done.stdout[-3000:]
    with zipfile.ZipFile(tmp_path / "r.zip") as report:
        files = {Path(name).name: name for name in report.namelist()}
        html = report.read("r/report.html").decode()
        assert report.read(files["miou.csv"]) == (run / "results/tables/miou.csv").read_bytes()
    shown = [*(run / "results/tables").rglob("*.csv"), *(run / "results/figures").rglob("*.png")]
    assert {path.name for path in shown} <= set(files)
    assert TABLES["miou"].caption[:80] in html
    assert '"caption": ""' not in html


def test_no_leaking_system_is_shown_without_its_mark(run):
    marks = json.loads((run / "results/leakage.json").read_text())
    assert unmarked(run / "results/tables", run / "results/report/index.html", marks) == []
    searched = rows(run / "results/tables/crf_search/deeplabv3_phase2_ms_flip_crf_tuned.csv")
    found = {(row["system"], row["split"], row["leaks"]) for row in searched}
    assert found == {("deeplabv3_phase2_ms_flip", "voc_train", "100.00")}


def test_every_table_and_figure_of_the_page_has_a_caption(run):
    for path in (run / "results/report/tables").rglob("*.csv"):
        assert path.relative_to(run / "results/report/tables").with_suffix("").parts[0] in TABLES, path
    for path in (run / "results/report/figures").rglob("*.png"):
        assert path.relative_to(run / "results/report/figures").with_suffix("").parts[0] in FIGURES, path


def test_tables_and_page_say_that_the_pictures_are_generated(run):
    for name in ("miou", "per_class_iou", "report2", "crf", "ablation", "paired", "reproduction", "boundary"):
        for form in ("md", "tex"):
            assert NOTES["generated"] in (run / f"results/tables/{name}.{form}").read_text()
    assert REMARKS["generated"] in (run / "results/report/index.html").read_text()


def test_every_dataset_of_the_config_passed_its_checks(run, merged_config):
    for name in merged_config("sample")["datasets"]:
        checks = json.loads((run / f"results/checks/{name}.json").read_text())
        assert checks["pictures"] > 0


def test_every_number_says_where_it_comes_from(run):
    table = {(row["system"], row["split"]): row for row in rows(run / "results/tables/provenance.csv")}
    assert {row["model_code"] for row in table.values()} == {"same"}
    assert {row["scores_code"] for row in table.values()} == {"same"}
    refined = table["edeconvnet_crf", "seg11valid"]["scores"]
    parts = ("inference.proposalwise", "fusion.fuse", "fusion.crf_store")
    assert all(f"segrepro.{part}: same" in refined for part in parts)
    crf = json.loads((run / "results/metrics/edeconvnet_crf/seg11valid.json").read_text())["provenance"]
    assert set(crf["models"]) == {"deconvnet_stage1", "deconvnet_stage2", "fcn8s", "fcn16s", "fcn32s"}
    archive = run / "data/sample/downloads/benchmark.tgz"
    assert crf["files"]["benchmark.tgz"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert str(run) not in (run / "results/provenance.json").read_text()


def test_the_archive_for_the_test_server_holds_the_answers_to_the_test_pictures(run):
    manifest = run / "data/sample/manifests/voc_test.csv"
    archive = run / "results/submission/deeplabv3_trainaug/results.tar.gz"
    assert check_submission(archive, manifest) == (6, len(read_manifest(manifest)))


def test_a_second_call_has_nothing_to_do(run):
    done = snakemake(run, "--cores", "2", "--resources", "gpu=1", overlay=LENGTH)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_a_bare_target_needs_no_cores(run):
    done = snakemake(run, "results/tables/miou.csv", overlay=LENGTH)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Nothing to be done" in done.stdout


# The tables that read what the config says of systems (`metrics/systems.json`).
OF_SYSTEMS = {f"table_{name}" for name in ("miou", "report2", "voc2012_test", "crf", "ablation", "reproduction")}


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ({"figures": {"compared": {"systems": ["fcn8s", "edeconvnet"]}}}, {"figure_trimap", "figure_object_sizes"}),
        ({"figures": {"grid": {"worst": 3}}}, {"figure_grid"}),
        ({"runtime": {"checkpoint_every": 9, "fetch": {"attempts": 2}, "shards": 4}}, set()),
        ({"archives_dir": "/archives"}, set()),
        (
            {"systems": {"deeplabv3_trainaug": {"published": {"voc_val": {"miou": 77.21}}}}},
            {"table_miou", "table_reproduction"},
        ),
        (
            {"statistics": {"resamples": 500}},
            {"statistics", "table_boundary"}
            | {f"table_{name}" for name in ("miou", "crf", "ablation", "paired", "reproduction")}
            | {"figure_class_bars", "figure_weak_classes", "figure_trimap", "figure_object_sizes", "figure_confusion"},
        ),
        ({"systems": {"fcn8s": {"server": {"miou": 62.2}}}}, OF_SYSTEMS),
        ({"ablations": {"repetition_sharpening_blurring": None}}, OF_SYSTEMS),
        ({"label_checks": {"max_void_share": 0.3}}, {"check_labels", "passed_checks", "figure_labels"}),
    ],
)
def test_a_setting_reruns_only_what_it_touches(run, overlay, expected):
    """And the page, which shows the config but for what changes no result."""
    expected = expected | ({"spec", "rule_graph", "page"} if expected else set())
    assert set(planned(run, overlay=[*LENGTH, overlay])) - {"all"} == expected


def test_what_is_measured_beside_miou_evaluates_anew_and_predicts_nothing(run):
    rules = planned(run, overlay=[*LENGTH, {"fine_grained": {"boundary_ratio": 0.03}}])
    assert {"evaluate", "table_boundary", "figure_trimap", "figure_object_sizes"} <= set(rules)
    assert not {"train", "predict", "fuse", "stack", "crf"} & set(rules)


def test_fine_grained_metrics_stand_with_the_others_and_in_a_table_of_its_own(run):
    table = {(row["system"], row["split"]): row for row in rows(run / "results/tables/boundary.csv")}
    measured = json.loads((run / "results/metrics/fcn8s/voc_val.json").read_text())
    row = table["fcn8s", "voc_val"]
    assert row["boundary_iou"] == f"{100 * measured['boundary']['miou']:.2f}"
    assert float(row["boundary_iou_low"]) < float(row["boundary_iou"]) < float(row["boundary_iou_high"])
    assert float(row["trimap_1"]) < float(row["miou"])
    assert measured["object_sizes"]["pictures_with_instance_mask"] == measured["pictures"]
    assert all(int(row[f"object_{side}_count"]) > 0 for side in (0, 40, 52))


def test_a_hyper_parameter_retrains_its_model(run):
    overlay = {"protocols": {"deeplabv3_report": {"momentum": 0.8}}}
    rules = planned(run, overlay=[*LENGTH, overlay])
    assert rules["spec"] == 3  # its own, and what the tables and the page are told of the config
    assert rules["train"] == 2  # this model, and the one that starts from it
    assert "manifest" not in rules
    assert "convert" not in rules


def test_a_checkout_that_touches_the_rules_reruns_nothing(run):
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        os.utime(path)
    assert planned(run, overlay=LENGTH) == {}
