"""The typed config: what is refused, how it is said, and what touches which model."""

import pytest
import yaml

from segrepro.config import Config, in_order_of, json_schema, model_spec, parse_config
from segrepro.errors import UserError
from segrepro.labels import VOC_CLASSES
from segrepro.plan import Plan
from segrepro.report.figures import FIGURES


def put(config: dict, path: str, value: object) -> dict:
    *parents, last = path.split(".")
    section = config
    for key in parents:
        section = section[key]
    section[last] = value
    return config


def refusal(config: dict) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(config)
    return str(caught.value)


@pytest.mark.parametrize("scale", ["sample", "small", "released", "full"])
def test_the_shipped_configs_are_valid(merged_config, scale):
    assert parse_config(merged_config(scale)).scale == scale


@pytest.mark.parametrize("page", ["adding", "report1"])
def test_the_declarations_in_the_documents_are_valid(merged_config, project_root, page):
    text = (project_root / f"docs/{page}.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    assert blocks
    for block in blocks:
        config = merged_config("full")
        for table, entries in yaml.safe_load(block).items():
            config[table] = {**config[table], **entries}
        parse_config(config)


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("protocols.deeplabv3_report.learning_rat", 0.1, ["protocols.deeplabv3_report.learning_rat", "learning_rate"]),
        ("sede", 1, ["sede", "did you mean 'seed'"]),
        ("archives.sbd.md6", "ab", ["archives.sbd.md6", "'md5'"]),
        ("networks.deeplabv3_r101.xyzzy", 1, ["networks.deeplabv3_r101.xyzzy", "known here are", "backbone"]),
        ("networks.fcn8s.fc_chanels", 512, ["networks.fcn8s.fc_chanels", "'fc_channels'"]),
        ("networks.deconvnet.fc6_kernel", 7, ["networks.deconvnet.fc6_kernel", "belongs to 'architecture: fcn'"]),
        ("models.deconvnet_stage1.examples.proposals", "x", ["examples.proposals", "belongs to 'kind: proposals'"]),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(merged_config, path, value, parts):
    message = refusal(put(merged_config(), path, value))
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("seed", "zero", ["seed", "integer", "'zero'"]),
        ("protocols.deeplabv3_report.learning_rate", "1e-4", ["learning_rate", "write 1.0e-4"]),
        ("protocols.deeplabv3_report.flip", 1, ["protocols.deeplabv3_report.flip", "boolean"]),
        ("protocols.deeplabv3_report.steps", -3, ["protocols.deeplabv3_report.steps", "greater than 0"]),
        ("networks.deeplabv3_r101.output_stride", 12, ["networks.deeplabv3_r101.output_stride", "8, 16 or 32"]),
        ("scale", "medium", ["scale", "'sample', 'small', 'released' or 'full'"]),
        ("networks.fcn8s.skip_stride", 4, ["networks.fcn8s.skip_stride", "32, 16 or 8"]),
        ("networks.fcn8s.architecture", "unet", ["networks.fcn8s.architecture", "'deconvnet'", "'unet'"]),
        ("networks.deconvnet.input_size", 100, ["networks.deconvnet.input_size", "multiple of 32"]),
        ("models", None, ["models"]),
        (
            "models.Bad Name",
            {"network": "a", "protocol": "b", "dataset": "c"},
            ["models.'Bad Name': string should match"],
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_full_path(merged_config, path, value, parts):
    message = refusal(put(merged_config(), path, value))
    assert all(part in message for part in parts), message


def test_a_missing_key_is_named(merged_config):
    config = merged_config()
    del config["protocols"]["deeplabv3_report"]["momentum"]
    assert "protocols.deeplabv3_report.momentum: this key is required" in refusal(config)


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("protocols.deeplabv3_report.crop", 100, ["protocols.deeplabv3_report.crop: 100 does not fit", "97"]),
        ("models.deeplabv3_trainaug.network", "resnet", ["models.deeplabv3_trainaug.network", "deeplabv3_r101"]),
        ("models.deeplabv3_trainaug.dataset", "trainaugg", ["models.deeplabv3_trainaug.dataset", "trainaug"]),
        ("models.deeplabv3_trainaug.dataset", "voc_test", ["models.deeplabv3_trainaug.dataset", "no masks"]),
        ("models.deeplabv3_trainaug.init", {"model": "ghost"}, ["models.deeplabv3_trainaug.init.model", "'ghost'"]),
        ("models.deeplabv3_trainaug.init", {"weights": "ghost"}, ["init.weights", "'ghost'"]),
        ("models.deeplabv3_trainaug.init", {}, ["models.deeplabv3_trainaug.init.model", "either"]),
        ("models.deeplabv3_trainaug.init", {"model": "deeplabv3_trainaug"}, ["init.model", "circle"]),
        ("models.deeplabv3_trainaug.repeat", {"classes": ["chiar"], "times": 2}, ["repeat.classes", "chiar"]),
        ("models.deeplabv3_trainaug.repeat", {"classes": ["chair"], "times": 1}, ["repeat.times"]),
        ("models.deeplabv3_trainaug.train", False, ["models.deeplabv3_trainaug.weights", "'train: false'"]),
        ("models.deeplabv3_trainaug.protocol", None, ["models.deeplabv3_trainaug.protocol", "needs 'protocol'"]),
        ("networks.deeplabv3_r101.separable", True, ["networks.deeplabv3_r101.separable", "deeplabv3plus"]),
        ("networks.deeplabv3plus_x65.decoder_channels", None, ["networks.deeplabv3plus_x65.decoder_channels", "None"]),
        ("protocols.deeplabv3_sharpness.blur_share", 0.9, ["protocols.deeplabv3_sharpness.blur_share", "exceeds 1"]),
        ("systems.deeplabv3_trainaug.prediction", {"scales": [1.0, 1.0]}, ["prediction.scales", "twice"]),
        ("systems.deeplabv3_trainaug.prediction", {"window_stride": 9}, ["prediction.window_stride", "'window'"]),
        ("systems.deeplabv3_trainaug.model", "ghost", ["systems.deeplabv3_trainaug.model", "'ghost'"]),
        ("systems.deeplabv3_trainaug.splits", ["voc_vla"], ["systems.deeplabv3_trainaug.splits", "voc_vla"]),
        ("protocols.deeplabv3_report.schedule", "step", ["protocols.deeplabv3_report.step_every"]),
        ("protocols.deeplabv3_report.scale_range", [2.0, 0.5], ["protocols.deeplabv3_report.scale_range"]),
        ("networks.fcn8s.fc6_kernel", 4, ["networks.fcn8s.fc6_kernel", "is 4; give an odd number"]),
        ("networks.fcn8s.input_padding", 10, ["networks.fcn8s.input_padding", "33 pixels at least"]),
        ("networks.fcn32s.at_once", True, ["networks.fcn32s.at_once", "no meaning"]),
        ("protocols.fcn32s.crop", None, ["protocols.fcn32s.crop", "micro_batch"]),
        ("protocols.fcn32s.schedule", "plateau", ["protocols.fcn32s.plateau_every", "must be set"]),
        ("protocols.fcn32s.optimiser", "adam", ["protocols.fcn32s.weight_decay", "0.0"]),
        ("protocols.deconvnet_stage1.crop", 64, ["protocols.deconvnet_stage1.crop", "at most box_size"]),
        ("protocols.deconvnet_stage1.scale_range", [0.5, 1.0], ["protocols.deconvnet_stage1.scale_range", "box_size"]),
        (
            "networks.deconvnet.input_size",
            64,
            ["protocols.deconvnet_stage1.crop", "networks.deconvnet.input_size is 64"],
        ),
        ("protocols.deconvnet_stage1.micro_batch", 1, ["protocols.deconvnet_stage1.micro_batch", "2 or more"]),
        ("models.deconvnet_stage1.examples", None, ["models.deconvnet_stage1.examples", "give it 'examples'"]),
        ("models.fcn32s.examples", {"kind": "objects"}, ["models.fcn32s.examples", "set protocols.fcn32s.box_size"]),
        ("models.deconvnet_stage1.dataset", "coco20", ["models.deconvnet_stage1.examples", "no instances"]),
        (
            "models.deconvnet_stage2.examples.proposals",
            "ghost",
            ["models.deconvnet_stage2.examples.proposals", "ghost"],
        ),
        ("proposals.edge_boxes.edges", "maps", ["proposals.edge_boxes.edges", "'model'", "set model to null"]),
        ("systems.deconvnet_stage1.proposal_wise", None, ["systems.deconvnet_stage1.proposal_wise", "required"]),
        ("systems.fcn8s.proposal_wise", {"count": 5}, ["systems.fcn8s.prediction", "proposal_wise"]),
        ("systems.deeplabv3_trainaug.proposal_wise", {"count": 5}, ["proposal_wise", "DeconvNet only"]),
        ("systems.edeconvnet.model", "fcn8s", ["systems.edeconvnet.model", "either"]),
        ("systems.edeconvnet.fusion.members", ["fcn8s"], ["systems.edeconvnet.fusion.members", "2 or more"]),
        ("systems.edeconvnet.fusion.kind", "vote", ["systems.edeconvnet.fusion.members", "3 or more"]),
        ("systems.edeconvnet.fusion.members", ["fcn8s", "ghost"], ["edeconvnet.fusion.members", "'ghost'"]),
        ("systems.edeconvnet.fusion.members", ["fcn8s", "edeconvnet"], ["edeconvnet.fusion.members", "circle"]),
        ("systems.edeconvnet.fusion.weights", [1.0], ["systems.edeconvnet.fusion.weights", "each member"]),
        ("systems.edeconvnet.fusion.ties", "lowest", ["systems.edeconvnet.fusion.ties", "no meaning"]),
        ("systems.edeconvnet.splits", ["voc_train"], ["edeconvnet.fusion.members", "not scored on 'voc_train'"]),
        ("systems.stacking_shared.stacking.fit_on", "voc_val", ["stacking_shared.stacking.fit_on", "scored too"]),
        ("systems.stacking_shared.stacking.fit_on", "coco90", ["stacking_shared.stacking.fit_on", "has other labels"]),
        ("systems.stacking_shared.stacking.fit_on", "voc_test", ["stacking_shared.stacking.fit_on", "has no masks"]),
        ("systems.stacking_shared.stacking.fit_pictures", 9, ["stacking_shared.stacking.fit_pictures", "'fit_on'"]),
        (
            "systems.stacking_linear.stacking.kernel",
            3,
            ["stacking_linear.stacking.kind", "'linear' has no convolutions"],
        ),
        ("systems.stacking_linear.stacking.members", ["fcn8s", "stacking_vote"], ["stacking.members", "is a vote"]),
        ("systems.stacking_linear.model", "fcn8s", ["systems.stacking_linear.model", "either"]),
        ("figures.grid.systems", ["fcn9s"], ["figures.grid.systems", "'fcn9s'"]),
        ("ablations.v3_to_v3plus.baseline", "fcn9s", ["ablations.v3_to_v3plus.baseline", "'fcn9s'"]),
        ("ablations.v3_to_v3plus.systems", ["fcn9s"], ["ablations.v3_to_v3plus.systems", "'fcn9s'"]),
        ("ablations.v3_to_v3plus.systems", [], ["ablations.v3_to_v3plus.systems", "give 1 or more"]),
        (
            "ablations.v3_to_v3plus.systems",
            ["fcn8s", "fcn8s"],
            ["ablations.v3_to_v3plus.systems", "'fcn8s' is named twice"],
        ),
        ("figures.grid.ids", {"voc_val": [2007000033]}, ["figures.grid.ids.voc_val.0", "put text in quotes"]),
        ("figures.grid.ids", ["2007_000033"], ["figures.grid.ids", "dictionary"]),
        ("figures.grid.ids", {"voc_test": ["2008_000006"]}, ["figures.grid.ids", "'voc_test' names no scored split"]),
        ("systems.deconvnet_stage1.splits", ["voc_train"], ["ablations.deconvnet_stages.systems", "shares no split"]),
        (
            "systems.fcn8s.server",
            {"miou": 60.0, "per_class": {"bike": 3.0}},
            ["systems.fcn8s.server.per_class", "bike"],
        ),
        ("systems.fcn8s.server", {"miou": 101.0}, ["systems.fcn8s.server.miou", "100"]),
        (
            "systems.fcn8s.server",
            {"miou": 60.0, "per_class": dict.fromkeys(VOC_CLASSES, 61.0)},
            ["systems.fcn8s.server.miou", "61.00"],
        ),
        ("statistics", {"confidence": 95.0}, ["statistics.confidence", "less than 1"]),
        ("statistics", {"resamples": 0}, ["statistics.resamples", "greater than 0"]),
        ("networks." + "n" * 101, {}, ["networks", "at most 100 characters"]),
        ("datasets.trainaug.disjoint_from", ["trainaug"], ["datasets.trainaug.disjoint_from", "disjoint from itself"]),
        ("figures.weak_classes.systems", ["deeplabv3_trainaug"], ["weak_classes.systems", "is the baseline already"]),
        ("label_checks.min_background_share", 0.99, ["label_checks.min_background_share", "no picture could pass"]),
        ("datasets.trainaug.disjoint_from", ["voc_vall"], ["datasets.trainaug.disjoint_from", "voc_vall"]),
        ("datasets.trainaug.absent_classes", ["aeroplan"], ["datasets.trainaug.absent_classes", "aeroplan"]),
    ],
)
def test_an_impossible_combination_is_named_with_its_full_path(merged_config, path, value, parts):
    message = refusal(put(merged_config(), path, value))
    assert all(part in message for part in parts), message


