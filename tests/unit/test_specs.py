"""Specs and models belong together: a model file carries what it was made by."""

import json
import zipfile

import pytest
import yaml

from networks import spec_of
from segrepro.cli import main
from segrepro.config import model_spec, parse_config
from segrepro.config.spec import (
    SPEC_MEMBER,
    InitialWeights,
    ModelSpec,
    check_init,
    read_spec,
    read_spec_of,
    read_spec_to_train,
)
from segrepro.differences import NOTHING, first_difference
from segrepro.errors import UserError
from segrepro.models.model_files import load_model, save_model
from training_setup import PROTOCOL, small_model

SPEC = spec_of({}, PROTOCOL, name="small", classes=3)


def write_spec(path, content=None, **changes):
    path.write_text(yaml.safe_dump((content or SPEC.plain()) | changes))
    return path


def without(path: str) -> dict:
    """The spec as one that was written before there was a key."""
    content = json.loads(SPEC.content())
    *sections, key = path.split(".")
    part = content
    for section in sections:
        part = part[section]
    del part[key]
    return content


@pytest.fixture
def model(tmp_path):
    save_model(small_model(), tmp_path / "m.keras", SPEC)
    return tmp_path / "m.keras"


def carrying(path, content: str):
    """A model file that carries any content as its spec."""
    small_model().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SPEC_MEMBER, content)
    return path


def test_a_model_that_carries_its_spec_loads_and_has_the_same_bytes_each_time(model, tmp_path):
    assert load_model(model).count_params() == small_model().count_params()
    save_model(small_model(), tmp_path / "again.keras", SPEC)
    assert (tmp_path / "again.keras").read_bytes() == model.read_bytes()
    small_model().save(tmp_path / "without.keras")
    with zipfile.ZipFile(tmp_path / "without.keras") as plain, zipfile.ZipFile(model) as carrying:
        assert {*carrying.namelist()} == {*plain.namelist(), SPEC_MEMBER}
        assert plain.read("model.weights.h5") == carrying.read("model.weights.h5")


def test_its_own_spec_is_read_and_another_one_refused_by_the_first_key_that_differs(model, tmp_path):
    assert read_spec_of(model, write_spec(tmp_path / "spec.yaml")) == SPEC
    other = write_spec(tmp_path / "o.yaml", network=SPEC.plain()["network"] | {"resize": "half_pixel"}, seed=1)
    with pytest.raises(UserError, match=r"o\.yaml: .*m\.keras: network\.resize is 'half_pixel' here, and 'legacy' in"):
        read_spec_of(model, other)


@pytest.mark.parametrize("key", ["network.features", "network.dropout", "protocol.tf32", "init", "repeat"])
def test_a_spec_that_lacks_a_newer_key_has_its_default_on_file_and_in_the_model(tmp_path, key):
    older = without(key)
    assert read_spec(write_spec(tmp_path / "spec.yaml", older)) == SPEC
    model = carrying(tmp_path / "m.keras", json.dumps(older))
    assert read_spec_of(model, write_spec(tmp_path / "spec.yaml")) == SPEC


def test_a_model_by_another_version_that_knew_other_keys_is_refused_in_a_sentence(tmp_path):
    content = SPEC.plain()
    content["protocol"]["warm_up"] = 5
    model = carrying(tmp_path / "m.keras", json.dumps(content))
    with pytest.raises(UserError, match=r"m\.keras: .*another version.*protocol\.warm_up") as error:
        read_spec_of(model, write_spec(tmp_path / "spec.yaml"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"no zip", "without"])
def test_a_model_that_carries_none_is_taken_with_the_spec_that_is_given(tmp_path, content):
    path = tmp_path / "m.keras"
    if content == "without":
        small_model().save(path)
    elif content is not None:
        path.write_bytes(content)
    assert read_spec_of(path, write_spec(tmp_path / "spec.yaml")) == SPEC


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("predict", ["--system", "s", "--out", "o.h5"]),
        ("predict", ["--proposals", "p.h5", "--system", "s", "--out", "o.h5"]),
        ("figure proposals", ["--proposals", "p.h5", "--out", "o.png"]),
    ],
)
def test_every_verb_that_predicts_refuses_the_spec_of_another_model(model, tmp_path, monkeypatch, verb, options):
    monkeypatch.chdir(tmp_path)
    write_spec(tmp_path / "other.yaml", label_space="coco91")
    files = ["--model", "m.keras", "--spec", "other.yaml", "--manifest", "m.csv"]
    with pytest.raises(SystemExit, match=rf"segrepro {verb}: other\.yaml: .* label_space is 'coco91' here"):
        main([*verb.split(), *files, *options])
    assert not list(tmp_path.glob("o.*"))


def test_a_model_to_start_from_must_be_the_one_that_the_spec_names(model, tmp_path):
    check_init(model, "small")
    with pytest.raises(UserError, match=r"m\.keras: is model 'small', and the spec starts from 'fcn32s'"):
        check_init(model, "fcn32s")
    small_model().save(tmp_path / "without.keras")
    check_init(tmp_path / "without.keras", "fcn32s")


def test_the_spec_of_a_model_that_is_not_trained_is_refused_by_who_trains(tmp_path):
    assert read_spec_to_train(write_spec(tmp_path / "spec.yaml")) == SPEC
    with pytest.raises(UserError, match=r"s\.yaml: has no protocol"):
        read_spec_to_train(write_spec(tmp_path / "s.yaml", protocol=None))


