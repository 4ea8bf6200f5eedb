"""What a run plans, and how it refuses: seconds, no training."""

import re
import shlex
import subprocess

import pytest
import yaml

from segrepro.cli import command_of, verb_parser
from segrepro.options import check_values
from workflow_runs import ROOT, command, planned, snakemake, without_others


def test_the_full_scale_is_planned_with_no_data_on_disk(tmp_path):
    rules = planned(tmp_path, "--config", "scale=full")
    # VOC, SBD, three of COCO, three of ImageNet weights, an edge detector, six released models
    assert rules["fetch"] == 15
    assert rules["train"] == 15
    assert rules["import_weights"] == 6
    assert rules["predict"] == 33
    assert rules["fuse"] == 5
    assert rules["stack"] == 3
    assert rules["crf"] == 7
    assert rules["crf_search"] == rules["subset"] == rules["check_apart"] == 1
    assert rules["evaluate"] == 47
    assert rules["proposals"] == 3
    assert rules["checksum"] == 14  # COCO's val pictures are neither trained on nor scored
    assert rules["provenance"] == 1
    assert "submission" not in rules  # no test pictures
    assert "sample_archives" not in rules
    assert not (tmp_path / "data").exists()


def test_the_small_scale_is_planned_without_the_large_archive(tmp_path):
    rules = planned(tmp_path, "--config", "scale=small")
    # VOC, SBD, two of COCO, two of ImageNet weights, an edge detector, five released models
    assert rules["fetch"] == 12
    assert rules["convert"] == 3  # VOC, SBD, COCO's val2017
    assert rules["train"] == 14
    assert rules["import_weights"] == 5
    assert (rules["fuse"], rules["stack"], rules["crf"], rules["crf_search"]) == (5, 3, 7, 1)
    assert rules["figure_weak_classes"] == rules["table_ablation"] == rules["page"] == 1
    assert not (tmp_path / "data").exists()


def test_released_networks_are_planned_with_three_archives_and_no_training(tmp_path):
    done = snakemake(tmp_path, "--dry-run", "--config", "scale=released")
    assert done.returncode == 0, done.stdout[-3000:]
    assert set(re.findall(r"output: data/downloads/(\S+)", done.stdout)) == {
        "VOCtrainval_11-May-2012.tar",
        "deeplabv3_mnv2_pascal_train_aug_2018_01_29.tar.gz",
        "deeplabv3_mnv2_dm05_pascal_trainaug_2018_10_01.tar.gz",
    }
    rules = planned(tmp_path, "--config", "scale=released")
    assert "train" not in rules
    assert (rules["import_weights"], rules["predict"], rules["fuse"], rules["crf"]) == (2, 3, 1, 1)
    assert rules["table_reproduction"] == rules["page"] == 1


def test_the_released_xception_is_an_overlay_that_fetches_one_archive_more(tmp_path):
    overlay = ROOT / "examples/released_xception.yaml"
    done = snakemake(tmp_path, "--dry-run", overlay=overlay)
    assert done.returncode == 0, done.stdout[-3000:]
    fetched = re.findall(r"output: data/downloads/(\S+)", done.stdout)
    assert len(fetched) == 4
    assert "deeplabv3_pascal_train_aug_2018_01_04.tar.gz" in fetched
    assert "rule train:" not in done.stdout
    # what the overlay has to say again, since the scale leaves it out, is what the published config says
    said, published = (yaml.safe_load(file.read_text()) for file in (overlay, ROOT / "config.yaml"))
    for key in ("models", "systems"):
        for name, entry in said[key].items():
            assert entry == published[key][name]


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        (
            {"models": {"deeplabv3_coco20": {"dataset": "coco20"}}},
            "models.deeplabv3_coco20.dataset: 'coco20' is made of archives.coco2017_train, which is null; give that",
        ),
        (
            {"archives": {"coco2017_annotations": None}},
            "models.deeplabv3_coco90.dataset: 'coco90_val' is made of archives.coco2017_annotations, which is null",
        ),
        (
            {"networks": {"deeplabv3plus_mnv2": {"variant": "slim"}}},
            "networks.deeplabv3plus_mnv2.variant: of mobilenet_v2 there is no 'slim'; use keras or released",
        ),
    ],
)
def test_what_the_small_scale_lacks_is_named_before_anything_runs(tmp_path, overlay, sentence):
    done = snakemake(tmp_path, "--dry-run", overlay=overlay | {"scale": "small"})
    assert done.returncode == 1
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout


