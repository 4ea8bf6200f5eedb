"""The tables of differences and of published results, their three forms, and the hash of a system's settings."""

import csv
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from all_tables import METRICS_TABLES, make_tables
from segrepro.config import parse_config
from segrepro.config.digest import system_digest
from segrepro.errors import UserError
from segrepro.evaluation.leakage import MARK
from segrepro.labels import VOC_CLASSES
from segrepro.report.columns import number
from segrepro.report.printed import Part, latex, markdown
from segrepro.report.published import published
from segrepro.report.systems import read_systems, systems_of


def estimate(value: float, half_width: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half_width, "high": value + half_width}


def difference(value: float, p: float) -> dict[str, float]:
    return estimate(value) | {"p": p}


def metrics_entry(system: str, miou: float, split: str = "voc_val") -> dict:
    entry = {"system": system, "split": split, "label_space": "voc21", "pictures": 60, "classes": 21, "miou": miou}
    entry |= {"pixel_accuracy": 0.9, "mean_accuracy": 0.8, "fw_iou": 0.7}
    return entry | {"per_class_iou": dict.fromkeys(VOC_CLASSES, miou)}


@pytest.fixture
def tables(tmp_path):
    """Write the inputs of `segrepro table` for three systems, make all tables, and return their folder."""

    def run(changes: dict | None = None):
        mious = {"deeplabv3_trainaug": 0.6, "crf": 0.58, "stacking_vote": 0.605}
        files = []
        for name, miou in mious.items():
            files.append(tmp_path / f"{name}.json")
            files[-1].write_text(json.dumps(metrics_entry(name, miou)))
        # Holm's factors are 3, 2 and 1 over all pairs: 0.02 alone is significant, among three (x 2) it is not.
        differences = {"deeplabv3_trainaug": {"crf": difference(0.02, 0.03), "stacking_vote": difference(-0.005, 0.5)}}
        differences["crf"] = {"stacking_vote": difference(-0.025, 0.001)}
        inputs = {
            "statistics": {
                **{"method": "BCa", "resamples": 2000, "confidence": 0.95, "seed": 0},
                "splits": {
                    "voc_val": {
                        "pictures": 60,
                        "systems": {name: estimate(miou) for name, miou in mious.items()},
                        "differences": differences,
                    }
                },
            },
            "systems": {
                "systems": [
                    {"name": "deeplabv3_trainaug", "spec": "aaa", "server": {"miou": 75.0, "per_class": {"cow": 80.5}}},
                    {"name": "crf", "spec": "bbb", "refines": "deeplabv3_trainaug"},
                ],
                "ablations": [
                    {"name": "z_first", "baseline": "deeplabv3_trainaug", "systems": ["stacking_vote", "crf"]}
                    | {"note": "longer trained too"},
                    {"name": "absent", "baseline": "elsewhere", "systems": ["crf"]},
                ],
            },
            "leakage": {"deeplabv3_trainaug": {"voc_val": 0}, "crf": {"voc_val": 0}, "stacking_vote": {"voc_val": 1.0}},
            **(changes or {}),
        }
        given = {"metrics": list(map(str, files))}
        for name, content in inputs.items():
            (tmp_path / f"in_{name}.json").write_text(json.dumps(content))
            given[name] = [str(tmp_path / f"in_{name}.json")]
        make_tables(tmp_path / "tables", given)
        return tmp_path / "tables"

    return run


def rows(folder, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / f"{name}.csv").open(newline="")))


def test_every_table_comes_in_three_forms(tables):
    folder = tables()
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{form}" for name in METRICS_TABLES for form in ("csv", "md", "tex")
    }
    for name in METRICS_TABLES:
        text = (folder / f"{name}.tex").read_text()
        code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        assert code.isascii()
        assert code.count(r"\begin{tabular}") == code.count(r"\end{tabular}") > 0
        assert not re.search(r"(?<!\\)_", code)
        assert code.count("{") == code.count("}")


def test_the_main_table_has_interval_leak_mark_and_spec(tables):
    folder = tables()
    first, _, vote = rows(folder, "miou")
    assert (first["miou"], first["miou_low"], first["miou_high"], first["spec"]) == ("60.00", "59.00", "61.00", "aaa")
    assert (vote["leaks"], vote["spec"]) == ("100.00", "")
    text = (folder / "miou.md").read_text()
    assert "60.00 [59.00, 61.00]" in text
    assert f"| stacking_vote {MARK} " in text
    assert "95 % BCa bootstrap intervals over pictures (2000 resamples)" in text


