"""Keys that come twice are refused wherever users' JSON and YAML are read."""

import pytest
import yaml

from networks import spec_of
from segrepro.cli import main
from segrepro.config.spec import read_spec
from segrepro.data.coco_annotations import parse_annotations
from segrepro.errors import UserError
from segrepro.json_files import read_json, refuse_twins


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\nscale: full\nseed: 2\n", r"a\.yaml, line 3: key 'seed' comes twice .* in line 1; keep one"),
        ("models:\n  a: {steps: 1}\n  b: [{x: 1, 'x': 2}]\n", "line 3: key 'x' comes twice"),
        ("base: &base {x: 1}\nother:\n  <<: *base\n  x: 2\n", None),
        ("a: &a [*a]\n", None),
        ('{"a": {"b": 1, "b": 2}}', "key 'b' comes twice"),
        ('{\n\t"a": {\n\t\t"b": 1,\n\t\t"b": 2\n\t}\n}', "key 'b' comes twice"),
        ("no: [yaml", None),
        ("", None),
    ],
)
def test_a_key_twice_in_a_config_file_is_named_with_its_line(tmp_path, text, words):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    if words is None:
        refuse_twins(path)
        return
    with pytest.raises(UserError, match=words):
        refuse_twins(path)


def test_a_spec_with_a_key_twice_is_refused(tmp_path):
    spec = spec_of({})
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec.plain()))
    assert read_spec(tmp_path / "spec.yaml") == spec
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec.plain()) + "seed: 1\n")
    with pytest.raises(UserError, match=r"spec\.yaml, line \d+: key 'seed' comes twice"):
        read_spec(tmp_path / "spec.yaml")


def test_json_files_with_a_key_twice_are_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"a": {"b": 1, "c": 2, "b": 1}}')
    with pytest.raises(UserError, match=r"a\.json: key 'b' comes twice in one mapping; make it again\."):
        read_json(tmp_path / "a.json", "make it again")
    with pytest.raises(SystemExit, match=r"--json: not JSON .key 'a' comes twice"):
        main(["spec", "--json", '{"a": 1, "a": 2}', "--out", str(tmp_path / "spec.yaml")])


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ('{"images": [], "annotations": [], "categories": [], "annotations": []}', "annotations"),
        ('{"images": [], "annotations": [{"id": 1, "image_id": 2, "image_id": 3}], "categories": []}', "image_id"),
    ],
)
def test_coco_s_json_with_a_key_twice_is_refused(content, key):
    """The second list of annotations, an empty one of a merge gone wrong, would make all masks background."""
    with pytest.raises(UserError, match=f"i.json: key '{key}' comes twice .*; get the annotations archive again"):
        parse_annotations(content.encode(), source="i.json")
