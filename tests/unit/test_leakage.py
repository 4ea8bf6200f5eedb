"""The leakage audit: which scored pictures were seen, through which ancestor, and who is clean."""

import csv
import json
from pathlib import Path

import pytest

from segrepro.cli import main
from segrepro.config import parse_config
from segrepro.errors import UserError
from segrepro.evaluation.leakage import (
    FIRST_IDS,
    audit,
    leak_marks,
    leakage_rows,
    leaking_share,
    manifest_ids,
    marked,
    read_marks,
    share_text,
)
from segrepro.graph import Graph, check_graph, graph_of, read_graph
from segrepro.report.page.graphs import lineage_svg


@pytest.fixture
def manifest(tmp_path):
    """Write a manifest of the given ids and return its entry in a lineage."""

    def write(name: str, *ids: str) -> dict[str, str]:
        path = tmp_path / f"{name}.csv"
        path.write_text("id,image,mask\n" + "".join(f"{i},{i}.jpg,{i}.png\n" for i in ids))
        return {"name": name, "manifest": str(path)}

    return write


@pytest.fixture
def family(manifest):
    """An ensemble of two: one member's model starts from one that was trained on the scored picture v2."""
    return {
        "systems": {
            "ensemble": {"kind": "fusion", "members": ["clean", "child"], "splits": ["val"]},
            "clean": {"kind": "model", "model": "clean", "splits": ["val"]},
            "child": {"kind": "model", "model": "child", "splits": ["val"]},
        },
        "models": {
            "clean": {"trained_on": manifest("train", "t1", "t2")},
            "child": {"trained_on": manifest("more", "t2", "t3"), "init": "grandparent"},
            "grandparent": {"trained_on": manifest("old", "t1", "v2")},
        },
        "weights": {},
        "splits": {"val": manifest("val", "v1", "v2", "v3", "v4")["manifest"]},
    }


def audited(content: dict) -> dict:
    return {(entry.system, entry.split): entry for entry in audit(check_graph(Graph.model_validate(content)))}


