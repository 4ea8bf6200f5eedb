"""What each kind of change reruns on a finished run at scale full: the table in docs/faults.md.

The run is finished by `snakemake --touch` on empty files: Snakemake then knows the parameters and inputs of each, as
after a real run, and no job has run. A dry run with a change says which files it would make again; what it does not
name it does not touch, and only what a job makes again is removed (before the job starts).
"""

import csv
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from segrepro.report.tables import TABLES
from workflow_runs import ROOT, called, command

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
MODELS = ("fcn32s", "fcn16s", "deeplabv3_trainaug")  # fcn16s starts from fcn32s
DATASETS = ("trainaug", "sbd_train", "voc_val", "seg11valid", "coco20_val")


def only(section: str, names: tuple[str, ...]) -> dict:
    return {name: None for name in CONFIG[section] if name not in names}


# Of each kind one, so that a call takes seconds: models that start from files and from one another, systems made of
# systems, a refined one.
BASE = {
    "scale": "full",
    "models": only("models", MODELS),
    "systems": only("systems", MODELS)
    | {
        "deeplabv3_trainaug": {"splits": ["voc_val", "coco20_val"]},  # so that COCO is compared with VOC and SBD
        "pair": {"fusion": {"kind": "mean", "members": ["fcn16s", "deeplabv3_trainaug"]}, "splits": ["voc_val"]},
        "refined": {"crf": {"preset": "deeplab_vgg", "members": ["pair"]}, "splits": ["voc_val"]},
        "stacked": {
            "stacking": {"kind": "linear", "members": ["fcn16s", "deeplabv3_trainaug"]},
            "splits": ["voc_val"],
        },
    },
    "datasets": only("datasets", DATASETS) | {"coco20_val": {"disjoint_from": []}},
    "figures": {
        "compared": {"systems": []},
        "grid": {"systems": []},
        "class_bars": {"systems": ["fcn16s", "pair"]},
        "weak_classes": {"baseline": "fcn16s", "systems": ["pair"]},
    },
    "ablations": only("ablations", ()) | {"skips": {"baseline": "fcn32s", "systems": ["fcn16s"]}},
}


# What takes more than seconds at scale full, or a network: data, weights, scores, metrics. All else is made of these.
COSTLY = re.compile(
    "fetch|convert|manifest|check_labels|spec|train(?!ing)|import|predict|proposals|fuse|stack|crf|evaluate"
)


PAGE = {"spec", "rule_graph", "page"}  # the page shows the config