def test_a_crf_that_makes_it_worse_is_said_to(tables):
    (row,) = rows(tables(), "crf")
    assert row == {
        **{"system": "crf", "refines": "deeplabv3_trainaug", "split": "voc_val", "leaks": "", "refines_leaks": ""},
        **{"before": "60.00", "after": "58.00", "gain": "-2.00", "gain_low": "-3.00", "gain_high": "-1.00"},
        **{"p": "0.0300", "p_holm": "0.0300", "verdict": "worse"},
    }


def test_an_ablation_is_told_from_its_baseline(tables):
    folder = tables()
    found = rows(folder, "ablation")
    assert {row["ablation"] for row in found} == {"z_first"}
    assert [(row["system"], row["difference"], row["verdict"]) for row in found] == [
        ("deeplabv3_trainaug", "", ""),
        ("stacking_vote", "0.50", "unclear"),
        ("crf", "-2.00", "unclear"),
    ]
    assert [row["note"] for row in found] == ["longer trained too", "", ""]
    text = (folder / "ablation.md").read_text()
    assert "## z_first" in text
    assert "first: longer trained too." in text
    assert "+0.50 [-0.50, +1.50]" in text


def test_every_two_systems_are_paired_once(tables):
    folder = tables()
    found = {(row["first"], row["second"]): row["difference"] for row in rows(folder, "paired")}
    assert found == {
        ("deeplabv3_trainaug", "crf"): "2.00",
        ("deeplabv3_trainaug", "stacking_vote"): "-0.50",
        ("crf", "stacking_vote"): "-2.50",
    }
    last = (folder / "paired.md").read_text().split(f"stacking_vote {MARK}")[1].splitlines()[0]
    assert [cell.strip() for cell in last.split("|")[1:-1]] == ["60.50", "+0.5", "+2.5*"]


def test_verdicts_are_corrected_for_the_number_of_comparisons_in_the_table(tables):
    folder = tables()
    found = {(row["first"], row["second"]): row for row in rows(folder, "paired")}
    one = found["deeplabv3_trainaug", "crf"]
    assert (one["p"], one["p_holm"], one["verdict"]) == ("0.0300", "0.0600", "unclear")  # its interval excludes zero
    assert [row["verdict"] for row in found.values()] == ["unclear", "unclear", "worse"]
    assert "Holm's correction for the 3 differences of this table" in (folder / "paired.md").read_text()
    assert "Holm's correction for the 1 differences" in (folder / "crf.md").read_text()


def test_report_2_stands_beside_what_was_measured(tables):
    folder = tables()
    table = {(row["criterion"], row["origin"]): row for row in rows(folder, "report2")}
    assert table["mIoU", "published"]["Deeplabv3_pascal_trainaug"] == "76.42"
    assert table["mIoU", "measured"]["Deeplabv3_pascal_trainaug"] == "60.00"
    assert table["mIoU", "measured"]["Deeplabv3_coco20_train"] == ""
    assert table["pixel accuracy", "published"]["Stacking"] == "97.55"
    tests = [table["test mIoU", origin] for origin in ("published", "measured")]
    assert [row["Deeplabv3_pascal_trainaug"] for row in tests] == ["75.72", "75.00"]
    assert f"60.50 {MARK}" in (folder / "report2.md").read_text()


def test_the_servers_answers_follow_the_published_results(tables):
    *others, own = rows(tables(), "voc2012_test")
    assert {row["method"] for row in others} >= {"FCN-8s", "EDeconvNet+CRF", "Deeplabv3_pascal_trainaug"}
    assert (own["method"], own["miou"], own["cow"], own["cat"]) == ("deeplabv3_trainaug", "75.00", "80.50", "")


def test_nothing_is_written_when_an_input_does_not_fit(tables, tmp_path):
    changes = {"statistics": {"method": "BCa", "resamples": 9, "confidence": 0.9, "seed": 0, "splits": {}}}
    with pytest.raises(SystemExit) as stopped:
        tables(changes)
    assert "'deeplabv3_trainaug' has no interval on 'voc_val'; run `segrepro statistics` again." in stopped.value.code
    with pytest.raises(SystemExit) as stopped:
        tables({"systems": {"system": []}})
    assert "in_systems.json: system: unknown key; did you mean 'systems'?" in stopped.value.code
    assert not (tmp_path / "tables").exists()