def refused(content: dict) -> str:
    with pytest.raises(UserError) as caught:
        audited(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_picture_that_a_grandparent_saw_is_named_with_the_grandparent(family):
    found = audited(family)["ensemble", "val"]
    assert found.leaked == ["v2"]
    assert (found.scored, found.share) == (4, 0.25)
    assert [str(leak) for leak in found.leaks] == ["ensemble <- child <- grandparent (trained on old)"]
    assert audited(family)["clean", "val"].leaked == []


def test_of_several_ancestors_the_nearest_comes_first_and_pictures_count_once(family, manifest):
    family["systems"]["ensemble"]["tuned_on"] = [manifest("tuning", "v2", "v3")]
    family["models"]["clean"]["init"] = "grandparent"
    found = audited(family)["ensemble", "val"]
    assert [leak.through for leak in found.leaks] == ["ensemble", "ensemble <- clean <- grandparent"]
    assert [leak.seen_as for leak in found.leaks] == ["tuned on tuning", "trained on old"]
    assert found.leaked == ["v2", "v3"]


def test_a_crf_leaks_what_it_was_tuned_on_and_what_lies_below_it(family, manifest):
    family["systems"]["crf"] = {
        "kind": "crf",
        "members": ["ensemble"],
        "tuned_on": [manifest("tuning", "t9", "v4")],
        "splits": ["val"],
    }
    found = audited(family)["crf", "val"]
    assert [leak.ids for leak in found.leaks] == [("v4",), ("v2",)]
    assert found.leaks[1].through == "crf <- ensemble <- child <- grandparent"


def stacker(path, *folds, system="stack", split="val"):
    """Write a stacker's report, each fold as (fitted on, predicted); return its entry in a lineage."""
    fits = [{"fitted": fitted.split(), "predicted": predicted.split(), "loss_last": 0.5} for fitted, predicted in folds]
    path.write_text(json.dumps({"system": system, "split": split, "stackers": fits, "settings": {}}))
    return {
        "kind": "stacking",
        "members": ["clean"],
        "by_folds": True,
        "fold_reports": {"val": str(path)},
        "splits": ["val"],
    }


def test_folds_are_recorded_and_are_no_leak(family, manifest, tmp_path):
    family["systems"]["stack"] = stacker(tmp_path / "folds.json", ("v3 v4", "v1 v2"), ("v1 v2", "v3 v4"))
    family["systems"]["above"] = {"kind": "crf", "members": ["stack"], "splits": ["val"]}
    family["systems"]["held"] = {
        "kind": "stacking",
        "members": ["clean"],
        "tuned_on": [manifest("val_again", "v1")],
        "splits": ["val"],
    }
    found = audited(family)
    assert found["stack", "val"].leaked == found["above", "val"].leaked == []
    assert found["stack", "val"].folds == found["above", "val"].folds == ("stack: 2",)
    assert found["held", "val"].leaked == ["v1"]


def test_a_picture_that_its_own_fold_saw_leaks_whatever_the_config_says(family, tmp_path):
    family["systems"]["stack"] = stacker(tmp_path / "folds.json", ("v2 v3 v4", "v1 v2"), ("v1 v2", "v3 v4"))
    family["systems"]["above"] = {"kind": "crf", "members": ["stack", "child"], "splits": ["val"]}
    found = audited(family)
    assert [str(leak) for leak in found["stack", "val"].leaks] == ["stack (fitted on a fold that it predicts)"]
    assert [leak.through for leak in found["above", "val"].leaks] == ["above <- stack", "above <- child <- grandparent"]
    assert found["above", "val"].leaked == ["v2"]


@pytest.mark.parametrize(
    ("folds", "options", "part"),
    [
        ([("v2", "v1")], {}, "3 of the 4 pictures of the scored split 'val' are not in the folds of"),
        ([("v1", "v2 v3 v4"), ("v2", "v1 v2")], {}, "two folds predict 'v2'"),
        ([("v1", "v2 v3 v4"), ("v2", "v1 v9")], {}, "are not in the scored split 'val', the first is 'v9'"),
        ([("", "v1 v2 v3 v4")], {}, "stackers.0.fitted"),
        ([], {}, "stackers"),
        ([("v1", "v2")], {"system": "other"}, "is of system 'other', not 'stack'"),
        ([("v1", "v2")], {"split": "train"}, "is of split 'train', not 'val'"),
    ],
)
def test_a_broken_report_of_folds_is_named(family, tmp_path, folds, options, part):
    path = tmp_path / "folds.json"
    family["systems"]["stack"] = stacker(path, *folds, **options)
    message = refused(family)
    assert str(path) in message
    assert part in message
    assert "`segrepro stack`" in message


def test_a_report_of_folds_that_is_missing_or_no_json_is_named(family, tmp_path):
    path = tmp_path / "folds.json"
    family["systems"]["stack"] = entry = stacker(path, ("v3 v4", "v1 v2"), ("v1 v2", "v3 v4"))
    path.write_text("{")
    assert f"{path}: not JSON" in refused(family)
    path.write_text("[1]")
    assert str(path) in refused(family)
    path.unlink()
    assert f"{path}: no such file" in refused(family)
    entry["fold_reports"] = {}
    assert "stacker 'stack' is fitted by folds, but has no report of them on 'val'" in refused(family)


def test_weights_leak_what_is_known_of_them_and_are_listed_in_any_case(family, manifest):
    family["weights"] = {"imagenet": {}, "released": {"trained_on": [manifest("trainval", "t1", "v1")]}}
    family["models"]["clean"]["weights"] = "imagenet"
    family["models"]["grandparent"]["weights"] = "released"
    found = audited(family)
    assert found["clean", "val"].leaked == []
    assert found["clean", "val"].unlisted == ("imagenet",)
    assert str(found["child", "val"].leaks[1]) == "child <- grandparent <- released (trained on trainval)"


def test_each_split_is_audited_by_itself(family, manifest):
    family["splits"]["other"] = manifest("other", "v1", "v9")["manifest"]
    family["systems"]["child"]["splits"] = ["val", "other"]
    found = audited(family)
    assert (found["child", "val"].share, found["child", "other"].share) == (0.25, 0.0)


def test_many_rows_of_one_picture_count_once(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("id,image,mask,x1,y1,x2,y2\n" + "p,p.jpg,p.png,0,0,9,9\n" * 3 + "q,q.jpg,q.png,0,0,9,9\n")
    assert manifest_ids(path, "seen") == {"p", "q"}


def test_a_circle_is_refused_with_its_members(family):
    family["models"]["grandparent"]["init"] = "child"
    message = refused(family)
    assert "circle" in message
    assert "child <- grandparent <- child" in message or "grandparent <- child <- grandparent" in message
    family["models"]["grandparent"]["init"] = None
    family["systems"]["clean"] = {"kind": "fusion", "members": ["ensemble"], "splits": ["val"]}
    assert "circle" in refused(family)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda f: f["systems"]["ensemble"]["members"].append("ghost"), ["'ensemble'", "system 'ghost'"]),
        (lambda f: f["models"]["child"].update(init="ghost"), ["'child'", "model 'ghost'"]),
        (lambda f: f["models"]["child"].update(weights="ghost"), ["'child'", "weights 'ghost'"]),
        (lambda f: f["systems"]["clean"].update(splits=["ghost"]), ["split 'ghost'", "'clean'"]),
        (lambda f: f["systems"]["clean"].update(model=None), ["'clean'", "neither"]),
    ],
)
def test_names_that_lead_nowhere_are_refused(family, change, parts):
    change(family)
    message = refused(family)
    assert all(part in message for part in parts)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "no such manifest"),
        ("", "column 'id' is missing"),
        ("image,mask\na,b\n", "column 'id' is missing"),
        ("id,image,mask\n", "has no pictures"),
        ("id,image,mask\n,a.jpg,a.png\n", "a row without an id"),
    ],
)
def test_a_faulty_manifest_is_one_sentence_that_names_it_and_who_needs_it(family, tmp_path, content, part):
    path = tmp_path / "old.csv"
    path.unlink() if content is None else path.write_text(content)
    message = refused(family)
    assert str(path) in message
    assert part in message
    assert "'grandparent'" in message