def test_an_entry_that_an_overlay_sets_to_null_is_left_out(merged_config):
    config = put(merged_config("full"), "models.deeplabv3_weakclasses", None)
    put(config, "systems.deeplabv3_weakclasses", None)
    assert "deeplabv3_weakclasses" not in parse_config(config).models


def test_a_system_that_is_left_out_leaves_the_ablations_too(merged_config):
    config = put(merged_config("full"), "systems.deeplabv3_coco90", None)
    ablations = parse_config(config).ablations
    assert ablations["training_data"].systems == ["deeplabv3_coco20", "deeplabv3_coco20_trainaug"]
    config = put(merged_config("full"), "systems.stacking_vote_clean", None)
    put(config, "systems.stacking_vote_clean_crf", None)
    assert not {"fusion", "leaking_member"} & set(parse_config(config).ablations)


def test_the_weak_classes_are_not_drawn_where_nothing_is_compared(merged_config):
    entry = FIGURES["weak_classes"]
    assert entry.places(Plan(parse_config(merged_config("full"))))
    config = put(merged_config("full"), "figures.weak_classes.systems", [])
    assert entry.places(Plan(parse_config(config))) == []
    config = put(merged_config("full"), "figures.weak_classes.systems", ["deeplabv3_weakclasses"])
    assert parse_config(put(config, "systems.deeplabv3_weakclasses", None)).figures.weak_classes is None


