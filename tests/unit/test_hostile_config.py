"""Whatever is written into a config, what comes back is a config or a sentence that names the key."""

import copy
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segrepro.config import parse_config
from segrepro.errors import UserError

# What users (and YAML) put where something else is meant: 1e-4 is text, yes is true, 012 is ten, .nan is a number.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 12.0, 1e-320, 1e308, -0.0]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(
        ["", " ", "1e-4", "null", "voc_val", "fcn32s", "../..", "a\nb", "\x00", "$(id)", "{w}", "'\"", "%s"]
    ),
    st.text(max_size=8),
    st.text("äßΩ漢🙂\u202e\ufeff\u2028", min_size=1, max_size=4),
    st.binary(max_size=3),
    st.dates(),
)
KEYS = st.one_of(st.text(max_size=6), st.integers(), st.booleans(), st.none(), st.sampled_from(["model", "kind", "<<"]))
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def places(node: object, prefix: tuple = ()) -> list[tuple]:
    """Return the path of every key and list entry below a node."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for key, value in inner for path in [(*prefix, key), *places(value, (*prefix, key))]]


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def misspelt(data, key):
    """A key as fingers write it: doubled, cut, in capitals, with a blank or a dash, or another thing altogether."""
    slips = [f"{key}{key}", str(key)[:-1], str(key).upper(), f"{key} ", str(key).replace("_", "-"), f"{key}é", "x\ny"]
    return data.draw(st.one_of(st.sampled_from(slips), KEYS))


def mutate(data, config: dict) -> None:
    path = data.draw(st.sampled_from(places(config)), label="at")
    section = config
    for key in path[:-1]:
        section = section[key]
    key = path[-1]
    how = data.draw(st.sampled_from(["replace", "delete", "rename", "move", "add", "wrap", "scale"]), label="how")
    if how == "delete":
        del section[key]
    elif how == "rename" and isinstance(section, dict):
        section[misspelt(data, key)] = section.pop(key)
    elif how == "add" and isinstance(section, dict):
        section[data.draw(KEYS)] = data.draw(ANYTHING)
    elif how == "move":  # what belongs to one section comes into another
        *parents, last = data.draw(st.sampled_from(places(config)))
        other = config
        for parent in parents:
            other = other[parent]
        section[key] = copy.deepcopy(other[last])
    elif how == "wrap":
        section[key] = data.draw(st.sampled_from([[section[key]], {"value": section[key]}, str(section[key])]))
    elif how == "scale" and type(section[key]) in (int, float) and abs(section[key]) < 10**100:
        section[key] *= data.draw(st.sampled_from([-1, 0, 1000, 10**12, 10**200, 0.5, 1e-9]))
    else:
        section[key] = data.draw(ANYTHING)


def assert_config_or_sentences(config: dict) -> None:
    """Parse; on refusal every line begins with a key's path and says more than the key."""
    try:
        parse_config(config)
    except UserError as error:
        for line in str(error).split("\n"):
            assert re.match(r"config: [^\s:].*: .+", line), line


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_mutated_config_gives_a_config_or_names_the_key(merged_config, data):
    config = merged_config(data.draw(st.sampled_from(["sample", "full"]), label="scale"))
    for _ in range(data.draw(st.integers(1, 4))):
        mutate(data, config)
    assert_config_or_sentences(config)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", float("nan")),
        ("seed", 16**5000),  # in hexadecimal YAML takes it; Python refuses to print it
        ("protocols.fcn32s.learning_rate", float("nan")),
        ("protocols.fcn32s.learning_rate", float("inf")),
        ("protocols.fcn32s.steps", 2**40),
        ("protocols.deeplabv3_report.scale_range", [0.5, float("inf")]),
        ("archives.sbd.file", "../../outside.tgz"),
        ("archives.sbd.file", "/etc/passwd"),
        ("archives.sbd.file", "{wildcards}.tgz"),
        ("archives.sbd.file", ""),
        ("archives.sbd.urls", "https://example.org/a_text_is_no_list"),
        ("figures.grid.ids", {"voc_val": ["2007_000033; rm -rf ."]}),
        ("models.fcn32s.network", nested(2000)),
        ("models", nested(2000)),
        ("datasets.voc_train.absent_classes", [["cat"]]),
        ("systems.fcn8s.splits", []),
        ("systems.fcn8s.splits", {"voc_val": None}),
        ("networks", []),
        ("networks", "fcn32s"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_extremes_are_refused_by_the_name_of_their_key(merged_config, path, value):
    config = merged_config("full")
    section = config
    *parents, last = path.split(".")
    for key in parents:
        section = section[key]
    section[last] = value
    with pytest.raises(UserError) as caught:
        parse_config(config)
    lines = str(caught.value).split("\n")
    assert any(line.startswith(f"config: {path}") for line in lines), lines
    assert all(len(line) < 400 for line in lines)


def test_two_files_of_one_name_are_refused_and_one_file_for_two_uses_is_not(merged_config):
    config = merged_config("full")
    released = config["weights"]["xception_65_coco_voc_trainaug"]
    config["weights"]["averaged"] = released | {"averages": "ema"}
    parse_config(config)
    config["weights"]["averaged"] = released | {"md5": "0" * 32}
    with pytest.raises(UserError, match=r"weights\.averaged\.file: '.*' is weights\.xception.*'s too, with other"):
        parse_config(config)


def test_a_config_that_contains_itself_is_refused(merged_config):
    config = merged_config()
    config["models"]["fcn32s"]["init"] = config["models"]
    with pytest.raises(UserError, match=r"config: models\.fcn32s\.init"):
        parse_config(config)


@pytest.mark.parametrize("name", ["a\nb", "Ä", "x y", "", "../x", "{model}", 7, None, True])
def test_a_name_that_could_be_no_file_is_refused(merged_config, name):
    for section in ("models", "systems", "networks", "protocols", "weights", "proposals"):
        config = merged_config("full")
        config[section][name] = next(iter(config[section].values()))
        with pytest.raises(UserError) as caught:
            parse_config(config)
        assert f"config: {section}." in str(caught.value)
        assert str(caught.value).count("\n") == 0


def test_every_class_name_reaches_the_label_check_whole(merged_config):
    """COCO has classes of two words."""
    config = merged_config("full")
    config["datasets"]["coco90"]["absent_classes"] = ["hair drier", "toaster"]
    assert parse_config(config).datasets["coco90"].absent_classes == ["hair drier", "toaster"]
