"""What a verb is started in: missing streams, a folder that is gone, a long TMPDIR, paths of all kinds."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from segrepro.cli import main
from segrepro.files import atomic_directory, atomic_path

WORKERS = """
import os, sys
from segrepro.data.parallel import map_in_processes
if __name__ == "__main__":
    print(map_in_processes(os.path.basename, ["a/b", "c/d", "e/f"], threads=2, label="names"))
"""


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_a_verb_works_without_standard_streams(tmp_path, closed):
    out = tmp_path / "schema.json"
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -m segrepro schema --out "{out}" {closed}'], check=False, cwd=tmp_path
    )
    assert done.returncode == 0
    assert out.read_text().startswith("{")


LIBRARY = """
import os, sys
from segrepro.environment import open_standard_streams
open_standard_streams()
stream = open(sys.argv[1], "w")
os.write(2, b"a warning of a library")
print("a sentence", file=sys.stderr)
"""


def test_what_is_said_without_standard_error_gets_into_no_file(tmp_path):
    (tmp_path / "library.py").write_text(LIBRARY)
    command = ["sh", "-c", f'exec "{sys.executable}" library.py opened 2>&-']
    subprocess.run(command, check=True, cwd=tmp_path)
    assert (tmp_path / "opened").read_text() == ""


def test_a_removed_current_folder_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SystemExit, match="segrepro schema: the current folder was removed; change to one"):
        main(["schema", "--out", str(tmp_path / "x.json")])


@pytest.mark.parametrize("length", [60, 80, 150])
def test_several_processes_work_with_a_temporary_folder_of_any_length(tmp_path, length):
    folder = tmp_path / ("x" * length)
    folder.mkdir()
    (tmp_path / "run.py").write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "run.py")],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "['b', 'd', 'f']", done.stderr


@pytest.mark.parametrize(("word", "near"), [("evalute", "evaluate"), ("check_labels", "check-labels"), ("Crf", "crf")])
def test_a_mistyped_verb_is_told_the_nearest_one(word, near, capsys):
    with pytest.raises(SystemExit) as end:
        main([word, "--out", "x"])
    assert end.value.code == 2
    assert f"there is no verb '{word}'; did you mean '{near}'?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["subset", "crf"])
def test_bad_options_get_the_usage_of_the_verb(verb, capsys):
    for argv in ([verb], [verb, "--manifset", "x"]):
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith(f"usage: segrepro {verb} ")


def test_a_mistyped_option_is_told_the_nearest_one(capsys):
    with pytest.raises(SystemExit):
        main(["subset", "--manifest", "x", "--pictures", "1", "--out", "y", "--manifset", "z"])
    assert "no option or place for '--manifset'; did you mean '--manifest'?" in capsys.readouterr().err


def test_the_verb_comes_first(capsys):
    with pytest.raises(SystemExit):
        main(["--out", "x", "schema"])
    assert "the verb comes first" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EISDIR, errno.ENOTDIR, errno.EIO, errno.EBUSY, errno.ESTALE, errno.EMFILE])
def test_any_error_of_the_system_is_one_sentence(number, monkeypatch, tmp_path):
    def failing(*_):
        raise OSError(number, "what the system says", "x.json")

    monkeypatch.setattr("segrepro.files.write_text", failing)
    with pytest.raises(SystemExit, match=r"^segrepro schema: x\.json: what the system says; .+\.$"):
        main(["schema", "--out", str(tmp_path / "x.json")])


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "segrepro", "checksum", __file__, "--out", "o.json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
    assert (tmp_path / "o.json").exists()


def test_a_linked_folder_is_written_where_the_link_leads(tmp_path):
    disk, link = tmp_path / "disk", tmp_path / "data" / "voc"
    disk.mkdir()
    link.parent.mkdir()
    link.symlink_to(disk / "voc")  # to nothing, at first
    for text in ("one", "two"):
        with atomic_directory(link) as folder:
            (folder / "x").write_text(text)
        assert link.is_symlink()
        assert (disk / "voc" / "x").read_text() == text
    assert [path.name for path in (*link.parent.iterdir(), *disk.iterdir())] == ["voc", "voc"]


def test_a_linked_file_is_written_where_the_link_leads(tmp_path):
    disk, link = tmp_path / "disk", tmp_path / "x.json"
    disk.mkdir()
    link.symlink_to(disk / "x.json")
    with atomic_path(link) as path:
        assert path.parent == disk
        path.write_text("{}")
    assert link.is_symlink()
    assert (disk / "x.json").read_text() == "{}"