def test_a_cycle_of_inits_is_shown_whole(merged_config):
    config = merged_config()
    model = config["models"]["deeplabv3_trainaug"]
    config["models"] |= {
        "a": model | {"init": {"model": "b"}},
        "b": model | {"init": {"model": "c"}},
        "c": model | {"init": {"model": "a"}},
    }
    assert "a <- b <- c <- a" in refusal(config)


def test_the_stored_schema_is_fresh(project_root):
    stored = (project_root / "workflow/schemas/config.schema.json").read_text()
    assert stored == json_schema(), "run `make schema`"


def test_every_key_is_documented_or_speaks_for_itself():
    silent = {
        f"{section.__name__}.{name}"
        for section in Config.__subclasses__() + list(_sections())
        for name, field in section.model_fields.items()
        if field.annotation in (int, float) and field.description is None and not field.metadata
    }
    assert silent == set()


def _sections():
    from segrepro.schema import Section

    return Section.__subclasses__()


def test_an_overlay_moves_no_system_and_adds_at_the_end():
    published = {"seed": 0, "systems": {"a": {"x": 1, "y": 2}, "b": None, "c": 3}}
    merged = {"systems": {"new": 5, "c": {"z": 1}, "a": {"y": 7, "x": 1}}, "seed": 1}
    ordered = in_order_of(published, merged)
    assert ordered == merged
    assert list(ordered) == ["seed", "systems"]
    assert list(ordered["systems"]) == ["a", "c", "new"]
    assert list(ordered["systems"]["a"]) == ["x", "y"]


