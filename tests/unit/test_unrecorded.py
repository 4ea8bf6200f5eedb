"""Results whose records are gone are compared with the config by what they say themselves."""

import hashlib
import json

import pytest
import yaml

from segrepro.errors import UserError
from segrepro.provenance.unrecorded import refuse_other_results

SPEC = {"name": "m", "seed": 0, "network": {"crop": 33}, "protocol": {"learning_rate": 0.2, "steps": 3}}
CONFIG = {"seed": 0, "figures": {"grid": {"ids": ["a"]}}, "weights": (1, 2)}
SHA = "ab" * 32


@pytest.fixture
def results(tmp_path):
    """A folder as a run leaves it."""
    files = {
        "models/m/spec.yaml": yaml.safe_dump(SPEC),
        "models/m/made.json": json.dumps({"spec_sha256": sha256(SPEC)}),
        "metrics/s/val.json": json.dumps({"provenance": {"config_sha256": SHA}}),
        "config.json": json.dumps(CONFIG),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def sha256(spec):
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def compare(results, *, spec=SPEC, sha=SHA, config=CONFIG, unrecorded=None):
    refuse_other_results(
        results,
        specs={"m": spec, "new": SPEC},
        hashes={("s", "val"): sha, ("s", "test"): SHA},
        config=config,
        unrecorded=unrecorded or (lambda path: results.joinpath(path).exists()),
    )


def test_results_of_the_same_config_pass_also_those_that_are_not_there(results):
    compare(results)


OTHER_RATE = SPEC | {"protocol": {"learning_rate": 1e-4, "steps": 3}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": OTHER_RATE}, r"m/spec\.yaml: .* protocol\.learning_rate was 0\.2 and is 0\.0001 now"),
        ({"spec": SPEC | {"new": 1}}, r"m/spec\.yaml: .* new was not set and is 1 now"),
        ({"sha": "cd" * 32}, r"s/val\.json: .* config_sha256 was 'abab.* and is 'cdcd"),
        ({"config": CONFIG | {"figures": {}}}, r"config\.json: .* figures\.grid was .* and is not set now"),
    ],
)
def test_the_first_difference_is_named_and_the_remedies(results, change, words):
    with pytest.raises(UserError, match=words) as caught:
        compare(results, **change)
    assert all(remedy in str(caught.value) for remedy in (".snakemake", "--forceall", "--touch"))


def test_a_model_that_was_trained_by_another_spec_than_stands_beside_it_is_named(results):
    (results / "models/m/spec.yaml").write_text(yaml.safe_dump(OTHER_RATE))
    with pytest.raises(UserError, match=r"m/made\.json: was made by another config: spec_sha256"):
        compare(results, spec=OTHER_RATE)


@pytest.mark.parametrize("content", ["", "[1]", "{", "\t- x"])
@pytest.mark.parametrize("name", ["models/m/spec.yaml", "models/m/made.json", "metrics/s/val.json", "config.json"])
def test_a_file_that_tells_nothing_is_no_proof(results, name, content):
    (results / name).write_text(content)
    with pytest.raises(UserError, match=name):
        compare(results)


def test_what_snakemake_keeps_a_record_of_is_left_to_it(results):
    change = {"spec": OTHER_RATE, "sha": "cd" * 32, "config": {}}
    compare(results, **change, unrecorded=lambda path: False)
    with pytest.raises(UserError, match=r"config\.json"):
        compare(results, **change, unrecorded=lambda path: path.endswith("config.json"))