def test_the_verb_writes_table_and_marks(family, tmp_path, capsys):
    family["weights"] = {"imagenet": {}}
    family["models"]["clean"]["weights"] = "imagenet"
    (tmp_path / "lineage.json").write_text(json.dumps(family))
    table, marks = tmp_path / "tables" / "leakage.csv", tmp_path / "leakage.json"
    main(["audit", "--lineage", str(tmp_path / "lineage.json"), "--out", str(table), "--marks", str(marks)])
    rows = {row["system"]: row for row in csv.DictReader(table.open())}
    assert rows["ensemble"] == {
        "system": "ensemble",
        "split": "val",
        "scored": "4",
        "leaked": "1",
        "share": "25.00",
        "through": "ensemble <- child <- grandparent (trained on old)",
        "first_ids": "v2",
        "all_ancestors": "ensemble <- child <- grandparent (trained on old): 1",
        "folds": "",
        "unlisted": "imagenet",
    }
    assert (rows["clean"]["leaked"], rows["clean"]["share"], rows["clean"]["through"]) == ("0", "0.00", "")
    assert read_marks(marks) == {"ensemble": {"val": 0.25}, "clean": {"val": 0.0}, "child": {"val": 0.25}}
    assert "ensemble on val: 1 of 4 pictures seen (25.00%)" in capsys.readouterr().out


@pytest.mark.parametrize(("content", "part"), [("{", "not JSON"), ('{"systems": {}, "models": {}}', "splits")])
def test_a_faulty_lineage_is_one_sentence(tmp_path, content, part):
    path = tmp_path / "lineage.json"
    path.write_text(content)
    with pytest.raises(UserError, match=part):
        read_graph(path)
    with pytest.raises(UserError, match="no such file"):
        read_graph(tmp_path / "none.json")


def test_marks_and_shares_never_pass_a_leak_over(family, tmp_path):
    marks = leak_marks(list(audited(family).values()))
    assert marked("ensemble", leaking_share(marks, "ensemble", "val")) == "ensemble †"
    assert marked("clean", leaking_share(marks, "clean", "val")) == "clean"
    with pytest.raises(UserError, match="'clean' was not audited on 'train'"):
        leaking_share(marks, "clean", "train")
    assert [share_text(share) for share in (0, 1e-6, 1 / 1449, 1)] == ["", "<0.01", "0.07", "100.00"]
    (tmp_path / "marks.json").write_text("[1]")
    with pytest.raises(UserError, match="not a mapping"):
        read_marks(tmp_path / "marks.json")
    (tmp_path / "marks.json").write_text('{"a": {"val": "much"}}')
    with pytest.raises(UserError, match=r"a\.val: input should be a valid number"):
        read_marks(tmp_path / "marks.json")