def test_a_setting_of_figures_or_of_the_run_changes_no_spec(merged_config):
    config = merged_config()
    before = model_spec(parse_config(config), "deeplabv3_trainaug")
    put(config, "figures.grid.worst", 3)
    put(config, "runtime.checkpoint_every", 7)
    put(config, "archives_dir", "/archives")
    assert model_spec(parse_config(config), "deeplabv3_trainaug") == before
    put(config, "protocols.deeplabv3_report.momentum", 0.8)
    assert model_spec(parse_config(config), "deeplabv3_trainaug") != before


@pytest.mark.parametrize("scale", ["sample", "small", "full"])
def test_the_weak_classes_differ_from_their_baseline_in_repetition_and_sharpness_alone(merged_config, scale):
    config = parse_config(merged_config(scale))
    ablation = config.ablations["repetition_sharpening_blurring"]
    baseline, (system,) = (config.systems[ablation.baseline].model, ablation.systems)
    first, second = (model_spec(config, name).plain() for name in (baseline, config.systems[system].model))
    assert {key for key in first if first[key] != second[key]} == {"name", "repeat", "protocol"}
    changed = {key for key in first["protocol"] if first["protocol"][key] != second["protocol"][key]}
    assert changed == {"sharpen_share", "blur_share"}


def test_published_numbers_stay_beside_the_same_network_alone(merged_config):
    """At small scale every published value is of released weights in the network that they are of."""
    small, full = (parse_config(merged_config(scale)) for scale in ("small", "full"))
    compared = {name: system.model for name, system in small.systems.items() if system.published}
    assert len(compared) == 4
    for name, model in compared.items():
        assert small.systems[name] == full.systems[name]
        ours, theirs = ((config.models[model].weights, model_spec(config, model).network) for config in (small, full))
        assert ours == theirs
        assert ours[0]


