"""Reading JSON: every fault is one sentence that names the file and says what to do."""

import pytest
from pydantic import BaseModel, ConfigDict

from segrepro.errors import UserError
from segrepro.files import write_json
from segrepro.json_files import read_json, read_model

REMEDY = "make it with `segrepro audit`"


class Shares(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    share: float
    parts: dict[str, int] = {}


def sentence(path, model=None) -> str:
    with pytest.raises(UserError) as caught:
        read_model(path, model, REMEDY) if model else read_json(path, REMEDY)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.endswith(f"; {REMEDY}.")
    assert "\n" not in text
    return text


def test_what_was_written_is_read(tmp_path):
    value = {"share": 0.25, "parts": {"\N{DAGGER}": 2**40}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json", REMEDY) == value
    assert read_json(str(tmp_path / "a.json"), REMEDY) == value
    assert read_model(tmp_path / "a.json", Shares, REMEDY) == Shares(**value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not JSON (Expecting value"),
        (b'{"share": ', "not JSON (Expecting value"),
        (b"\x89PNG\r\n\x1a\n", "not JSON ('utf-8' codec can't decode"),
        ("\ufeff{}".encode(), "not JSON (Unexpected UTF-8 BOM"),
        (b'{"share": ' + b"[" * 100_000, "not JSON (maximum recursion"),
        (b'{"share": ' + b"9" * 5000 + b"}", "not JSON (Exceeds the limit"),
        (b'{"share": NaN}', "not JSON (NaN is no number)"),
        (b'{"share": [-Infinity]}', "not JSON (-Infinity is no number)"),
        (b"[1]", "not a mapping"),
        (b"null", "not a mapping"),
    ],
)
def test_what_is_no_json_mapping_is_named(tmp_path, content, fault):
    (tmp_path / "a.json").write_bytes(content)
    assert sentence(tmp_path / "a.json").startswith(f"{tmp_path / 'a.json'}: {fault}")
    assert sentence(tmp_path / "a.json", Shares) == sentence(tmp_path / "a.json")


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "file").write_text("{}")
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "file/below.json"):
        assert sentence(path) == f"{path}: no such file; {REMEDY}."


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{}", "share: this key is required and missing"),
        ('{"share": "much"}', "share: input should be a valid number, not 'much'"),
        ('{"share": 1, "part": {}}', "part: unknown key; did you mean 'parts'?"),
        ('{"share": 1, "parts": {"a b": 0.5}}', "parts.'a b': input should be a valid integer"),
    ],
)
def test_another_form_is_named_by_its_first_fault(tmp_path, content, fault):
    (tmp_path / "a.json").write_text(content)
    assert fault in sentence(tmp_path / "a.json", Shares)