def test_only_the_first_ids_are_printed(manifest):
    ids = [f"v{number}" for number in range(9)]
    seen = manifest("val", *ids)
    content = {
        "systems": {"s": {"kind": "model", "model": "s", "splits": ["val"]}},
        "models": {"s": {"trained_on": seen}},
        "splits": {"val": seen["manifest"]},
    }
    assert leakage_rows(list(audited(content).values()))[0]["first_ids"].split() == ids[:FIRST_IDS]


@pytest.fixture
def manifests(manifest, tmp_path):
    """The path of VOC's sets in miniature: v1 is in val and in SBD's train list, v2 in val alone."""
    sets = {
        "voc_val": ("v1", "v2"),
        "seg11valid": ("v2",),
        "voc_train": ("t1",),
        "voc_train_100": ("t1",),
        "voc_trainval": ("t1", "v1", "v2"),
        "trainaug": ("t1", "s1"),
        "sbd_train": ("s1", "v1"),
        "coco20": ("1",),
        "coco20_val": ("3",),
        "coco90": ("1", "2"),
    }
    for name, ids in sets.items():
        manifest(name, *ids)
    return str(tmp_path / "{name}.csv")


def only(config, *systems):
    """Leave only these systems of a merged config."""
    unwanted = dict.fromkeys(name for name in config["systems"] if name not in systems)
    return config | {"systems": config["systems"] | unwanted}


def test_the_published_configs_lineage_knows_its_leaking_systems(merged_config, manifests, tmp_path):
    config = parse_config(merged_config("full"))
    folds = str(tmp_path / "{system}_{split}.json")
    content = graph_of(config, manifest=manifests, fold_report=folds)
    for name, entry in content.systems.items():
        for split, path in entry.fold_reports.items():
            stacker(Path(path), ("v2", "v1"), ("v1", "v2"), system=name, split=split)
    # as the workflow passes it on: through JSON
    found = {
        (entry.system, entry.split): entry
        for entry in audit(check_graph(Graph.model_validate(json.loads(content.model_dump_json()))))
    }
    shares = {key: entry.share for key, entry in found.items()}
    assert shares["deeplabv3plus_trainval", "voc_val"] == 1.0
    assert shares["deeplabv3plus_trainaug", "voc_val"] == 0.0
    assert (shares["fcn8s", "voc_val"], shares["fcn8s", "seg11valid"]) == (0.5, 0.0)
    assert found["fcn8s", "voc_val"].unlisted == ("vgg16_imagenet",)
    released = found["deeplabv3plus_released_trainval", "voc_val"].leaks
    path = "deeplabv3plus_released_trainval <- xception_65_coco_voc_trainval (trained on voc_trainval)"
    assert [str(leak) for leak in released] == [path]
    weights = content.weights["xception_65_coco_voc_trainval"].trained_on
    assert [seen.name for seen in weights] == ["coco20", "trainaug", "voc_trainval"]
    assert [seen.manifest is None for seen in weights] == [True, False, False]  # nothing of COCO is scored
    edeconvnet = found["edeconvnet", "voc_val"]
    assert edeconvnet.share == 0.5
    assert str(edeconvnet.leaks[0]) == "edeconvnet <- fcn8s (trained on sbd_train)"
    assert found["stacking_shared", "voc_val"].folds == ("stacking_shared: 2",)
    tuned = content.systems["deeplabv3_phase2_ms_flip_crf_tuned"]
    assert [seen.name for seen in tuned.tuned_on] == ["voc_train_100"]
    assert found["deeplabv3_phase2_ms_flip_crf_tuned", "voc_val"].leaks == ()