def test_the_leaking_vote_and_its_clean_counterpart_differ_in_one_member(merged_config):
    systems = parse_config(merged_config("full")).systems
    leaking, clean = (systems[name].fusion for name in ("stacking_vote", "stacking_vote_clean"))
    assert leaking.model_copy(update={"members": []}) == clean.model_copy(update={"members": []})
    assert len(set(leaking.members) ^ set(clean.members)) == 2
    first, second = (systems[f"{name}_crf"].crf for name in ("stacking_vote", "stacking_vote_clean"))
    assert first.model_copy(update={"members": []}) == second.model_copy(update={"members": []})


def test_a_stacker_may_be_fitted_on_pictures_that_its_members_are_not_scored_on(merged_config):
    config = put(merged_config("full"), "systems.stacking_shared.stacking.fit_on", "voc_train")
    held = parse_config(config).systems["stacking_shared"].held
    assert (held.dataset, held.split) == ("voc_train", "voc_train")
    config = parse_config(put(config, "systems.stacking_shared.stacking.fit_pictures", 50))
    assert config.systems["stacking_shared"].held.split == "voc_train_50"
    assert sorted(config.held) == ["voc_train_100", "voc_train_50"]  # a CRF is tuned on the one
    assert config.dataset_of("voc_train_50") == "voc_train"


def test_no_list_may_name_something_twice(merged_config):
    """Every list of names that the config has, with its first name once more."""
    doubled = []

    def visit(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                visit(inner, [*path, key])
        elif isinstance(value, list) and value and all(isinstance(name, str) for name in value):
            doubled.append((path, [*value, value[0]]))

    visit(merged_config("full"), [])
    assert {path[-1] for path, _ in doubled} >= {"splits", "members", "systems", "urls", "classes"}
    for path, names in doubled:
        told = refusal(put(merged_config("full"), ".".join(path), names))
        assert f"{'.'.join(path)}: {names[0]!r} is named twice" in told or "at most" in told, told