def test_declarations_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "d.json"
    path.write_text('{"systems": 3}')
    with pytest.raises(UserError, match=r"d.json: systems: .*make it with the workflow"):
        read_systems(path)


def test_an_empty_table_says_so():
    table = ("Title", [Part("", [], [])], ["A note of a_b."])
    assert markdown(*table) == "# Title\n\nNothing to show.\n\nA note of a\\_b.\n"
    assert all(line.startswith("%") for line in latex(*table).splitlines())


def test_latex_has_minus_signs_and_scales_what_is_wide():
    text = latex("T", [Part("", ["a", "b"], [["coco-20 50%", "-1.20 [-3.00, +4.00]"]])], [])
    assert "coco-20 50\\%" in text
    assert "$-$1.20 [$-$3.00, +4.00]" in text
    assert "resizebox" not in text
    wide = Part("", ["a" * 60, "b" * 60], [["1", "2"]])
    assert r"\resizebox{\linewidth}{!}" in latex("T", [wide], [])


@given(st.floats(-1, 1))
def test_differences_have_a_sign_unless_they_round_to_nothing(fraction):
    for text in (number(100 * fraction, "+.2f"), number(100 * fraction, "+.1f")):
        assert (text[0] in "+-") == (float(text) != 0)


def test_published_results_are_consistent(merged_config):
    """Each class row agrees with its mean, each named system exists, and the config reports the same numbers."""
    entries = list(published().itertuples())
    systems = merged_config("full")["systems"]
    assert sum(bool(row.cow) for row in entries) == 9
    for row in entries:
        assert row.source
        assert row.reference
        if row.cow:
            assert sum(float(getattr(row, name)) for name in VOC_CLASSES) / 21 == pytest.approx(
                float(row.miou), abs=0.0501
            )
        if row.system:
            stated = systems[row.system].get("published", {}).get(row.split)
            if row.split != "voc_test":
                assert stated["miou"] == float(row.miou)
                assert stated.get("pixel_accuracy") == (float(row.pixel_accuracy) if row.pixel_accuracy else None)
    known = {(row.system, row.split) for row in entries}
    assert {(name, split) for name, system in systems.items() for split in system.get("published", {})} <= known


def test_the_config_declares_crfs_ablations_and_answers(merged_config):
    config = merged_config()
    config["systems"]["fcn8s"]["server"] = {"miou": 62.2, "url": "http://host.robots.ox.ac.uk:8080/anonymous/X.html"}
    found = systems_of(parse_config(config))
    assert found.crfs["edeconvnet_crf"] == "edeconvnet"
    assert found.answers["fcn8s"].miou == 62.2
    assert [question.name for question in found.ablations][:2] == ["fcn_skips", "deconvnet_stages"]
    assert len({system.spec for system in found.systems}) == len(found.systems)


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("protocols.deeplabv3_report.momentum", 0.8, {"deeplabv3_trainaug", "deeplabv3_phase2", "stacking_vote_crf"}),
        ("systems.deeplabv3plus_trainaug.prediction", {"flip": True}, {"deeplabv3plus_trainaug", "stacking_vote_crf"}),
        ("systems.stacking_vote_crf.crf.preset", "deeplab_vgg", {"stacking_vote_crf"}),
        ("proposals.selective_search.max_boxes", 100, {"deconvnet_stage1", "deconvnet_stage2", "edeconvnet"}),
        ("systems.fcn8s.published", {}, set()),
        ("archives.sbd.urls", [], set()),
        ("figures.grid.best", 3, set()),
    ],
)
def test_a_systems_hash_follows_its_whole_lineage_and_nothing_else(merged_config, path, value, changed):
    watched = {"deeplabv3_trainaug", "deeplabv3_phase2", "deeplabv3plus_trainaug", "stacking_vote_crf"}
    watched |= {"deconvnet_stage1", "deconvnet_stage2", "edeconvnet", "fcn8s"}
    before, config = parse_config(merged_config()), merged_config()
    section = config
    *parents, last = path.split(".")
    for key in parents:
        section = section[key]
    section[last] = value
    after = parse_config(config)
    assert {name for name in watched if system_digest(before, name) != system_digest(after, name)} == changed
