"""The score store: what goes in comes out, the same content gives the same bytes, damage is named."""

import resource
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from segrepro.errors import UserError
from segrepro.labels import COCO91, VOC21, VOID
from segrepro.stores.codes import NOBODY_KNOWS
from segrepro.stores.merging import merge_stores
from segrepro.stores.resize import resize_scores
from segrepro.stores.scores import ScoreReader, ScoreWriter

HEADER = {"system": "net", "label_space": "voc21", "kind": "logits", "resize": "half_pixel"}


def logits(classes=21, shape=(3, 4), seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, classes)).astype(np.float32) * 5


def write(path, pictures, size=(40, 60), **header):
    with ScoreWriter(path, **(HEADER | header)) as store:
        for id, array in pictures.items():
            store.add(id, array, size=size)
    return path


def test_scores_come_back_as_stored_with_sizes_and_header(tmp_path):
    path = write(tmp_path / "new" / "s.h5", {"b": logits(seed=1), "a": logits()}, resize="align_corners")
    with ScoreReader(path) as store:
        assert store.ids == ["a", "b"]
        assert (store.system, store.space, store.kind, store.resize) == ("net", VOC21, "logits", "align_corners")
        assert store.size("a") == (40, 60)
        assert store.stored("a").dtype == np.float16
        np.testing.assert_array_equal(store.stored("a"), logits().astype(np.float16))


def test_a_store_says_which_code_filled_it_or_that_nobody_knows(tmp_path):
    code = (("segrepro.fusion.fuse", "b" * 64), ("segrepro.inference.predict", "a" * 64))
    with ScoreReader(write(tmp_path / "s.h5", {"a": logits()}, code=code)) as store:
        assert store.code == code
    with ScoreReader(write(tmp_path / "t.h5", {"a": logits()})) as store:
        assert store.code == NOBODY_KNOWS
    with h5py.File(tmp_path / "t.h5", "a") as file:
        del file.attrs["code"]  # as before this was noted
    with ScoreReader(tmp_path / "t.h5") as store:
        assert store.code == NOBODY_KNOWS


def test_a_merged_store_says_the_code_of_all_its_parts(tmp_path):
    codes = [(("segrepro.inference.predict", digest * 64),) for digest in "ba"]
    parts = [write(tmp_path / f"{n}.h5", {n: logits()}, code=code) for n, code in zip("pq", codes, strict=True)]
    merge_stores(parts, tmp_path / "whole.h5")
    with ScoreReader(tmp_path / "whole.h5") as store:
        assert store.code == codes[1] + codes[0]


@pytest.mark.parametrize("mode", ["half_pixel", "legacy", "align_corners"])
def test_labels_are_the_argmax_and_probabilities_the_softmax_at_full_size(tmp_path, mode):
    path = write(tmp_path / "s.h5", {"a": logits()}, resize=mode)
    full = resize_scores(logits().astype(np.float16), (40, 60), mode)
    with ScoreReader(path) as store:
        labels, probabilities = store.labels("a"), store.probabilities("a")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, full.argmax(-1))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, softmax(full.astype(np.float64), axis=-1), atol=1e-6)


def test_labels_of_a_picture_larger_than_one_band_are_the_argmax(tmp_path):
    path = write(tmp_path / "s.h5", {"a": logits(91)}, label_space="coco91", size=(200, 300))
    with ScoreReader(path) as store:
        full = resize_scores(logits(91).astype(np.float16), (200, 300), "half_pixel")
        np.testing.assert_array_equal(store.labels("a"), full.argmax(-1))


def test_coco_labels_map_after_the_argmax_and_probabilities_by_sums(tmp_path):
    path = write(tmp_path / "s.h5", {"a": logits(91)}, label_space="coco91")
    table = np.array(COCO91.voc_labels)
    with ScoreReader(path) as store:
        assert store.space is COCO91
        np.testing.assert_array_equal(store.labels("a", "voc21"), table[store.labels("a")])
        own, mapped = store.probabilities("a", "coco91"), store.probabilities("a", "voc21")
    assert mapped.shape == (40, 60, 21)
    for label in range(21):
        np.testing.assert_allclose(mapped[..., label], own[..., table == label].sum(-1), atol=1e-6)


