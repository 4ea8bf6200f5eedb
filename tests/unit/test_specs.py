"""Specs and models belong together: a model file carries what it was made by."""

import zipfile

import pytest
import yaml

from segrepro.cli import main
from segrepro.config.protocols import Protocol
from segrepro.config.spec import with_whole_protocol
from segrepro.differences import NOTHING, first_difference
from segrepro.errors import UserError
from segrepro.training.model_files import load_model, save_model
from segrepro.training.specs import SPEC_MEMBER, check_init, read_spec_of
from training_setup import PROTOCOL, small_model

SPEC = {
    "name": "small",
    "seed": 0,
    "classes": 3,
    "label_space": "voc21",
    "network": {"architecture": "deeplabv3", "resize": "legacy"},
    "protocol": None,
}


def write_spec(path, **changes):
    path.write_text(yaml.safe_dump(SPEC | changes))
    return path


@pytest.fixture
def model(tmp_path):
    save_model(small_model(), tmp_path / "m.keras", SPEC)
    return tmp_path / "m.keras"


def test_a_model_that_carries_its_spec_loads_and_has_the_same_bytes_each_time(model, tmp_path):
    assert load_model(model).count_params() == small_model().count_params()
    save_model(small_model(), tmp_path / "again.keras", SPEC)
    assert (tmp_path / "again.keras").read_bytes() == model.read_bytes()
    save_model(small_model(), tmp_path / "without.keras")
    with zipfile.ZipFile(tmp_path / "without.keras") as plain, zipfile.ZipFile(model) as carrying:
        assert {*carrying.namelist()} == {*plain.namelist(), SPEC_MEMBER}
        assert all(plain.read(name) == carrying.read(name) for name in plain.namelist())


def test_its_own_spec_is_read_and_another_one_refused_by_the_first_key_that_differs(model, tmp_path):
    assert read_spec_of(model, write_spec(tmp_path / "spec.yaml")) == SPEC
    other = write_spec(tmp_path / "o.yaml", network={"architecture": "deeplabv3", "resize": "half_pixel"}, seed=1)
    with pytest.raises(UserError, match=r"o\.yaml: .*m\.keras: network\.resize is 'half_pixel' here, and 'legacy' in"):
        read_spec_of(model, other)


@pytest.mark.parametrize("content", [None, b"", b"no zip", "without"])
def test_a_model_that_carries_none_is_taken_with_the_spec_that_is_given(tmp_path, content):
    path = tmp_path / "m.keras"
    if content == "without":
        save_model(small_model(), path)
    elif content is not None:
        path.write_bytes(content)
    assert read_spec_of(path, write_spec(tmp_path / "spec.yaml")) == SPEC


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("predict", ["--system", "s", "--out", "o.h5"]),
        ("predict-proposals", ["--proposals", "p.h5", "--system", "s", "--out", "o.h5"]),
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
    save_model(small_model(), tmp_path / "without.keras")
    check_init(tmp_path / "without.keras", "fcn32s")


def test_a_protocol_is_checked_like_the_config_s_and_a_newer_key_has_its_default():
    older = {key: value for key, value in PROTOCOL.items() if key != "rescale"}
    whole = with_whole_protocol(SPEC | {"protocol": PROTOCOL}, "s.yaml")
    assert whole["protocol"] == PROTOCOL
    assert with_whole_protocol(SPEC | {"protocol": older}, "s.yaml")["protocol"]["rescale"] == Protocol(**older).rescale
    for protocol, words in (
        (PROTOCOL | {"learning_rat": 1.0}, r"s\.yaml: protocol: learning_rat"),
        (PROTOCOL | {"learning_rate": float("nan")}, r"s\.yaml: protocol: learning_rate"),
        (None, r"s\.yaml: has no protocol"),
    ):
        with pytest.raises(UserError, match=words):
            with_whole_protocol(SPEC | {"protocol": protocol}, "s.yaml")


def test_the_first_difference_is_found_by_the_path_of_its_key():
    assert first_difference({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}) is None
    assert first_difference({"a": {"b": 1, "c": 2}, "z": 0}, {"a": {"b": 1, "c": 3}, "z": 1}) == ("a.c", 2, 3)
    assert first_difference({"a": 1}, {}) == ("a", 1, NOTHING)
    assert first_difference({}, {"a": {"b": 1}}) == ("a", NOTHING, {"b": 1})
    assert repr(NOTHING) == "not set"
