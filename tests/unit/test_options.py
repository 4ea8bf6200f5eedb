"""Every verb's options: each path and number has a kind, and what cannot be used is refused before the work.

The tests run over all options of all verbs, so that a new one is covered too.
"""

import argparse
import os
from pathlib import Path

import pytest

from segrepro.cli import commands, main, verb_parser
from segrepro.options import Input, Number, OutputFile, OutputFolder, PathKind, SharedFolder
from segrepro.outputs import check_paths

PARSERS = {verb: verb_parser(verb) for verb in commands()}
Option = tuple[str, argparse.Action]


def options_of(*kinds: type) -> list[Option]:
    """Return every option of some kinds, of all verbs."""
    return [(verb, a) for verb, parser in PARSERS.items() for a in parser._actions if isinstance(a.type, kinds)]


def name_for(action: argparse.Action) -> str:
    return f"out{(getattr(action.type, 'endings', ()) or ('',))[0]}"


def command(verb: str, folder: Path, *given: tuple[argparse.Action, str]) -> list[str]:
    """Return a command with some options, and with whatever else the verb requires; its inputs are not there."""
    values = dict(given)
    groups = PARSERS[verb]._mutually_exclusive_groups
    for action in PARSERS[verb]._actions:
        if action.required and action not in values:
            values[action] = example_of(action, folder / f"place{len(values)}")
    for group in groups:
        if group.required and not set(group._group_actions) & set(values):
            values[group._group_actions[0]] = example_of(group._group_actions[0], folder / "place")
    words = verb.split()
    for action, value in sorted(values.items(), key=lambda item: bool(item[0].option_strings)):  # places first
        words += [*action.option_strings[:1], *[value] * (action.nargs if isinstance(action.nargs, int) else 1)]
    return words


def example_of(action: argparse.Action, place: Path) -> str:
    if choices := action.choices or getattr(action.type, "values", None):
        return str(next(iter(choices)))
    if isinstance(action.type, PathKind):
        return f"{place}{name_for(action)}"
    return str(int(action.type.least) + 1) if isinstance(action.type, Number) else "some"


def ending_of(argv: list[str]) -> str | int:
    """Run a command that is refused; return its sentence, or the code where argparse refuses it."""
    with pytest.raises(SystemExit) as end:
        main(argv)
    if isinstance(end.value.code, str):
        assert end.value.code.startswith(f"segrepro {argv[0]}")
        assert "\n" not in end.value.code
    return end.value.code


def check_refused(sentence: str, *commands: list[str]) -> None:
    """Run commands, each of which must be refused in this sentence."""
    told = [ending_of(argv) for argv in commands]
    assert told
    assert [" ".join(argv) for argv, code in zip(commands, told, strict=True) if sentence not in str(code)] == []


def test_no_option_takes_a_path_or_number_without_a_kind():
    plain = [
        (verb, action.dest)
        for verb, parser in PARSERS.items()
        for action in parser._actions
        if action.type in (Path, int, float) and not action.choices
    ]
    assert plain == []


def test_defaults_are_in_their_own_range():
    for verb, action in options_of(Number):
        defaults = action.default if isinstance(action.default, list | tuple) else [action.default]
        assert all(value in action.type for value in defaults if value is not None), (verb, action.dest)


@pytest.mark.parametrize("word", ["nan", "-1", "inf", "1e400"])
def test_numbers_out_of_range_are_refused(word, tmp_path):
    for verb, action in options_of(Number):
        if action.type.kind is float or word == "-1":
            check_refused(f"{action.option_strings[0]} is ", command(verb, tmp_path, (action, word)))
    assert not list(tmp_path.iterdir())


def test_words_that_are_no_numbers_are_bad_usage_of_the_verb(tmp_path, capsys):
    for verb, action in options_of(Number):
        assert ending_of(command(verb, tmp_path, (action, "many"))) == 2
        told = capsys.readouterr().err
        assert f"usage: segrepro {verb}" in told
        assert "'many' is not a" in told


def test_empty_names_are_refused(tmp_path, capsys):
    for verb, action in options_of(PathKind):
        assert ending_of(command(verb, tmp_path, (action, ""))) == 2
        assert "the name is empty" in capsys.readouterr().err


OUTPUTS = options_of(OutputFile, OutputFolder, SharedFolder)


def test_an_output_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    commands = [command(v, tmp_path, (a, str(tmp_path / "file" / name_for(a)))) for v, a in OUTPUTS]
    check_refused("is not a folder; name another place", *commands)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_with_too_long_a_name_is_refused(tmp_path):
    for length in (240, 300):  # too long for a temporary name beside it, and for itself
        commands = [command(v, tmp_path, (a, str(tmp_path / ("x" * length + name_for(a))))) for v, a in OUTPUTS]
        check_refused("give one of at most", *commands)


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    for _, action in OUTPUTS:
        if not (loop := tmp_path / name_for(action)).is_symlink():
            loop.symlink_to(loop.name)
    commands = [command(v, tmp_path, (a, str(tmp_path / name_for(a)))) for v, a in OUTPUTS]
    check_refused("a link in its path leads back to itself", *commands)