def test_a_sum_of_small_probabilities_may_differ_from_the_mapped_argmax(tmp_path):
    """The two mappings are different rules: three labels of the background outvote a likelier cat."""
    scores = np.full((1, 1, 91), -60000.0)
    scores[..., [17, 8, 10, 11]] = np.log([0.31, 0.23, 0.23, 0.23])  # cat; truck, traffic light, fire hydrant
    path = write(tmp_path / "s.h5", {"a": scores}, label_space="coco91", size=(2, 2))
    with ScoreReader(path) as store:
        assert (store.labels("a", "voc21") == VOC21.classes.index("cat")).all()
        assert (store.probabilities("a", "voc21").argmax(-1) == 0).all()


def test_a_store_of_labels_gives_labels_and_says_that_it_has_no_probabilities(tmp_path):
    vote = np.random.default_rng(0).integers(0, 21, (40, 60))
    path = write(tmp_path / "s.h5", {"a": vote}, kind="labels", system="vote")
    with ScoreReader(path) as store:
        np.testing.assert_array_equal(store.labels("a"), vote)
        assert store.labels("a", "voc21").dtype == np.uint8
        with pytest.raises(UserError, match="'vote' stores labels"):
            store.probabilities("a")


@given(
    scores=st.lists(st.floats(allow_nan=False, allow_infinity=True), min_size=21, max_size=21),
)
@settings(max_examples=30, deadline=None)
def test_any_score_but_nan_gives_finite_probabilities(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("any") / "s.h5"
    write(path, {"a": np.array(scores).reshape(1, 1, 21)}, size=(2, 3))
    with ScoreReader(path) as store:
        assert np.isfinite(store.stored("a")).all()
        np.testing.assert_allclose(store.probabilities("a").sum(-1), 1, rtol=1e-5)


def test_same_content_gives_the_same_bytes(tmp_path):
    pictures = {f"p{i}": logits(seed=i) for i in range(20)}
    first = write(tmp_path / "a.h5", pictures)
    second = write(tmp_path / "b.h5", pictures)
    assert first.read_bytes() == second.read_bytes()


def test_a_failure_leaves_the_former_store_and_no_half_written_one(tmp_path):
    path = write(tmp_path / "s.h5", {"a": logits()})
    before = path.read_bytes()
    with pytest.raises(UserError, match="NaN"):
        write(path, {"b": logits(), "c": logits() * np.nan})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["s.h5"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((3, 4, 21), np.nan), "picture 'x' of system 'net' has NaN"),
        (np.zeros((3, 4, 20)), r"expected \(h, w, 21\)"),
        (np.zeros((0, 4, 21)), "shape"),
        (np.zeros((3, 21)), "shape"),
    ],
)
def test_scores_that_cannot_be_stored_name_the_picture(tmp_path, array, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path / "s.h5", {"x": array})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((40, 60), VOID), "label 255"),
        (np.full((40, 60), -1), "label -1"),
        (np.zeros((40, 59), np.uint8), "shape"),
        (np.zeros((40, 60), np.float32), "float32"),
    ],
)
def test_labels_that_cannot_be_stored_name_the_picture(tmp_path, array, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path / "s.h5", {"x": array}, kind="labels")


@pytest.mark.parametrize("id", ["", "a/b", "."])
def test_an_id_that_cannot_name_a_dataset_is_refused(tmp_path, id):
    with pytest.raises(UserError, match="plain name"):
        write(tmp_path / "s.h5", {id: logits()})