def test_a_disk_without_room_for_the_plan_is_refused_before_anything_runs(tmp_path):
    overlay = {"datasets": {"voc_val": {"pictures": 2 * 10**9, "ids_sha256": None}}}
    done = snakemake(tmp_path, "--cores", "1", "results/tables/miou.csv", overlay=overlay)
    assert done.returncode == 1
    assert re.search(r"this run is to write about \d+\.\d\d GB there \(.*score stores .*GB are free", done.stdout)
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "data").exists()


def test_the_full_scale_takes_the_test_pictures_where_they_are_configured(tmp_path):
    overlay = {
        "scale": "full",
        "archives": {"voc2012_test": {"file": "VOC2012test.tar", "urls": ["https://example.org/VOC2012test.tar"]}},
    }
    rules = planned(tmp_path, overlay=overlay)
    assert rules["convert"] == 5  # VOC and its test pictures, SBD, two of COCO
    assert rules["fetch"] == 16
    assert rules["submission"] == 1
    assert rules["predict"] == 34


def test_edge_boxes_take_a_forest_or_gradients_or_the_users_edge_maps(tmp_path):
    """The folder of maps is an input: without it nothing starts."""
    folder = tmp_path / "edge maps"
    methods = {
        "gradients": {"method": "edge_boxes", "max_boxes": 99},
        "maps": {"method": "edge_boxes", "edges": str(folder)},
    }
    targets = [f"data/proposals/{method}/voc_val.h5" for method in ("edge_boxes", *methods)]
    options = ("--dry-run", "--printshellcmds", "--config", "scale=full")
    absent = snakemake(tmp_path, *targets, *options, overlay={"proposals": methods})
    assert absent.returncode == 1
    assert "edge maps" in absent.stdout
    assert "Traceback" not in absent.stdout
    folder.mkdir()
    done = snakemake(tmp_path, *targets, *options, overlay={"proposals": methods})
    calls = dict(re.findall(r"--method edge_boxes +(.*) --cache .* --out data/proposals/(\w+)/", done.stdout))
    settings = (
        "--min-side 10 --alpha 0.65 --beta 0.75 --eta 1.0 --min-score 0.01 --search-boxes 10000 "
        "--edge-min-magnitude 0.1 --edge-merge-threshold 0.5 --cluster-min-magnitude 0.5 --max-aspect-ratio 3.0 "
        "--min-box-area 1000.0 --gamma 2.0 --kappa 1.5"
    )
    assert {method: call for call, method in calls.items()} == {
        "edge_boxes": f"--max-boxes 2000 {settings} --model data/downloads/structured_forest.yml.gz",
        "gradients": f"--max-boxes 99 {settings} --edges sobel",
        "maps": f"--max-boxes 2000 {settings} --edges '{folder}'",
    }


@pytest.mark.parametrize("system", ["edeconvnet_crf", "stacking_vote"])
def test_any_kind_of_system_can_be_sent_to_the_test_server(tmp_path, system):
    target = f"results/submission/{system}/results.tar.gz"
    rules = planned(tmp_path, target, overlay={"submission": {"systems": [system]}})
    assert rules["submission"] == 1
    assert "evaluate" not in rules


def test_the_table_alone_makes_only_what_it_needs(tmp_path):
    rules = planned(tmp_path, "results/tables/miou.csv", overlay=without_others("deeplabv3_trainaug"))
    assert rules["convert"] == 2  # VOC and SBD
    assert "figure_grid" not in rules
    assert "submission" not in rules
    assert rules["train"] == 1


def test_a_stacker_is_fitted_on_a_part_that_its_members_predict_for_it_alone(tmp_path):
    overlay = {"systems": {"stacking_shared": {"stacking": {"fit_on": "voc_train", "fit_pictures": 20}}}}
    rules = planned(tmp_path, "results/scores/stacking_shared/voc_val.h5", overlay=overlay)
    assert rules["predict"] == 6  # three members, what is scored and what is fitted on
    assert rules["subset"] == rules["check_apart"] == rules["stack"] == 1
    assert "check_apart" in planned(tmp_path, "results/scores/deeplabv3_coco20/voc_train_20.h5", overlay=overlay)
    assert "check_apart" not in planned(tmp_path, "results/scores/deeplabv3_coco20/voc_val.h5", overlay=overlay)


def test_published_weights_stand_in_for_training(tmp_path):
    overlay = without_others("deeplabv3plus_released_trainaug") | {"scale": "full"}
    rules = planned(tmp_path, "results/full/tables/miou.csv", overlay=overlay)
    assert rules["import_weights"] == 1
    assert "train" not in rules
    assert rules["convert"] == 2  # VOC and SBD


def test_a_config_of_published_weights_alone_is_planned_to_its_end(tmp_path):
    rules = planned(tmp_path, overlay=without_others("deeplabv3plus_released_trainaug") | {"scale": "full"})
    assert rules["import_weights"] == rules["page"] == rules["figure_grid"] == 1
    assert not {"train", "figure_training"} & set(rules)  # no training, no curves of one


