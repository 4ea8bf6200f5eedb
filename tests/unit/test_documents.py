"""What README and docs tell people to type works, what they point to is there, and what they count is so many."""

import contextlib
import copy
import importlib.util
import io
import re
import shlex
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from snakemake.cli import get_argument_parser
from snakemake.utils import update_config

from segrepro.cli import VERBS, main
from segrepro.config import Config, parse_config
from segrepro.config.systems import System

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "results/README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Commands stand in the comments of these, too.
COMMENTED = [
    *(ROOT / name for name in ("Snakefile", "config.yaml", "tests/real/config.yaml", "tests/real/report1.yaml")),
    *sorted((ROOT / "profiles").glob("*/profile.yaml")),
]
PROGRAMS = ("snakemake", "segrepro", "make", "python")
READERS_OWN = "mine.yaml"  # the file that the documents ask the reader to write
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command line that a text shows, and where."""

    place: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.words)}"


def commands_in(text: str, place: str) -> list[Command]:
    """List the command lines of our programs in a text: lines of fenced blocks without a language, and code spans."""
    blocks = [block for _, language, block in FENCE.findall(text) if not language]
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    spans = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", FENCE.sub("", text))
    found = []
    for line in [*lines, *spans]:
        if line.lstrip().startswith(PROGRAMS):
            words = tuple(shlex.split(line, comments=True))
            if words[0] in PROGRAMS:
                found.append(Command(place, words))
    return found


def comment_commands(text: str, place: str) -> list[Command]:
    """List the calls of Snakemake in comments: in backticks, or up to two blanks or the end of the line."""
    lines = re.findall(r"^#.*?(?<![`\w] )`?(snakemake(?: [^\s`]+)*)", text, re.MULTILINE)
    return [Command(place, tuple(shlex.split(line))) for line in lines if " " in line]


def all_commands(program: str) -> list[Command]:
    """List the calls of a program in all documents and commented files."""
    found = [c for path in DOCUMENTS for c in commands_in(path.read_text(), str(path.relative_to(ROOT)))]
    found += [c for path in COMMENTED for c in comment_commands(path.read_text(), str(path.relative_to(ROOT)))]
    return sorted({command for command in found if command.words[0] == program})


def parsed(parser, command: Command):
    """Parse a command's arguments; the parser's own words are what a failing test shows."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser.parse_args(command.words[1:])
    except SystemExit:
        pytest.fail(f"{command}\n{said.getvalue()}")


@cache
def rule_names() -> set[str]:
    """Return the names of the workflow's rules."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    return {name for file in files for name in re.findall(r"^ *rule (\w+):", file.read_text(), re.MULTILINE)}


def faults_of_call(arguments) -> list[str]:
    """Say what is wrong with a parsed call of Snakemake: files that are taken for others, names that nothing has."""
    faults = []
    for file in arguments.configfile or []:
        if file.suffix != ".yaml":
            faults.append(f"'{file}' is taken for a config file")
        elif file.name != READERS_OWN and not (ROOT / file).is_file():
            faults.append(f"there is no config file '{file}'")
    faults += [f"'{entry}' is taken for a config entry" for entry in arguments.config or [] if "=" not in entry]
    for target in arguments.targets:
        if target not in rule_names() and not target.startswith(("results/", "data/")):
            faults.append(f"'{target}' is no target")
    profile = arguments.workflow_profile
    if profile and not (ROOT / profile / "profile.yaml").is_file():
        faults.append(f"there is no profile '{profile}'")
    return faults


@pytest.mark.parametrize("command", all_commands("snakemake"), ids=str)
def test_snakemake_reads_the_documents_calls_as_they_are_meant(command):
    assert faults_of_call(parsed(get_argument_parser(), command)) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--configfile mine.yaml results/tables/miou.csv", "'results/tables/miou.csv' is taken for a config file"),
        ("--configfile tests/real/other.yaml", "there is no config file 'tests/real/other.yaml'"),
        ("--config scale=full datasets", "'datasets' is taken for a config entry"),
        ("--cores all everything", "'everything' is no target"),
        ("--workflow-profile profiles/lsf", "there is no profile 'profiles/lsf'"),
    ],
)
def test_calls_that_snakemake_would_read_otherwise_are_found(line, fault):
    assert faults_of_call(get_argument_parser().parse_args(line.split())) == [fault]


def test_the_documents_name_verbs_that_there_are():
    for command in all_commands("segrepro"):
        verb = command.words[1]
        assert verb in VERBS or verb.startswith("-") or verb == "VERB", str(command)


def examples_of_verbs() -> list[Command]:
    """List the calls in documents and in the verbs' own help that have arguments."""
    found = [command for command in all_commands("segrepro") if len(command.words) > 2 and command.words[1] in VERBS]
    for verb in VERBS:
        text = import_module(f"segrepro.verbs.{verb.replace('-', '_')}").__doc__
        for line in re.sub(r"\\\n\s*", " ", text).splitlines():
            if shown := re.match(rf"(?:Example: | +)(segrepro {verb} .*)", line):
                found.append(Command(f"segrepro {verb} --help", tuple(shlex.split(shown[1]))))
    return found


@pytest.mark.parametrize("command", examples_of_verbs(), ids=str)
def test_examples_of_verbs_are_understood(command, monkeypatch):
    verb = import_module(f"segrepro.verbs.{command.words[1].replace('-', '_')}")
    ran = []
    monkeypatch.setattr(verb, "run", ran.append)  # the arguments are read, and nothing is done
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            main(list(command.words[1:]))
    except SystemExit:
        pytest.fail(f"{command}\n{said.getvalue()}")
    assert ran