def test_a_file_never_replaces_a_folder_or_a_pipe(tmp_path):
    for verb, action in options_of(OutputFile):
        folder, pipe = tmp_path / name_for(action), tmp_path / f"pipe{name_for(action)}"
        folder.mkdir(exist_ok=True)
        if not pipe.exists():
            os.mkfifo(pipe)
        check_refused("is a folder; give the name of a file", command(verb, tmp_path, (action, str(folder))))
        check_refused("is a device or pipe", command(verb, tmp_path, (action, str(pipe))))


def test_a_name_of_another_ending_is_refused(tmp_path):
    commands = [command(v, tmp_path, (a, "out.doc")) for v, a in options_of(OutputFile) if a.type.endings]
    check_refused("the name must end in", *commands)


def test_a_folder_never_replaces_a_file(tmp_path):
    letter = tmp_path / "letter"
    letter.write_text("mine")
    commands = [command(v, tmp_path, (a, str(letter))) for v, a in options_of(OutputFolder, SharedFolder)]
    check_refused("is a file: give", *commands)
    assert letter.read_text() == "mine"


@pytest.mark.parametrize(("verb", "action"), options_of(OutputFolder))
def test_only_a_folder_of_the_same_kind_is_replaced(verb, action, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    argv = command(verb, tmp_path, (action, str(folder)))
    check_refused(f"is no {action.type.what}", argv)
    (folder / action.type.mark).touch()
    check_refused("holds thesis.txt", argv)
    (folder / "thesis.txt").rename(folder / ".snakemake_timestamp")
    assert "is there already" not in ending_of(argv)  # now the inputs are what is missing


def test_parts_of_a_shared_folder_are_replaced_only_where_the_verb_wrote_them(tmp_path):
    for verb, action in options_of(SharedFolder):
        for name in action.type.replaced:
            folder = tmp_path / verb / name
            (tmp_path / name).mkdir()
            folder.mkdir(parents=True)
            (folder / "mine.txt").write_text("years of work")
            argv = command(verb, tmp_path, (action, str(folder.parent)))
            check_refused("nothing tells that this command wrote it", argv)
            (folder.parent / action.type.mark).parent.mkdir(exist_ok=True)
            (folder.parent / action.type.mark).touch()
            assert "nothing tells" not in ending_of(argv)
            (folder.parent / action.type.mark).unlink()
            (folder / "mine.txt").unlink()


def test_the_current_folder_and_the_home_are_never_replaced(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here" / "below"
    for folder in (home, here):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for verb, action in options_of(OutputFolder):
        check_refused("is or holds the current folder", command(verb, tmp_path, (action, "..")))
        check_refused("is or holds your home", command(verb, tmp_path, (action, "~")))


def test_an_output_that_names_an_input_is_refused(tmp_path):
    for verb, action in options_of(OutputFile, OutputFolder):
        same, link = tmp_path / name_for(action), tmp_path / f"link{name_for(action)}"
        if not link.is_symlink():
            link.symlink_to(same)
        for other in PARSERS[verb]._actions:
            if isinstance(other.type, Input):
                words = (same, tmp_path / "folder" / ".." / same.name, link)
                check_refused(
                    "would be", *[command(verb, tmp_path, (action, str(same)), (other, str(word))) for word in words]
                )


def test_two_outputs_of_one_name_are_refused(tmp_path):
    for verb, action in OUTPUTS:
        for other in PARSERS[verb]._actions:
            if other is not action and (verb, other) in OUTPUTS:
                same = str(tmp_path / name_for(other))
                told = ending_of(command(verb, tmp_path, (action, same), (other, same)))
                assert "is the same place as" in told or "the name must end in" in told


def test_an_input_in_a_folder_that_is_replaced_is_refused(tmp_path):
    for verb, action in options_of(OutputFolder):
        for other in PARSERS[verb]._actions:
            if isinstance(other.type, Input):
                inside = str(tmp_path / "out" / "downloads" / "in.tar")
                argv = command(verb, tmp_path, (action, str(tmp_path / "out")), (other, inside))
                check_refused("and would be replaced", argv)


def test_outputs_may_lie_in_a_shared_folder_that_is_not_there_yet(tmp_path):
    for verb, action in options_of(SharedFolder):
        folder = tmp_path / "new"
        others = [a for v, a in options_of(OutputFile) if v == verb]
        inside = [(a, str(folder / f"{number}{name_for(a)}")) for number, a in enumerate(others)]
        args = PARSERS[verb].parse_args(command(verb, tmp_path, (action, str(folder)), *inside)[1:])
        check_paths(PARSERS[verb], args)
