"""The rule files wire files; their logic is in `segrepro.plan`, where it is tested."""

import re
from pathlib import Path

from segrepro.report.figures import FIGURES
from segrepro.report.tables import TABLES

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]

# What Snakemake's own language says at the margin: a rule, or a declaration. Their blocks are wiring.
DECLARATIONS = "include|configfile|wildcard_constraints|ruleorder|scattergather|resource_scopes|pathvars"
WIRING = re.compile(
    rf"^ *(?:rule \w+|use rule \w+ as \w+ with|(?:{DECLARATIONS})):|^ *(?:ruleorder|include|configfile): "
)

MOST_LINES = 150


def python_lines(text: str) -> list[str]:
    """Return the lines of Python of a rule file.

    Counted are all lines that are neither blank nor a comment, outside of rules and declarations: imports, assignments,
    functions with their docstrings, conditions and handlers (`onstart`). Not counted are a rule's own lines: they name
    files, resources and a command, by calls of `segrepro.plan`.
    """
    found, block = [], None
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        depth = len(line) - len(line.lstrip())
        if block is not None and depth > block:
            continue
        block = depth if WIRING.match(line) else None
        if block is None:
            found.append(line)
    return found


def test_the_rules_hold_next_to_no_python():
    lines = {file.name: len(python_lines(file.read_text())) for file in FILES}
    assert sum(lines.values()) <= MOST_LINES, lines


def test_the_count_sees_functions_and_not_rules():
    text = """
import os  # counted
# not counted
if X:  # counted

    rule a:
        input:
            f(1),
        shell:
            "b"

def f(x):
    '''Counted.'''
    return x

include: "y.smk"
wildcard_constraints:
    x="y",
X = [
    1,
]
"""
    assert len(python_lines(text)) == 8


def test_no_setting_hides_in_a_parameter_that_is_made_of_the_inputs():
    """Snakemake takes a parameter that is a function of `input` for no trigger: the inputs are."""
    text = "\n".join(file.read_text() for file in FILES)
    derived = re.findall(r"(\w+)=lambda w, input: (.*(?:\n {9,}.*)*)", text)
    assert len(derived) >= 5
    assert [name for name, body in derived if re.search(r"PLAN|CONFIG", body)] == []


def test_rules_of_entries_give_the_captions_that_snakemakes_report_shows():
    assert (ROOT / "workflow/segrepro/report/caption.rst").read_text() == "{{ snakemake.params.caption }}\n"
    rules = [rule for file in FILES for rule in re.split(r"\n(?= *rule\b)", file.read_text())]
    entries = {rule: set(re.findall(r"in_report\(\s*(\S+),", rule)) for rule in rules if "in_report(" in rule}
    assert len(entries) >= 3
    for rule, shown in entries.items():
        (given,) = re.findall(r"caption=entries.caption_of\((\S+)\),", rule)
        assert given in shown, rule
        if len(shown) > 1:  # a rule has one caption for all that it makes
            assert shown == {'FIGURES["near_duplicates"]', 'TABLES["near_duplicates"]'}
    assert FIGURES["near_duplicates"].caption == TABLES["near_duplicates"].caption