@pytest.mark.parametrize(
    ("network", "changes", "words"),
    [
        ({}, {"architecture": "segformer"}, r"network\.architecture: input should be one of .*, not 'segformer'"),
        ({}, {"backbone": "vgg16"}, r"network\.backbone: .*resnet_v2_50.*not 'vgg16'"),
        ({}, {"variant": "torch"}, r"network\.variant: .*not 'torch'"),
        ({}, {"variant": "released"}, r"network\.variant: of resnet_v2_101 there is no 'released'; use slim or keras"),
        ({"backbone": "resnet_v1_50"}, {"variant": "slim"}, r"network\.variant: .*resnet_v1_50.* use keras"),
        ({"backbone": "resnet_v1_50"}, {"features": "raw_sum"}, r"network\.features: has no meaning for resnet_v1_50"),
        ({"architecture": "deeplabv3plus"}, {"features": "raw_sum"}, r"features: has no meaning for xception_65"),
        ({}, {"features": "relu"}, r"network\.features: .*not 'relu'"),
        ({}, {"output_stride": 12}, r"network\.output_stride: .*8, 16 or 32"),
        ({}, {"normalisation": "bgr"}, r"network\.normalisation: .*not 'bgr'"),
        ({}, {"resize": "cubic"}, r"network\.resize: .*not 'cubic'"),
        ({}, {"multi_grid": [1, 2]}, r"network\.multi_grid"),
        ({}, {"multi_grid": [0, 1, 1]}, r"network\.multi_grid"),
        ({}, {"aspp_rates": [6.5]}, r"network\.aspp_rates"),
        ({}, {"depth": 50}, r"network\.depth"),
        ({}, {"low_level_channels": 48}, r"network\.low_level_channels.*deeplabv3plus"),
        ({"architecture": "fcn"}, {"skip_stride": 4}, r"network\.skip_stride: .*32, 16 or 8"),
        ({"architecture": "fcn"}, {"fc6_kernel": 4}, r"network\.fc6_kernel: is 4; give an odd number"),
        ({"architecture": "fcn"}, {"input_padding": 96}, r"network\.input_padding: is 96, but .* of 7 needs 97 pixels"),
        ({"architecture": "fcn"}, {"input_padding": -1}, r"network\.input_padding"),
        ({"architecture": "fcn"}, {"upsampling": "nearest"}, r"network\.upsampling"),
        ({"architecture": "fcn"}, {"batch_norm": True}, r"network\.batch_norm"),
        ({"architecture": "fcn"}, {"at_once": True, "skip_stride": 32}, r"network\.at_once: has no meaning for .* 32"),
        ({"architecture": "deconvnet"}, {"input_size": 100}, r"network\.input_size: .*multiple of 32"),
        ({"architecture": "deconvnet"}, {"input_size": "224"}, r"network\.input_size"),
        ({"architecture": "deconvnet"}, {"fc_channels": 0}, r"network\.fc_channels"),
        ({"architecture": "deconvnet"}, {"output_stride": 16}, r"network\.output_stride"),
    ],
)
def test_an_impossible_network_is_refused_in_one_sentence_wherever_the_spec_is_read(tmp_path, network, changes, words):
    content = spec_of(network).plain()
    with pytest.raises(UserError, match=rf"spec\.yaml: .*{words}") as error:
        read_spec(write_spec(tmp_path / "spec.yaml", content, network=content["network"] | changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"learning_rat": 1.0}, r"protocol\.learning_rat"), ({"learning_rate": float("nan")}, r"protocol\.learning_rate")],
)
def test_a_protocol_is_checked_like_the_config_s(tmp_path, changes, words):
    with pytest.raises(UserError, match=rf"s\.yaml: {words}"):
        read_spec(write_spec(tmp_path / "s.yaml", protocol=SPEC.plain()["protocol"] | changes))


@pytest.mark.parametrize("scale", ["sample", "full"])
def test_specs_of_the_config_are_read_as_they_are_written_with_every_key(merged_config, tmp_path, scale):
    config = parse_config(merged_config(scale))
    for name in config.models:
        spec = model_spec(config, name)
        assert read_spec(write_spec(tmp_path / "spec.yaml", spec.plain())) == spec
        assert spec.plain().keys() == ModelSpec.model_fields.keys()
        assert spec.plain()["network"].keys() == type(spec.network).model_fields.keys()
        if spec.init and spec.init.weights:
            given = config.weights[spec.init.weights]
            assert (spec.init.file, spec.init.format, spec.init.averages) == (given.file, given.format, given.averages)


def test_initial_weights_come_from_one_place():
    with pytest.raises(ValueError, match="give either this key or 'weights'"):
        InitialWeights(model="m", weights="w")


def test_the_first_difference_is_found_by_the_path_of_its_key():
    assert first_difference({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}) is None
    assert first_difference({"a": {"b": 1, "c": 2}, "z": 0}, {"a": {"b": 1, "c": 3}, "z": 1}) == ("a.c", 2, 3)
    assert first_difference({"a": 1}, {}) == ("a", 1, NOTHING)
    assert first_difference({}, {"a": {"b": 1}}) == ("a", NOTHING, {"b": 1})
    assert repr(NOTHING) == "not set"