class FinishedRun:
    """A finished run of a copy of the project, in a folder of its own."""

    def __init__(self, folder: Path):
        self.project, self.work = folder / "project", folder / "work"
        self.project.mkdir()
        self.work.mkdir()
        for name in ("workflow", "profiles", "envs"):
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, self.project)
        for row in self.summary():
            path = self.work / row["output_file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.suffix:  # the outputs that are folders
                path.mkdir()
            else:
                path.touch()
        self.call("--touch", "--forceall")  # also what has no input, and would be taken for finished

    def call(self, *arguments: str, change: dict | None = None) -> str:
        """Run Snakemake on the project, with a change laid over the config."""
        call = command(self.work, *arguments, overlay=[BASE, change or {}])
        call[call.index("--snakefile") + 1] = str(self.project / "Snakefile")
        done = called(call)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    def summary(self, change: dict | None = None) -> list[dict]:
        """Return a row of each output file: its rule, and whether it would be made again."""
        table = [line for line in self.call("--detailed-summary", change=change).splitlines() if "\t" in line]
        assert table[0].startswith("output_file\t"), table[0]
        return list(csv.DictReader(table, delimiter="\t"))

    def reruns(self, change: dict | None = None) -> tuple[set[str], set[str]]:
        """Return what a change makes again: costly jobs (kind and name), and the rules of all else."""
        costly, cheap = set(), set()
        for row in self.summary(change):
            if row["plan"] != "update pending":
                continue
            of_no_model = row["rule"] == "spec" and "/models/" not in row["output_file"]
            if (kind := COSTLY.match(row["rule"])) and not of_no_model:
                name = re.search(r"(?:models|scores|metrics|stackers)/(\w+)", row["output_file"])
                costly.add(f"{kind[0]} {name[1]}" if name else kind[0])
            else:
                cheap.add(row["rule"])
        return costly, cheap


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> FinishedRun:
    finished = FinishedRun(tmp_path_factory.mktemp("finished"))
    assert finished.reruns() == (set(), set()), "a finished run must have nothing to do"
    return finished


def test_comments_code_mirrors_and_settings_of_the_run_rerun_nothing_but_the_page(run):
    for file in [run.project / "config.yaml", *(run.project / "workflow/rules").glob("*.smk")]:
        file.write_text(file.read_text() + "\n# a comment\n")
    assert run.reruns() == (set(), {"rule_graph", "page"})  # the page draws the rules
    for file in [*(run.project / "workflow/segrepro").rglob("*.py"), *(run.project / "envs").glob("*.yaml")]:
        file.write_text(file.read_text() + "\n# another comment\n")
    change = {
        "archives": {"voc2012_trainval": {"urls": ["https://example.org/VOCtrainval_11-May-2012.tar"]}},
        "weights": {"vgg16_imagenet": {"urls": ["file:///mine/vgg16_weights_tf_dim_ordering_tf_kernels.h5"]}},
        "archives_dir": "/archives",
        "runtime": {
            "checkpoint_minutes": 3,
            "checkpoint_every": 9,
            "tensorboard": True,
            "deterministic": False,
            "fetch": {"attempts": 1, "stall_seconds": 7},
            "shards": 4,
        },
        # entries that nothing uses
        "protocols": {"deeplabv3_coco20": {"learning_rate": 0.5}},
        "networks": {"fcn8s": {"dropout": 0.1}},
    }
    costly, cheap = run.reruns(change)
    assert costly == set()
    assert cheap == PAGE


# What follows from other predictions, beside the costly jobs; figure_crf and figure_training are said of each.
OF_SCORES = {
    *("figure_confusion", "figure_grid", "figure_object_sizes", "figure_trimap"),
    *("page_pictures", "provenance", "statistics"),
    *(f"table_{name}" for name, entry in TABLES.items() if entry.made_by),
}
# The tables that read what the config says of systems (`metrics/systems.json`), and those with intervals.
OF_SYSTEMS = {f"table_{name}" for name in ("miou", "report2", "voc2012_test", "crf", "ablation", "reproduction")}
OF_INTERVALS = {f"table_{name}" for name in ("miou", "crf", "ablation", "paired", "reproduction", "boundary")}
# `figures.class_bars` and `figures.weak_classes` show fcn16s and pair.
CLASS_BARS = {"figure_class_bars", "figure_weak_classes"}
OF_TRAINING = OF_SCORES | {"audit", *CLASS_BARS, "figure_crf", "figure_training"}
REFINED = {"fuse pair", "crf refined", "evaluate pair", "evaluate refined"}
STACKED = {"stack stacked", "evaluate stacked"}
OF_FCN16S = {"train fcn16s", "predict fcn16s", "evaluate fcn16s", *REFINED, *STACKED}
OF_FCN32S = {"train fcn32s", "predict fcn32s", "evaluate fcn32s", *OF_FCN16S}
OF_DEEPLAB = {
    *(f"{job} deeplabv3_trainaug" for job in ("spec", "train", "predict", "evaluate")),
    *(*REFINED, *STACKED),
}

# By what the rows of docs/faults.md ("What a change reruns") name: changes, each with the costly jobs and the rules of
# all else that it makes again, exactly, but for the page, which shows the config.
CHANGES = {
    "figures.*": [
        (
            {
                "figures": {
                    "grid": {"worst": 3, "systems": ["refined", "pair"]},
                    "compared": {"systems": ["fcn32s", "pair"]},
                    "weak_classes": {"classes": 3},
                }
            },
            set(),
            {"figure_grid", "figure_object_sizes", "figure_trimap", "figure_weak_classes"},
        ),
        ({"figures": {"class_bars": {"systems": ["fcn32s"]}}}, set(), {"figure_class_bars"}),
    ],
    "statistics.*": [
        (
            {"statistics": {"resamples": 100}},
            set(),
            {"statistics", *OF_INTERVALS}
            | {f"figure_{name}" for name in ("class_bars", "weak_classes", "confusion", "object_sizes", "trimap")},
        )
    ],
    "ablations.*": [({"ablations": {"skips": {"systems": ["pair"]}}}, set(), OF_SYSTEMS)],
    "near_duplicates": [({"near_duplicates": {"pairs": 5}}, set(), {"near_duplicates"})],
    "systems.<s>.published": [
        (
            {"systems": {"fcn32s": {"published": {"seg11valid": {"miou": 63.7}}}}},
            set(),
            {"table_miou", "table_reproduction"},
        )
    ],
    "label_checks, datasets": [
        (
            {"label_checks": {"max_background_share": 0.9}, "datasets": {"trainaug": {"min_void_share": 0.0}}},
            {"check_labels"},
            {"figure_labels", "passed_checks"},
        )
    ],
    "md5, sha256, bytes": [
        (
            {
                "archives": {"voc2012_trainval": {"md5": "0" * 32}, "sbd": {"bytes": 7}},
                "weights": {"vgg16_imagenet": {"sha256": "0" * 64}},
            },
            set(),
            {"checksum"},
        )
    ],
    "systems.<s>.prediction": [
        (
            {"systems": {"fcn32s": {"prediction": {"storage_stride": 8}}}},
            {"predict fcn32s", "evaluate fcn32s"},
            OF_SCORES,
        )
    ],
    "systems.<s>.fusion": [
        (
            {"systems": {"pair": {"fusion": {"weights": [1.0, 2.0]}}}},
            REFINED,
            OF_SCORES | CLASS_BARS | {"figure_crf"},
        )
    ],
    "stacking": [
        (
            {"systems": {"stacked": {"stacking": {"steps": 77}}}},
            STACKED,
            OF_SCORES | CLASS_BARS | {"audit", "figure_crf"},
        ),
    ],
    "crf": [
        (
            {"systems": {"refined": {"crf": {"preset": "deeplabv2_resnet101"}}}},
            {"crf refined", "evaluate refined"},
            OF_SCORES | {"figure_crf"},
        )
    ],
    "networks.<n>": [({"networks": {"fcn16s": {"dropout": 0.1}}}, {"spec fcn16s", *OF_FCN16S}, OF_TRAINING)],
    "protocols.<p>": [
        ({"protocols": {"deeplabv3_report": {"learning_rate": 0.01}}}, OF_DEEPLAB, OF_TRAINING),
        (
            {"protocols": {"fcn32s": {"steps": 90000}}},
            {"spec fcn32s", *OF_FCN32S},
            OF_TRAINING,
        ),  # fcn16s starts from it
    ],
    "models.<m>": [
        ({"models": {"fcn16s": {"protocol": "fcn32s"}}}, {"spec fcn16s", *OF_FCN16S}, OF_TRAINING),
    ],
    "seed": [
        (
            {"seed": 1},
            {*(f"spec {model}" for model in MODELS), *OF_FCN32S, *OF_DEEPLAB},
            OF_TRAINING,
        )
    ],
}


@pytest.mark.parametrize(
    ("change", "costly", "cheap"),
    [pytest.param(*change, id=f"{row} {n}") for row, changes in CHANGES.items() for n, change in enumerate(changes)],
)
def test_a_change_reruns_what_depends_on_it_and_nothing_else(run, change, costly, cheap):
    assert run.reruns(change) == (costly, cheap | PAGE)


def test_every_row_of_the_docs_is_held():
    docs = (ROOT / "docs/faults.md").read_text()
    first, *rows = docs[docs.index("| changed |") :].split("\n\n")[0].splitlines()[2:]
    assert first.startswith("| a comment or code")  # the test above
    assert {key for row in rows for key in re.findall("`([^`]+)`", row.split("|")[1])} == {
        key for keys in CHANGES for key in keys.split(", ")
    }


def test_after_checks_that_failed_nothing_is_trained_anew_and_what_must_be_waits_for_them(run):
    """Snakemake deletes what a job writes before it starts, and those that failed have written nothing."""
    checks = run.work / "results/full/checks/trainaug.json"
    times = checks.stat()
    checks.unlink()
    try:
        costly, _ = run.reruns()
        assert {job.split()[0] for job in costly} == {"check_labels", "evaluate"}
        change = {"seed": 1, "label_checks": {"max_background_share": 0.9}}
        waiting = run.call("results/full/models/deeplabv3_trainaug/model.keras", "--dry-run", change=change)
        assert {"train", "passed_checks", "check_labels"} <= set(re.findall(r"rule (\w+):", waiting)), waiting[-3000:]
    finally:
        checks.touch()
        os.utime(checks, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_no_output_is_temporary():
    """Weights and scores stay until a change that they depend on makes them again."""
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        text = file.read_text().replace('temp(f"{RESULTS}/shards/', "")  # merged into a score store, which stays
        assert not re.search(r"\btemp\(|\btemporary\(|\bshadow:", text), file