def test_a_picture_added_twice_and_an_empty_store_are_refused(tmp_path):
    with ScoreWriter(tmp_path / "s.h5", **HEADER) as store:
        store.add("a", logits(), size=(4, 4))
        with pytest.raises(UserError, match=r"picture 'a' .* twice"):
            store.add("a", logits(), size=(4, 4))
    (tmp_path / "s.h5").unlink()
    with pytest.raises(UserError, match="no picture was added"):
        write(tmp_path / "s.h5", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"kind": "scores"}, {"resize": "bicubic"}, {"label_space": "ade20k"}])
def test_unknown_names_in_the_header_are_refused(tmp_path, wrong):
    with pytest.raises(UserError, match="is unknown: use one of"):
        ScoreWriter(tmp_path / "s.h5", **(HEADER | wrong))


@pytest.mark.parametrize("limit", [100, 3000, 20_000, 60_000])
def test_a_disk_that_fills_up_ends_in_one_sentence_and_leaves_nothing(tmp_path, limit):
    script = f"""
        import numpy as np
        from segrepro.errors import UserError
        from segrepro.stores.scores import ScoreWriter
        try:
            with ScoreWriter("s.h5", **{HEADER!r}) as store:
                for i in range(4):
                    store.add(str(i), np.random.default_rng(i).normal(size=(33, 47, 21)), size=(375, 500))
        except UserError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "s.h5: cannot be written" in done.stdout
    assert "disk" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_missing_truncated_and_foreign_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.h5: no such score store"):
        ScoreReader(tmp_path / "absent.h5")
    path = write(tmp_path / "s.h5", {"a": logits()})
    for keep in (0, 10, 500, path.stat().st_size - 1):
        cut = tmp_path / "cut.h5"
        cut.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(UserError, match=r"cut\.h5: damaged, truncated or not a score store"):
            ScoreReader(cut)
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(UserError, match=r"text\.h5: damaged"):
        ScoreReader(tmp_path / "text.h5")
    with h5py.File(tmp_path / "weights.h5", "w") as other:
        other["layer"] = 1.0
    with pytest.raises(UserError, match="'format_version' is missing"):
        ScoreReader(tmp_path / "weights.h5")


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("format_version", 2, "format 2"),
        ("kind", "votes", "kind 'votes' is unknown"),
        ("resize", "nearest", "resize 'nearest' is unknown"),
        ("label_space", "ade20k", "'ade20k' is unknown"),
        ("code", "[[1, 2]]", "attribute 'code' is damaged"),
        ("code", "{", "attribute 'code' is damaged"),
        ("code", 3, "attribute 'code' is damaged"),
    ],
)
def test_a_header_of_another_version_is_named(tmp_path, attribute, value, message):
    path = write(tmp_path / "s.h5", {"a": logits()})
    with h5py.File(path, "a") as file:
        file.attrs[attribute] = value
    with pytest.raises(UserError, match=rf"s\.h5: .*{message}"):
        ScoreReader(path)


def test_a_picture_whose_header_is_damaged_is_noticed(tmp_path):
    path = write(tmp_path / "s.h5", {"a": logits(), "b": logits()})
    with h5py.File(path) as file:
        offset = h5py.h5o.get_info(file["pictures/a"].id).addr
    content = bytearray(path.read_bytes())
    content[offset : offset + 32] = b"\xff" * 32
    path.write_bytes(content)
    with ScoreReader(path) as store, pytest.raises(UserError, match=r"s\.h5: damaged, truncated or not a score store"):
        store.labels("a")


def test_a_flipped_bit_in_the_scores_is_noticed(tmp_path):
    path = write(tmp_path / "s.h5", {"a": logits(shape=(20, 20))})
    with h5py.File(path) as file:
        offset = file["pictures/a"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 100] ^= 4
    path.write_bytes(content)
    with ScoreReader(path) as store, pytest.raises(UserError, match=r"s\.h5: damaged"):
        store.labels("a")


def test_an_unknown_picture_and_an_impossible_mapping_are_named(tmp_path):
    path = write(tmp_path / "s.h5", {"a": logits()})
    with ScoreReader(path) as store:
        with pytest.raises(UserError, match="picture 'b' is not among its 1 pictures"):
            store.labels("b")
        with pytest.raises(UserError, match="'voc21' cannot be mapped to 'coco91'"):
            store.labels("a", "coco91")
        with pytest.raises(UserError, match="'ade20k' is unknown"):
            store.probabilities("a", "ade20k")


def put(path, array, *, height=40, width=60, header=HEADER, **storage):
    """A store as somebody else writes it by the documented layout, whatever the array is."""
    with h5py.File(path, "w") as file:
        file.attrs.update(header | {"format_version": 1})
        dataset = file.create_group("pictures").create_dataset("a", data=array, **storage)
        dataset.attrs["height"], dataset.attrs["width"] = height, width
    return path


VOTE = HEADER | {"kind": "labels"}
FOREIGN = {
    "two axes": (np.zeros((3, 4), np.float16), {}, r"has scores of shape \(3, 4\)"),
    "20 classes": (np.zeros((3, 4, 20), np.float16), {}, r".*where float16 of shape \(h, w, 21\) belong"),
    "float32": (np.zeros((3, 4, 21), np.float32), {}, ".*type float32"),
    "labels in scores": (np.zeros((40, 60), np.uint8), {}, ".*type uint8"),
    "no pixel": (np.zeros((0, 4, 21), np.float16), {}, "has scores of shape"),
    "small labels": (np.zeros((5, 5), np.uint8), {"header": VOTE}, r".*where uint8 of shape \(40, 60\) belong"),
    "wide labels": (np.zeros((40, 60), np.int64), {"header": VOTE}, ".*type int64"),
    "void": (np.full((40, 60), VOID, np.uint8), {"header": VOTE}, "has label 255, where 0..20 are possible"),
    "no height": (np.zeros((3, 4, 21), np.float16), {"height": 0}, "has no height and width"),
    "half a pixel": (np.zeros((3, 4, 21), np.float16), {"width": 2.5}, "has no height and width"),
}


@pytest.mark.parametrize("fault", FOREIGN)
def test_a_map_of_another_form_is_refused_by_picture(tmp_path, fault):
    array, options, words = FOREIGN[fault]
    path = put(tmp_path / "s.h5", array, **options)
    with ScoreReader(path) as store:
        for read in (store.labels, store.stored):
            with pytest.raises(UserError, match=rf"s\.h5: picture 'a' of system 'net' {words}"):
                read("a")


def test_a_group_in_the_place_of_a_map_and_a_system_that_is_no_text_are_refused(tmp_path):
    path = put(tmp_path / "s.h5", np.zeros((3, 4, 21), np.float16))
    with h5py.File(path, "a") as file:
        file["pictures"].create_group("b")
    with ScoreReader(path) as store, pytest.raises(UserError, match="picture 'b' of system 'net' is no array"):
        store.size("b")
    with h5py.File(path, "a") as file:
        file.attrs["system"] = 3
    with pytest.raises(UserError, match="'system' is no text"):
        ScoreReader(path)


@pytest.mark.parametrize("storage", [{}, {"chunks": (2, 2, 21)}, {"chunks": (3, 4, 21), "compression": "lzf"}])
def test_parts_that_others_packed_in_their_own_way_are_merged_to_the_same_bytes(tmp_path, storage):
    put(tmp_path / "theirs.h5", logits().astype(np.float16), **storage)
    merge_stores([tmp_path / "theirs.h5"], tmp_path / "merged.h5")
    code = NOBODY_KNOWS
    assert (tmp_path / "merged.h5").read_bytes() == write(tmp_path / "o.h5", {"a": logits()}, code=code).read_bytes()
    put(tmp_path / "wrong.h5", np.zeros((3, 4), np.float16), **({} if "chunks" in storage else storage))
    with pytest.raises(UserError, match=r"wrong\.h5: picture 'a' .*scores of shape"):
        merge_stores([tmp_path / "wrong.h5"], tmp_path / "merged.h5")
