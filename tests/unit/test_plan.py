"""Inputs, options and targets of the rules, as plain functions of the config."""

import json
import shlex
from pathlib import Path

import pytest

from segrepro.config import model_spec, parse_config
from segrepro.data.sample.archives import ARCHIVES
from segrepro.errors import UserError
from segrepro.plan import Plan, datasets, fetching, lineage, models, resolved, stores, systems, targets
from segrepro.plan.experiment import one_of

TUNED = "deeplabv3_phase2_ms_flip_crf_tuned"


@pytest.fixture
def plan(merged_config, tmp_path, monkeypatch):
    """Return the plan of a config, of the sample or the full scale, after a change of it; in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def make(scale: str = "full", change=None, **options) -> Plan:
        merged = merged_config(scale)
        if change:
            change(merged)
        return Plan(parse_config(merged), **options)

    return make


def test_generated_data_and_their_results_stay_apart_from_the_real_ones(plan):
    sample, full = plan("sample"), plan()
    assert sample.manifest("voc_val") == "data/sample/manifests/voc_val.csv"
    assert full.manifest("voc_val") == "data/manifests/voc_val.csv"
    assert (sample.scores("a", "voc_val"), full.scores("a", "voc_val")) == (
        "results/scores/a/voc_val.h5",
        "results/full/scores/a/voc_val.h5",
    )
    assert (sample.cores(8), full.cores(8)) == (1, 8)
    assert (sample.network_gpus, full.network_gpus) == (0, 1)


def test_every_system_is_of_one_kind_and_every_model_trained_or_imported(plan):
    found = plan()
    kinds = [*found.predicted, *found.fused, *found.stacked, *found.refined]
    assert sorted(kinds) == sorted(found.config.systems)
    assert sorted([*found.trained, *found.imported]) == sorted(found.config.models)
    assert found.tuned == found.holding == [TUNED]
    assert list(found.subsets) == ["voc_train_100"]


def test_no_name_at_all_makes_a_constraint_that_nothing_meets():
    assert one_of(["a", "b"]) == "a|b"
    assert one_of([]) == "(?!)"


# ---- fetching and datasets


def test_a_fetch_is_given_its_mirrors_and_what_the_file_must_be(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("MIRROR", "https://example.org/it's here")

    def change(config):
        config["archives"]["sbd"] |= {"urls": ["${MIRROR}/benchmark.tgz"], "bytes": 7}
        config["archives_dir"] = str(tmp_path)

    words = shlex.split(fetching.fetch_options(plan(change=change), "benchmark.tgz"))
    assert words[:4] == ["--url", "https://example.org/it's here/benchmark.tgz", "--local-dir", str(tmp_path)]
    assert words[words.index("--bytes") + 1] == "7"
    assert "--md5" in words


def test_places_that_are_not_there_are_named_by_their_key(plan, tmp_path):
    gone = plan(change=lambda config: config.update(archives_dir=str(tmp_path / "gone")))
    with pytest.raises(UserError, match="config: archives_dir: there is no folder"):
        fetching.check_places(gone)
    file = tmp_path / "data/downloads/benchmark.tgz"
    file.parent.mkdir(parents=True)
    file.touch()
    fetching.check_places(gone)  # what is fetched stays
    with pytest.raises(UserError, match="config: voc2011_val: there is no file"):
        fetching.check_places(plan(change=lambda config: config.update(voc2011_val="gone.txt")))


def test_only_generated_archives_wait_for_the_generator(plan):
    assert fetching.generated_source(plan("sample"), "benchmark.tgz") == [
        "data/sample/archives/benchmark.tgz",
        "data/sample/archives/SHA256SUMS",
    ]
    assert fetching.generated_source(plan(), "benchmark.tgz") == []
    generated = [Path(path).name for path in fetching.generated_files(plan("sample"))]
    assert sorted(generated) == sorted([*ARCHIVES, "SHA256SUMS"])


def test_label_checks_are_given_all_that_the_config_says(plan):
    def change(config):
        config["datasets"]["voc_val"] = {
            "pictures": 9,
            "disjoint_from": ["voc_train"],
            "absent_classes": ["tvmonitor"],
            "min_classes": 3,
            "max_empty_share": 0.5,
            "min_void_share": 0.01,
        }

    options = datasets.check_options(plan(change=change), "voc_val")
    for part in (
        *("--label-space voc21", "--pictures 9", "--disjoint-from data/manifests/voc_train.csv"),
        *("--absent-classes tvmonitor", "--min-classes 3", "--max-empty-share 0.5", "--min-void-share 0.01"),
        *("--max-void-share", "--min-background-share", "--max-background-share", "--max-grey-share"),
    ):
        assert part in options
    assert datasets.check_options(plan(), "voc_test").startswith("--label-space none")


def test_the_sample_is_generated_as_the_config_says(plan):
    assert "--voc-train " in datasets.sample_options(plan("sample"))
    assert datasets.sample_options(plan()) == ""


# ---- models


def test_a_model_trains_on_its_dataset_or_on_a_set_of_its_own(plan):
    found = plan()
    assert models.training_set(found, "fcn32s") == "data/manifests/sbd_train.csv"
    for model in found.own_sets:
        assert models.training_set(found, model) == f"results/full/models/{model}/training_set.csv"
    objects, proposals, *_ = found.own_sets
    assert models.proposals_of(found, proposals) == "data/proposals/edge_boxes/trainaug.h5"
    assert models.proposals_of(found, objects) == []


def test_a_training_set_is_made_as_its_section_says(plan):
    found = plan()
    objects, proposals, *_, repeated = found.own_sets
    assert models.training_set_options(found, objects).startswith("objects --enlarge 1.2 ")
    assert models.training_set_options(found, proposals).startswith(
        "proposals --proposals data/proposals/edge_boxes/trainaug.h5 --enlarge 1.2 "
    )
    assert models.training_set_options(found, repeated).startswith("repeat --label-space voc21 --classes ")


def test_a_model_starts_from_a_model_a_file_or_scratch(plan):
    found = plan(change=lambda config: config["models"]["deeplabv3_trainaug"].pop("init"))
    assert models.initial_weights(found, "fcn16s") == "results/full/models/fcn32s/model.keras"
    assert models.initial_weights(found, "fcn32s").startswith("data/downloads/")
    assert models.initial_weights(found, "deeplabv3_trainaug") == []


def test_how_a_training_runs_is_said_by_options_that_no_spec_knows(plan):
    def change(config):
        config["runtime"] |= {"checkpoint_minutes": 2.5, "deterministic": False, "tensorboard": True}

    found = plan(change=change)
    tensorboard = "--tensorboard results/full/models/{wildcards.model}/tensorboard"
    assert models.training_options(found) == f"--checkpoint-minutes 2.5 --no-deterministic {tensorboard}"
    assert resolved.resolved(found, "models/fcn8s/spec.yaml", {}) == resolved.resolved(
        plan(), "models/fcn8s/spec.yaml", {}
    )


# ---- systems


def test_a_prediction_is_of_whole_pictures_or_of_boxes_which_are_stored_in_another_order(plan):
    found = plan()
    assert systems.prediction_options(found, "deeplabv3_trainaug").startswith("--scales ")
    assert systems.proposals_of(found, "deeplabv3_trainaug", "voc_val") == []
    assert systems.proposals_of(found, "deconvnet_stage2", "voc_val") == "data/proposals/edge_boxes/voc_val.h5"
    assert systems.prediction_options(found, "deconvnet_stage2").startswith("--count 50 ")
    assert systems.proposals_of(found, "deconvnet_stage2_whole", "voc_val") == []
    assert systems.prediction_options(found, "deconvnet_stage2_whole").startswith("--whole --count 50 ")
    assert stores.order_option(found, "deeplabv3_trainaug") == "--by-size"
    minutes = [systems.prediction_minutes(found, name) for name in ("deeplabv3_trainaug", "deconvnet_stage2")]
    assert minutes == [240, 480]
    assert stores.order_option(found, "deconvnet_stage2") == stores.order_option(found, found.refined[0]) == ""


def test_a_stacker_is_fitted_on_a_part_and_kept_apart_from_what_is_scored(plan):
    def change(config):
        config["systems"]["stacking_shared"]["stacking"] |= {"fit_on": "voc_train", "fit_pictures": 20}

    found, default = plan(change=change), plan()
    assert systems.fitted_on(default, "stacking_shared") == systems.fitted_checks(default, "stacking_shared") == []
    assert systems.fitted_on(found, "stacking_shared")[-1] == "data/manifests/voc_train_20.csv"
    assert systems.fitted_checks(found, "stacking_shared") == ["results/full/checks/voc_train.passed"]
    assert systems.stacking_options(found, "stacking_shared").startswith(
        "--fit-manifest data/manifests/voc_train_20.csv --fit-members results/full/scores/"
    )
    assert systems.kept_apart(found, "stacking_shared") == ["data/manifests/voc_val.csv"]
    member = found.config.systems["stacking_shared"].members[0]
    check = "results/full/checks/apart/stacking_shared.json"
    assert systems.apart_checks(found, member, "voc_train_20") == [check]
    assert systems.apart_checks(found, member, "voc_val") == []


def test_a_stacker_below_what_is_tuned_keeps_apart_from_its_pictures_too(plan):
    def change(config):
        config["systems"]["stacking_shared"]["stacking"]["fit_on"] = "sbd_train"
        config["systems"][TUNED]["crf"]["members"] = ["stacking_shared"]

    assert systems.kept_apart(plan(change=change), "stacking_shared") == [
        "data/manifests/voc_val.csv",
        "data/manifests/voc_train.csv",
    ]


def test_a_tuned_crf_takes_from_the_config_only_what_no_search_finds(plan):
    found = plan(change=lambda config: config["systems"][TUNED]["crf"].update(drop_below=0.01))
    assert systems.crf_options(found, TUNED) == "--drop-below 0.01 --storage-stride 1"
    assert "--drop-below 0.01" in systems.search_options(found, TUNED)
    assert systems.found_parameters(found, TUNED) == f"results/full/crf_search/{TUNED}.json"
    assert systems.found_parameters(found, "edeconvnet_crf") == []


# ---- what they are made of


def test_the_audit_reads_all_that_was_seen_and_all_that_is_scored(plan):
    found = plan()
    audited = lineage.audited_manifests(found)
    assert {"data/manifests/voc_train_100.csv", "data/manifests/seg11valid.csv"} <= set(audited)
    assert audited == sorted(set(audited))
    assert lineage.seen_by(found, "fcn8s") == ["data/manifests/sbd_train.csv"]
    assert all(file.startswith("results/full/stackers/") for file in lineage.fold_reports(found))


def test_coco_is_compared_only_beside_others(plan):
    assert plan().is_compared
    only = "fcn8s"

    def change(config):
        for section in ("models", "systems"):
            config[section] |= dict.fromkeys(name for name in config[section] if not name.startswith("fcn"))
        config["submission"] = {"systems": [only]}

    assert not plan(change=change).is_compared


def test_provenance_is_read_from_the_files_that_its_options_name(plan):
    found = plan()
    files = lineage.origin_inputs(found, ("edeconvnet", "voc_val"))
    options = lineage.origin_options(found, "edeconvnet", "voc_val")
    assert "data/downloads" not in options
    assert all(file in options for names in files.values() for file in names)
    assert lineage.config_sha256(found, "edeconvnet", "voc_val") in options


# ---- stores


def test_a_store_keeps_the_number_of_shards_that_it_was_made_in(plan):
    found, pair = plan(shards=3), ("fcn8s", "voc_val")
    assert stores.shard_count(found, *pair) == 3
    assert stores.parts_of(found, *pair)[0] == "results/full/shards/fcn8s/voc_val/1-of-3.h5"
    store, record = Path(found.scores(*pair)), Path(stores.shards_record(found, *pair))
    store.parent.mkdir(parents=True)
    store.touch()
    assert stores.shard_count(found, *pair) == 1
    record.parent.mkdir(parents=True)
    record.write_text("5\n")
    assert stores.shard_count(plan(), *pair) == 5
    record.write_text("many")
    with pytest.raises(UserError, match=r"voc_val\.count: 'many' is no number of shards; delete this file"):
        stores.gathered(found)


def test_a_shard_is_one_option():
    assert stores.shard_option("2-of-8") == "--shard 2/8"
    assert stores.shard_option(None) == ""


def test_all_stores_of_a_run_are_made_once(plan):
    made = stores.stores_made(plan())
    assert len(made) == len(set(made))
    assert (TUNED, "voc_val") in made
    assert any(split == "voc_train_100" for _, split in made)
    jobs = stores.timed_jobs(plan(shards=4))
    assert "predict/fcn8s/voc_val/*-of-4" in jobs
    assert "fuse/stacking_vote/voc_val" in jobs
    assert len(jobs) == len(set(jobs))


# ---- targets and parts of the config


def test_targets_follow_the_config(plan):
    found = plan()
    assert "results/full/tables/miou.tex" in targets.tables(found)
    assert f"results/full/tables/crf_search/{TUNED}.csv" in targets.tables(found)
    assert targets.submissions(found) == []  # no test pictures at this scale
    assert len(targets.submissions(plan("sample"))) == 1
    assert not any("voc_test" in file for file in targets.label_checks(found))
    files = [*targets.tables(found), *targets.figures(found)]
    assert len(files) == len(set(files))


def test_every_resolved_part_is_json(plan):
    found = plan()
    merged = {"seed": 1, "runtime": {"gpus": 2}, "archives_dir": "/x"}
    for part in resolved.parts(found):
        json.loads(resolved.resolved(found, part, merged))
    assert json.loads(resolved.resolved(found, "config.json", merged)) == {"seed": 1}
    spec = json.loads(resolved.resolved(found, "models/fcn8s/spec.yaml", merged))
    assert spec == model_spec(found.config, "fcn8s").plain()
    published = json.loads(resolved.resolved(found, "metrics/published.json", merged))
    assert published["fcn8s"]["seg11valid"]["miou"] > 60