def test_without_the_archive_of_sbd_the_pictures_of_voc_in_trainaug_are_known_and_the_rest_is_named(
    merged_config, manifests
):
    """Released weights on COCO and trainaug: voc_val is clean, voc_train is not, and the audit says what it lacks."""
    merged = merged_config("released")
    for name in ("deeplabv3_mnv2_released_trainaug", "deeplabv3_mnv2_dm05_released_trainaug"):
        merged["systems"][name]["splits"] = ["voc_val", "voc_train"]
    config = parse_config(merged)
    found = {(entry.system, entry.split): entry for entry in audit(graph_of(config, manifest=manifests))}
    name, weights = "deeplabv3_mnv2_released_trainaug", "mobilenet_v2_coco_voc_trainaug"
    assert [found[name, split].share for split in ("voc_val", "voc_train")] == [0.0, 1.0]
    assert [*map(str, found[name, "voc_train"].leaks)] == [f"{name} <- {weights} (trained on trainaug)"]
    assert found[name, "voc_val"].unlisted == (f"{weights} (of trainaug only voc_train is looked for)",)
    assert {entry.share for (_, split), entry in found.items() if split == "voc_val"} == {0.0}

    merged["weights"][weights] = merged["weights"][weights] | {"trained_on": ["sbd_train"]}
    found = audit(graph_of(parse_config(merged), manifest=manifests))
    unlisted = next(entry.unlisted for entry in found if entry.system == name)
    # the model that they stand in for says trainaug
    assert unlisted == (f"{weights} (sbd_train is not looked for, of trainaug only voc_train is looked for)",)


@pytest.fixture
def from_released(merged_config):
    """The full config with one model that starts from the released weights, which have seen voc_val, and no other."""
    config = only(merged_config("full"), "deeplabv3plus_trainaug")
    config["models"]["deeplabv3plus_released_trainval"] = None
    config["models"]["deeplabv3plus_trainaug"]["init"] = {"weights": "xception_65_coco_voc_trainval"}
    return config


def test_what_weights_have_seen_leaks_into_models_that_start_from_them(from_released, manifests):
    found = audit(graph_of(parse_config(from_released), manifest=manifests))
    assert [(entry.system, entry.share) for entry in found] == [("deeplabv3plus_trainaug", 1.0)]
    path = "deeplabv3plus_trainaug <- xception_65_coco_voc_trainval (trained on voc_trainval)"
    assert [str(leak) for leak in found[0].leaks] == [path]


def test_coco_that_weights_have_seen_is_compared_where_coco_is_scored(from_released, manifests):
    from_released["models"]["deeplabv3plus_trainaug"]["dataset"] = "coco20_val"
    from_released["systems"]["deeplabv3plus_trainaug"] |= {"splits": ["coco20"], "published": {}}
    content = graph_of(parse_config(from_released), manifest=manifests)
    (found,) = audit(content)
    assert (found.share, found.leaks[0].seen_as) == (1.0, "trained on coco20")
    assert [seen.manifest for seen in content.weights["xception_65_coco_voc_trainval"].trained_on[1:]] == [None, None]


def test_what_a_stacker_was_fitted_on_counts_as_seen(merged_config, manifests, manifest):
    config = merged_config("full")
    config["systems"]["stacking_shared"]["stacking"] |= {"fit_on": "voc_train", "fit_pictures": 50}
    manifest("voc_train_50", "t1", "v2")
    content = graph_of(parse_config(config), manifest=manifests)
    assert content.systems["stacking_shared"].by_folds is False
    kept = content.model_copy(update={"systems": {"stacking_shared": content.systems["stacking_shared"]}})
    for member in content.systems["stacking_shared"].members:
        kept.systems[member] = content.systems[member]
    found = {entry.system: entry for entry in audit(kept)}["stacking_shared"]
    assert [str(leak) for leak in found.leaks] == ["stacking_shared (tuned on voc_train_50)"]
    assert found.leaked == ["v2"]


def test_published_weights_count_as_trained_on_their_models_dataset_too(merged_config, manifests):
    config = only(merged_config("full"), "deeplabv3plus_released_trainval")
    del config["weights"]["xception_65_coco_voc_trainval"]["trained_on"]
    (found,) = audit(graph_of(parse_config(config), manifest=manifests))
    assert found.share == 1.0


@pytest.mark.parametrize(
    ("name", "part"), [("voc_trainvla", "'voc_trainvla' names no dataset"), ("voc_test", "'voc_test' has no masks")]
)
def test_a_wrong_data_set_of_weights_is_named(merged_config, name, part):
    config = merged_config("full")
    config["weights"]["vgg16_imagenet"]["trained_on"] = [name]
    with pytest.raises(UserError, match=rf"weights\.vgg16_imagenet\.trained_on: {part}"):
        parse_config(config)


def test_the_drawing_leads_from_what_weights_have_seen_to_them(from_released, manifests):
    content = graph_of(parse_config(from_released), manifest=manifests)
    drawn = lineage_svg(content)
    assert all(f"{name}</text>" in drawn for name in ("coco20", "voc_trainval", "xception_65_coco_voc_trainval"))
