"""docs/adding.md and docs/code.md keep their word: a hyper-parameter is one line, a training is read in ten files."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ADDING, CODE = ((ROOT / "docs" / name).read_text() for name in ("adding.md", "code.md"))
FIELD = re.search(r"```python\n(    warm_up: .*\n)```", ADDING)[1]
LOOK = """
import json, sys
from pathlib import Path
import yaml
from segrepro.config import json_schema, model_spec, parse_config
from segrepro.config.digest import system_digest
from segrepro.config.spec import read_spec
from segrepro.errors import UserError

NAME = "deeplabv3_trainaug"
given = json.loads(sys.stdin.read())
plain = parse_config(given)
changed = json.loads(json.dumps(given))
changed["protocols"]["deeplabv3_report"]["warm_up"] = 100
changed = parse_config(changed)
wrong = json.loads(json.dumps(given))
wrong["protocols"]["deeplabv3_report"]["warm_up"] = -1
try:
    parse_config(wrong)
except UserError as error:
    refused = str(error)
print(json.dumps({
    "specs": [model_spec(config, NAME).plain()["protocol"]["warm_up"] for config in (plain, changed)],
    "digests": [system_digest(config, NAME) for config in (plain, changed)],
    "former": read_spec(Path("spec.yaml")).protocol.warm_up,
    "refused": refused,
    "schema": json.loads(json_schema())["$defs"]["Protocol"]["properties"]["warm_up"],
}))
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package whose protocols have one more line, and no other change."""
    shutil.copytree(ROOT / "workflow/segrepro", tmp_path / "segrepro", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "segrepro/config/protocols.py"
    source = module.read_text().replace("import Positive, Section, Share\n", "import Count, Positive, Section, Share\n")
    before = "    micro_batch: Positive"
    assert source.count(before) == 1
    module.write_text(source.replace(before, FIELD + before))
    return tmp_path


def test_a_hyper_parameter_is_one_line(copy, merged_config):
    from segrepro.config import model_spec, parse_config

    former = model_spec(parse_config(merged_config()), "deeplabv3_trainaug").plain()
    assert "warm_up" not in former["protocol"]
    (copy / "spec.yaml").write_text(yaml.safe_dump(former))
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=copy,
        env={"PYTHONPATH": str(copy), "PATH": ""},
        input=json.dumps(merged_config()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["specs"] == [0, 100]
    assert seen["former"] == 0
    assert seen["digests"][0] != seen["digests"][1]
    assert "protocols.deeplabv3_report.warm_up: " in seen["refused"]
    assert seen["schema"]["default"] == 0
    assert seen["schema"]["description"].startswith("steps in which the learning rate rises")


def test_how_a_model_is_trained_is_read_in_ten_files():
    rows = re.findall(r"^\| `(\S+\.py)` \| (\d+) \|", CODE, re.MULTILINE)
    lines = {name: len((ROOT / "workflow/segrepro" / name).read_text().splitlines()) for name, _ in rows}
    assert 8 <= len(rows) <= 10
    assert sum(lines.values()) <= 1300
    assert {name: int(said) for name, said in rows} == pytest.approx(lines, rel=0.1), "the table's numbers are old"
