"""Manifests: what is written comes back, and what cannot be meant is refused."""

import tempfile
import weakref
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segrepro.errors import UserError
from segrepro.evaluation.leakage import manifest_ids
from segrepro.files import write_rows
from segrepro.stores import manifests
from segrepro.stores.manifests import Example, instances_beside, read_manifest, read_some, write_manifest

# ids and folders as they occur, and the characters that CSV has to quote
NAMES = st.text("abcXYZ0123456789_-, \"'äß", min_size=1, max_size=12).map(str.strip).filter(bool)
BOXES = st.tuples(st.integers(-50, 500), st.integers(-50, 500), st.integers(1, 600), st.integers(1, 600)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@st.composite
def whole_pictures(draw, root):
    ids = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    with_masks = draw(st.booleans())
    return [Example(i, root / "images" / f"{i}.jpg", root / "masks" / f"{i}.png" if with_masks else None) for i in ids]


@st.composite
def boxed_objects(draw, root):
    ids = draw(st.lists(NAMES, min_size=1, max_size=6))
    boxes = draw(st.lists(BOXES, min_size=len(ids), max_size=len(ids)))
    with_instance = draw(st.booleans())
    return [
        Example(
            i,
            root / f"{i}.jpg",
            root / f"{i}.png",
            box,
            root / f"{i}_object.png" if with_instance else None,
            number + 1 if with_instance else None,
        )
        for number, (i, box) in enumerate(zip(ids, boxes, strict=True))
    ]


def resolved(examples):
    def full(path):
        return path and path.resolve()

    return sorted((e.id, full(e.image), full(e.mask), e.box, full(e.instance_mask), e.instance) for e in examples)


def test_some_rows_are_those_of_all_in_the_order_asked_for(tmp_path):
    rows = [Example(f"p{i:03}", tmp_path / f"{i}.jpg", tmp_path / f"{i}.png", (i, 0, i + 1, 1)) for i in range(40)]
    write_manifest(tmp_path / "m.csv", rows)
    places = [7, 39, 0, 12]
    found, count = read_some(tmp_path / "m.csv", lambda rows: [place for place in places if place < rows])
    assert (found, count) == ([rows[place] for place in places], 40)


def test_what_is_wrong_with_a_manifest_is_told_whoever_reads_it(tmp_path):
    head = "id,image,mask,x1,y1,x2,y2\n"
    for name, text, message in (
        ("empty", head, "has no rows"),
        ("columns", "id,image\na,b\n", "column 'mask' is missing"),
        ("row", head + "a,a.jpg,a.png,5,5,5,9\n", "line 2: the box 5,5,5,9 is empty"),
        ("bytes", None, "not a CSV manifest"),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_bytes(b"id,image,mask\n\xff\xfe,a,b\n") if text is None else path.write_text(text)
        for read in (read_manifest, lambda path: read_some(path, range)):
            with pytest.raises(UserError, match=message):
                read(path)
    with pytest.raises(UserError, match="no such manifest"):
        read_some(tmp_path / "none.csv", range)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_written_comes_back(data):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        examples = data.draw(st.one_of(whole_pictures(root), boxed_objects(root)))
        manifest = Path(folder) / "deep" / "manifest.csv"
        write_manifest(manifest, examples)
        assert resolved(read_manifest(manifest)) == resolved(examples)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_bytes_do_not_depend_on_the_order_of_the_examples(data):
    with tempfile.TemporaryDirectory() as folder:
        examples = data.draw(boxed_objects(Path(folder)))
        shuffled = data.draw(st.permutations(examples))
        for name, some in (("a.csv", examples), ("b.csv", shuffled)):
            write_manifest(Path(folder) / name, list(some))
        assert (Path(folder) / "a.csv").read_bytes() == (Path(folder) / "b.csv").read_bytes()


def test_rows_are_sorted_with_paths_relative_to_the_manifest(tmp_path):
    data = tmp_path / "data"
    examples = [Example(i, data / f"{i}.jpg", data / f"{i}.png") for i in ("b", "a")]
    write_manifest(tmp_path / "results" / "m.csv", examples)
    assert (tmp_path / "results" / "m.csv").read_text() == (
        "id,image,mask\na,../data/a.jpg,../data/a.png\nb,../data/b.jpg,../data/b.png\n"
    )


def test_a_project_that_moves_keeps_its_manifest_bytes(tmp_path):
    for home in ("here", "there"):
        root = tmp_path / home
        write_manifest(root / "results" / "m.csv", [Example("a", root / "data" / "a.jpg")])
    here, there = ((tmp_path / home / "results" / "m.csv").read_bytes() for home in ("here", "there"))
    assert here == there


def test_a_box_may_leave_the_picture(tmp_path):
    example = Example("a", tmp_path / "a.jpg", tmp_path / "a.png", (-12, -3, 40, 50))
    write_manifest(tmp_path / "m.csv", [example])
    assert read_manifest(tmp_path / "m.csv")[0].box == (-12, -3, 40, 50)


def test_several_boxes_of_one_picture_are_several_examples(tmp_path):
    boxes = [(0, 0, 5, 5), (1, 1, 4, 4)]
    write_manifest(tmp_path / "m.csv", [Example("a", tmp_path / "a.jpg", tmp_path / "a.png", b) for b in boxes])
    assert [e.box for e in read_manifest(tmp_path / "m.csv")] == boxes


def test_a_picture_without_ground_truth_has_no_mask(tmp_path):
    write_manifest(tmp_path / "m.csv", [Example("a", tmp_path / "a.jpg")])
    assert read_manifest(tmp_path / "m.csv")[0].mask is None


def test_a_whole_picture_listed_twice_is_refused(tmp_path):
    twice = [Example("a", tmp_path / "a.jpg"), Example("a", tmp_path / "other.jpg")]
    with pytest.raises(UserError, match="'a' is listed twice"):
        write_manifest(tmp_path / "m.csv", twice)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "m.csv").write_text("id,image,mask\na,a.jpg,\na,b.jpg,\n")
    with pytest.raises(UserError, match="'a' is listed twice"):
        read_manifest(tmp_path / "m.csv")


def test_an_empty_manifest_is_neither_written_nor_read(tmp_path):
    with pytest.raises(UserError, match="would be empty"):
        write_manifest(tmp_path / "m.csv", [])
    assert not (tmp_path / "m.csv").exists()
    for content in ("", "id,image,mask\n"):
        (tmp_path / "m.csv").write_text(content)
        with pytest.raises(UserError, match="has no rows"):
            read_manifest(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,image\na,a.jpg\n", "column 'mask' is missing"),
        ("name,image,mask\na,a.jpg,\n", "column 'id' is missing"),
        ("id,image,mask\n,a.jpg,\n", "line 2: id and image must not be empty"),
        ("id,image,mask\na,,\n", "line 2: id and image must not be empty"),
        ("id,image,mask\nb,b.jpg,\na\n", "line 3: the row has not as many fields"),
        ("id,image,mask,x1,y1,x2,y2\na,a.jpg,,5,0,5,9\n", "line 2: the box 5,0,5,9 is empty"),
        ("id,image,mask,x1,y1,x2,y2\na,a.jpg,,5,0,wide,9\n", "line 2: .*'wide'"),
        ("id,image,mask,x1,y1,x2,y2\na,a.jpg,,5,0,6\n", "line 2"),
        ("id,image,mask,x1\na,a.jpg,,5\n", "line 2"),
        ("id,image,mask,instance_mask,instance\na,a.jpg,,o.png,first\n", "line 2: .*'first'"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_by_line(tmp_path, content, message):
    manifest = tmp_path / "m.csv"
    manifest.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        read_manifest(manifest)
    assert str(manifest) in str(error.value)


def test_a_missing_manifest_names_the_verb_that_makes_it(tmp_path):
    with pytest.raises(UserError, match="segrepro manifest"):
        read_manifest(tmp_path / "none.csv")


def test_a_picture_in_place_of_a_manifest_is_refused(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00")
    with pytest.raises(UserError, match="not a CSV manifest"):
        read_manifest(tmp_path / "m.csv")


def test_a_failed_write_leaves_the_old_manifest(tmp_path):
    write_manifest(tmp_path / "m.csv", [Example("a", tmp_path / "a.jpg")])
    before = (tmp_path / "m.csv").read_bytes()
    with pytest.raises(UserError):
        write_manifest(tmp_path / "m.csv", [])
    assert (tmp_path / "m.csv").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,image,mask\na,a.jpg\n", "not as many fields"),
        ("id,image,mask\na,a.jpg,a.png,9\n", "not as many fields"),
        ("id,image,mask,x1,y1,x2,y2\na,a.jpg,a.png,,1,2,3\n", "a box needs x1, y1, x2 and y2"),
        ("id,image,mask,instance_mask,instance\na,a.jpg,a.png,,3\n", "come together"),
        ("id,image,mask,instance_mask,instance\na,a.jpg,a.png,i.png,\n", "come together"),
    ],
)
def test_a_row_that_lost_a_field_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError, match=rf"m\.csv, line 2: .*{message}"):
        read_manifest(tmp_path / "m.csv")


def test_a_folder_is_no_manifest(tmp_path):
    with pytest.raises(UserError, match="no such manifest"):
        read_manifest(tmp_path)


ROWS = "id,image,mask\na0,a0.jpg,a0.png\na1,a1.jpg,a1.png\n"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_manifest_that_a_spreadsheet_saved_is_read(tmp_path, mark, end):
    path = tmp_path / "m.csv"
    path.write_bytes((mark + ROWS.replace("\n", end)).encode())
    assert [(e.id, e.mask) for e in read_manifest(path)] == [("a0", tmp_path / "a0.png"), ("a1", tmp_path / "a1.png")]
    assert manifest_ids(path, "what it was trained on") == {"a0", "a1"}


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_are_named(tmp_path, separator, name):
    path = tmp_path / "m.csv"
    path.write_text(ROWS.replace(",", separator))
    with pytest.raises(UserError, match=rf"m\.csv: its fields are parted by {name}; save it with commas"):
        read_manifest(path)


def test_a_manifest_in_another_encoding_is_told_which_to_save(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(ROWS, encoding="utf-16")
    with pytest.raises(UserError, match="save it as CSV in UTF-8"):
        read_manifest(path)


@pytest.mark.parametrize("mask", ["a.png", "masks/a.png", "../masks/a.png", "x/../a.png"])
def test_instance_masks_are_beside_the_folder_of_the_mask_however_it_is_named(tmp_path, monkeypatch, mask):
    here = tmp_path / "set" / "masks"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    folder = here / "masks" if mask == "masks/a.png" else here
    assert instances_beside(Path(mask)) == folder.parent / "instances" / "a.png"


class Row(list):
    """A row that tells whether somebody keeps it."""

    __hash__ = object.__hash__


def test_rows_are_written_as_they_come_since_a_manifest_may_have_millions(tmp_path, monkeypatch):
    kept = weakref.WeakSet()

    def rows():
        for number in range(50):
            row = Row([number])
            kept.add(row)
            yield row
            assert len(kept) < 3

    write_rows(tmp_path / "table.csv", ["number"], rows())
    assert (tmp_path / "table.csv").read_text().split() == ["number", *map(str, range(50))]
    given = []
    monkeypatch.setattr(manifests, "write_rows", lambda path, header, rows: given.append(rows))
    write_manifest(tmp_path / "m.csv", [Example("a", tmp_path / "a.jpg")])
    assert iter(given[0]) is given[0]  # no list