def test_every_verb_shows_an_example():
    shown = {command.words[1] for command in examples_of_verbs()}
    assert set(VERBS) - shown == set()


def test_make_has_the_targets_that_the_documents_name():
    targets = set(re.findall(r"^([\w.$()/-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets = {target.replace("$(VENV)", ".venv") for target in targets}
    for command in all_commands("make"):
        assert {word for word in command.words[1:] if "=" not in word} <= targets, str(command)


def test_the_programs_that_the_documents_start_are_there():
    started = [command for command in all_commands("python") if command.words[1:]]
    assert started
    for command in started:
        file = command.words[1]
        if file == "-m":
            file = f"workflow/{command.words[2].replace('.', '/')}.py"
        assert (ROOT / file).is_file(), str(command)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_to_files(document):
    text = document.read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    broken = [link for link in links if "://" not in link and not (document.parent / link.split("#")[0]).exists()]
    folders = "benchmarks|docs|envs|profiles|tests|workflow"
    paths = re.findall(rf"`((?:{folders})/[\w./-]*)`", text)
    places = (ROOT, ROOT / "tests")  # docs/faults.md names tests by their place below tests/
    assert broken + [path for path in paths if not any((place / path).exists() for place in places)] == []


def test_what_the_documents_name_in_a_module_stands_there():
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    named = re.findall(r"`(\w+)` (?:of|in)\s+`(?:workflow/)?(segrepro/[\w/]+\.py)`", text)
    assert len(named) > 5
    for name, file in named:
        source = (ROOT / "workflow" / file).read_text()
        assert re.search(rf"^ *(def |class ){name}\b|^{name} = ", source, re.MULTILINE), f"{name}: {file}"


def test_the_tests_that_the_faults_page_names_are_there():
    text = (ROOT / "docs/faults.md").read_text()
    files = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
    paths = re.findall(r"`((?:unit|workflow|tests)/[\w/]*test_\w+)(?:\.py)?`", text)
    assert paths
    assert {path.split("/")[-1] for path in paths} - set(files) == set()
    for name, cases in re.findall(r"`(test_\w+)`\*?: ((?:`\w+`(?: \(\w+\))?(?:, )?)+)", text):
        source = files[name].read_text()
        for case in re.findall(r"`(\w+)`", cases):
            if not case.startswith("test_"):
                assert re.search(rf"(def test_\w*|class ){case}", source), f"{name}: {case}"


def test_the_page_of_results_names_every_kind_of_file_that_rules_write():
    page = (ROOT / "results/README.md").read_text()
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    written = set(re.findall(r"\{RESULTS\}/((?:tables/|figures/)?\w+)[/.]", rules))
    assert {"models", "tables/crf_search", "lineage"} <= written
    last = {name: name.split("/")[-1] for name in written}
    assert {name for name in written if not re.search(rf"[`/]{last[name]}\b", page)} == set()


def config_examples() -> list:
    """List the parts of a config that documents show; a part of a system stands in a system with a CRF."""
    found = []
    for path in DOCUMENTS:
        blocks = [block for _, language, block in FENCE.findall(path.read_text()) if language == "yaml"]
        for number, block in enumerate(blocks, start=1):
            shown = yaml.safe_load(re.sub(r"<64 hexadecimal digits>", "0" * 64, block))
            if set(shown) <= set(System.model_fields):
                shown = {"systems": {"deeplabv3_phase2_ms_flip_crf_tuned": shown}}
            found.append(pytest.param(shown, id=f"{path.name} {number}"))
    return found


@pytest.mark.parametrize("shown", config_examples())
def test_configs_in_the_documents_are_understood(shown):
    assert set(shown) <= set(Config.model_fields)
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"scale": "full"}
    update_config(config, copy.deepcopy(shown))  # as Snakemake lays a --configfile over it
    parse_config(config)


@pytest.fixture(scope="module")
def published():
    """The published experiment."""
    return parse_config(yaml.safe_load((ROOT / "config.yaml").read_text()) | {"scale": "full"})


def test_the_page_of_the_data_lists_the_files_without_a_checksum(published):
    archives = {f"archives.{name}": entry for name, entry in published.archives if entry}
    weights = {f"weights.{name}": entry for name, entry in published.weights.items()}
    detectors = {f"proposals.{name}.model": getattr(e, "model", None) for name, e in published.proposals.items()}
    unchecked = {
        (name, entry.file)
        for name, entry in {**archives, **weights, **detectors}.items()
        if entry and not (entry.md5 or entry.sha256 or entry.sha256_list)
    }
    section = (ROOT / "docs/data.md").read_text().split("## Files without a checksum")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", section, re.MULTILINE)) == unchecked


def test_the_disk_space_of_a_full_run_is_what_the_config_comes_to(published):
    file = ROOT / "benchmarks/full_run.py"
    spec = importlib.util.spec_from_file_location("full_run", file)
    full_run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(full_run)
    page = (ROOT / "docs/cost.md").read_text()
    # A system more or less does not make the page wrong: a fifth of what is there does.
    for what, size in full_run.disk(published):
        printed = re.search(rf"^\| {re.escape(what)} \| ([\d.]+) \|$", page, re.MULTILINE)
        assert printed, f"{what}: run {file} again"
        assert float(printed[1]) == pytest.approx(float(size), rel=0.2), f"{what}: run {file} again"


def test_no_release_is_cited_that_the_changelog_does_not_have():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    if "date-released" in citation:
        assert f"## {citation['version']}" in (ROOT / "CHANGELOG.md").read_text()
