"""The command line: quick to start, and without tracebacks."""

import errno
import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import segrepro
from segrepro.cli import VERBS, commands, main

HEAVY = ("tensorflow", "keras", "torch")


def loaded_after(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stderr.split()}


def test_help_loads_nothing_heavy():
    loaded = loaded_after("from segrepro.cli import main; main(['--help'])")
    assert not loaded & {*HEAVY, "numpy", "pandas", "matplotlib", "pydantic", "cv2", "scipy", "requests"}


def test_help_tells_of_each_verb_what_its_own_help_begins_with(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = dict(re.findall(r"^  ([a-z][a-z-]+) +(\S.*)$", capsys.readouterr().out, re.MULTILINE))
    assert list(told) == list(VERBS)
    assert told["crf"] == "refine a score store by a fully connected CRF (DenseCRF, by pydensecrf)"
    assert told["page"] == "assemble the report page"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_without_loading_a_network_library(verb):
    loaded = loaded_after(f"from segrepro.cli import main; main(['{verb}', '--help'])")
    assert not loaded & {*HEAVY, "pandas", "matplotlib", "cv2"}


@pytest.mark.parametrize("verb", VERBS)
def test_examples_in_help_have_the_line_breaks_of_the_source(verb):
    """A backslash before a line's end vanishes, with the end, from a string that is not raw."""
    text = importlib.import_module(f"segrepro.verbs.{verb.replace('-', '_')}").__doc__
    assert max(map(len, text.splitlines())) <= 120


def test_event_files_without_tensorboard_are_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    names = ("spec", "manifest", "model", "history", "checkpoints")
    files = [word for name in names for word in (f"--{name}", f"{name}.keras")]
    with pytest.raises(SystemExit) as stop:
        main(["train", *files, "--tensorboard", str(tmp_path / "events")])
    assert "need the package tensorboard: install it by `" in stop.value.code
    assert "-m pip install 'tensorboard" in stop.value.code
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", ["data", "evaluation", "fusion", "provenance", "report"])
def test_rooms_that_need_no_network_load_no_tensorflow(room):
    package = __import__(f"segrepro.{room}", fromlist=["__path__"])
    modules = [m.name for m in pkgutil.walk_packages(package.__path__, f"segrepro.{room}.") if "stacker" not in m.name]
    assert modules
    assert not loaded_after("import " + ", ".join(modules)) & set(HEAVY)


def test_reading_scores_loads_no_tensorflow():
    assert not loaded_after("import segrepro.stores.scores") & set(HEAVY)


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert segrepro.__version__ in capsys.readouterr().out


def test_a_figure_is_named_behind_its_verb(capsys):
    for words in (["figure"], ["figure", "gird", "--out", "x.png"], ["figure", "--help"], ["figure", "grid", "--help"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == (0 if "--help" in words else 2)
    told = capsys.readouterr()
    assert "there is no figure 'gird'; did you mean 'grid'?" in told.err
    assert "usage: segrepro figure grid" in told.out
    assert {"figure grid", "train"} <= set(commands())
    for command in commands():
        if command.startswith("figure "):
            assert f"  {command.split()[1]} " in told.out


@pytest.mark.parametrize("argv", [[], ["trian"], ["train"], ["fetch", "--no-such-option"]])
def test_bad_usage_ends_with_code_2(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [
            "train",
            "--spec",
            "no.yaml",
            "--manifest",
            "no.csv",
            "--model",
            "m.keras",
            "--history",
            "h",
            "--checkpoints",
            "c",
        ],
        ["spec", "--json", "{", "--out", "x.yaml"],
        ["evaluate", "--scores", "no.h5", "--manifest", "no.csv", "--json", "a", "--confusions", "b.npz"],
        ["manifest", "voc_val", "--out", "x.csv"],
    ],
)
def test_bad_input_ends_with_one_sentence_and_code_1(argv, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "segrepro", *argv], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"segrepro {argv[0]}: ")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_in_a_sentence(monkeypatch, tmp_path):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "x.json")

    monkeypatch.setattr("segrepro.files.write_text", full)
    with pytest.raises(SystemExit, match=r"segrepro schema: x\.json: No space left on device; free some space"):
        main(["schema", "--out", str(tmp_path / "x.json")])