def test_pictures_of_the_grid_are_named_by_split_and_looked_up_before_anything_runs(tmp_path):
    ids = {"voc_val": ["2007_000033", "2007_000042"]}
    targets = [f"results/figures/grid/{split}.png" for split in ("voc_val", "seg11valid")]
    overlay = {"figures": {"grid": {"ids": ids}}}
    done = snakemake(tmp_path, *targets, "--dry-run", "--printshellcmds", overlay=overlay)
    assert done.returncode == 0, done.stdout[-2000:]
    grids = [line for line in done.stdout.splitlines() if "figure grid" in line and "--split voc_val " in line]
    assert ["--ids 2007_000033 2007_000042 " in line for line in grids] == [True]
    assert done.stdout.count("--ids 2007_000033") == 1  # the other split's are chosen by rule
    manifest = tmp_path / "data/sample/manifests/voc_val.csv"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("id,image,mask\n2007_000033,a.jpg,a.png\n")
    done = snakemake(tmp_path, *targets, "--dry-run", overlay=overlay)
    assert done.returncode == 1
    sentence = "config: figures.grid.ids.voc_val: no picture '2007_000042' in data/sample/manifests/voc_val.csv"
    assert f"{sentence}; give ids of its first column." in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        ({"protocols": {"deeplabv3_report": {"learnin_rate": 1.0}}}, "did you mean 'learning_rate'?"),
        ({"protocols": {"deeplabv3_report": {"crop": 98}}}, "protocols.deeplabv3_report.crop: 98 does not fit"),
        ({"models": {"deeplabv3_trainaug": {"init": {"model": "x"}}}}, "models.deeplabv3_trainaug.init.model"),
        ({"archives_dir": "${NO_SUCH_VARIABLE}/x"}, "environment variable NO_SUCH_VARIABLE, which is not set"),
    ],
)
def test_a_faulty_config_is_refused_in_words(tmp_path, overlay, sentence):
    done = snakemake(tmp_path, "--dry-run", overlay=overlay)
    assert done.returncode == 1
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unknown_scale_is_refused(tmp_path):
    done = snakemake(tmp_path, "--dry-run", "--config", "scale=medium")
    assert done.returncode == 1
    assert "medium" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_damaged_archive_never_reaches_its_reader(tmp_path):
    """The user's own copy of an archive is verified before anything reads it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "benchmark.tgz").write_bytes(b"not the archive")
    done = snakemake(
        tmp_path,
        "data/sbd",
        overlay={"scale": "full", "archives_dir": str(folder), "archives": {"sbd": {"urls": []}}},
    )
    assert done.returncode == 1
    assert "benchmark.tgz" in done.stdout
    assert "82b4d87ceb2ed10f6038a1cba92111cb" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "data/sbd").exists()
    assert not (tmp_path / "data/downloads/benchmark.tgz").exists()


def memory(folder, *arguments: str) -> dict[str, int]:
    """The mem_mb that a job of each rule would ask for."""
    done = snakemake(folder, "results/checks/voc_val.json", "--dry-run", *arguments)
    assert done.returncode == 0, done.stdout[-3000:]
    return {rule: int(asked) for rule, asked in re.findall(r"rule (\w+):\n(?:.+\n)*?.*mem_mb=(\d+)", done.stdout)}


def test_the_project_may_lie_in_a_folder_with_a_blank(tmp_path):
    project = tmp_path / "it's a b" / "project"
    project.parent.mkdir()
    project.symlink_to(ROOT)
    call = command(tmp_path / "run", "results/rules.dot", "--cores", "1")
    call[call.index("--snakefile") + 1] = str(project / "Snakefile")
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run/results/rules.dot").read_text().startswith("digraph")


def test_a_job_that_is_submitted_again_asks_for_its_memory_once_more(tmp_path):
    first = memory(tmp_path)
    assert (first["check_labels"], first["convert"]) == (4000, 2000)  # convert's is a function of the folder
    again = memory(tmp_path, "--attempt", "3", "--set-resources", "check_labels:mem_mb=5000")
    assert (again["check_labels"], again["convert"]) == (15000, 6000)


def test_every_job_with_a_network_asks_for_its_gpus_and_leases_them():
    """Without, it would start beside a training on the one GPU."""
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^ *rule[ :]", file.read_text(), flags=re.MULTILINE)[1:]:
            has_network = "NETWORK_ENVIRONMENT" in block
            assert has_network == ("    gpu=" in block), block.split(":")[0]
            assert has_network == ("--gpus {resources.gpu}" in block or "entries.job_options" in block), block


def test_a_training_asks_for_as_many_gpus_as_can_share_its_micro_batches(tmp_path):
    """Else FCN, which takes one picture at a time, would hold three that it leaves idle."""
    overlay = {"scale": "full", "runtime": {"gpus": 4}}
    targets = [f"results/full/models/{name}/model.keras" for name in ("fcn32s", "deeplabv3_trainaug")]
    options = ("--dry-run", "--printshellcmds", "--resources", "gpu=8")
    printed = snakemake(tmp_path, *targets, *options, overlay=overlay).stdout
    asked = dict(re.findall(r"--spec results/full/models/(\w+)/spec\.yaml .*? --gpus (\d+) ", printed))
    assert (asked["fcn32s"], asked["deeplabv3_trainaug"]) == ("1", "4")
    printed = snakemake(tmp_path, targets[1], *options[:2], "--resources", "gpu=2", overlay=overlay).stdout
    assert " --gpus 2 " in printed  # what Snakemake gives a job, and no more


def test_jobs_are_given_what_the_config_says(tmp_path):
    """A search tries the CRF that runs; a figure shows no more proposals than the system predicts by; members rank."""
    tuned = "deeplabv3_phase2_ms_flip_crf_tuned"
    systems = {tuned: {"crf": {"drop_below": 0.01}}, "deconvnet_stage1": {"proposal_wise": {"count": 3}}}
    members = yaml.safe_load((ROOT / "config.yaml").read_text())["systems"]["stacking_vote"]["fusion"]["members"]
    systems |= {member: {"splits": ["voc_val", "voc_train"]} for member in members}
    systems["stacking_vote"] = {"fusion": {"ties": "miou", "ties_from": "voc_train"}}
    targets = (
        f"results/tables/crf_search/{tuned}.csv",
        "results/figures/proposals/deconvnet_stage1.png",
        "results/scores/stacking_vote/voc_val.h5",
    )
    done = snakemake(tmp_path, *targets, "--dry-run", "--printshellcmds", overlay={"systems": systems})
    assert done.returncode == 0, done.stdout[-3000:]
    commands = dict(re.findall(r": segrepro (figure \S+|\S+) (.*)", done.stdout))
    assert "--drop-below 0.01" in commands["crf-search"]
    assert "--counts 1 3 --" in commands["figure proposals"]
    metrics = " ".join(f"results/metrics/{member}/voc_train.json" for member in members)
    assert "--ties miou " in commands["fuse"]
    assert f"--metrics {metrics} --label-space" in commands["fuse"]


@pytest.mark.parametrize("scale", ["sample", "full"])
def test_every_command_is_read_by_its_verb(tmp_path, scale):
    """An option that a rule gives and the verb does not know would be found days after the start."""
    done = snakemake(tmp_path, "--dry-run", "--printshellcmds", "--forceall", overlay={"scale": scale})
    assert done.returncode == 0, done.stdout[-3000:]
    commands = re.findall(r"(?:: |\()(segrepro [a-z-]+ .*?)(?: &>|;)", done.stdout)
    assert len(commands) > 200
    for line in commands:
        verb, words = command_of(shlex.split(line)[1:])
        parser = verb_parser(verb)
        check_values(parser, parser.parse_args(words))


def test_every_job_that_is_submitted_says_its_memory_and_run_time():
    """A cluster's default would be too little for a training and too long for a queue."""
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^ *rule[ :]", file.read_text(), flags=re.MULTILINE)[1:]:
            if "localrule: True" not in block:
                assert {"mem_mb=", "runtime="} <= set(re.findall(r"mem_mb=|runtime=", block)), block.split(":")[0]


@pytest.mark.parametrize(
    "overlay",
    [
        {"scale": "full", "runtime": {"shards": 3}},
        {"systems": {"stacking_vote_crf": None, "stacking_mean": None, "stacking_mean_crf": None}}
        | {"ablations": {"fusion": None}, "submission": {"systems": ["edeconvnet_crf"]}},
    ],
    ids=["full scale, in shards", "sample, with fewer systems"],
)
def test_the_page_times_just_the_jobs_of_the_graph(tmp_path, overlay):
    """Else it would count what other configs have left behind."""
    done = snakemake(tmp_path, "--dry-run", "--forceall", overlay=overlay)
    assert done.returncode == 0, done.stdout[-3000:]
    timed = set(re.findall(r"^ +benchmark: \S*/benchmarks/(\S+)\.tsv$", done.stdout, re.MULTILINE))
    named = re.search(r"segrepro page .* --jobs (.*?) --", done.stdout)[1].replace("'", "").split()
    assert len(timed) > 50
    assert {re.sub(r"/\d+-of-", "/*-of-", job) for job in timed} == set(named)
    assert len(named) == len(set(named))
