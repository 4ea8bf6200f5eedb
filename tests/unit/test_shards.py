"""Shards: merged, they have the bytes of a run without them, whatever their number."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from networks import described
from segrepro.cli import main
from segrepro.config.systems import ProposalWise
from segrepro.data.subsets import block, every_nth
from segrepro.errors import UserError
from segrepro.inference import predict as predict_module
from segrepro.inference import proposalwise
from segrepro.inference.predict import predict
from segrepro.inference.proposalwise import predict_proposals
from segrepro.stores.manifests import Example, write_manifest

SIZES = [(24, 32), (40, 20), (24, 32), (32, 24), (24, 32), (40, 20), (24, 32)]
SIDE = 8


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("pictures"), []
    for number, size in enumerate(SIZES):
        path = folder / f"p{number}.jpg"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)).save(path)
        made.append(Example(f"p{number}", path))
    write_manifest(folder / "m.csv", made)
    return made


@pytest.fixture(scope="module")
def model():
    pictures = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 64)(pictures)
    return keras.Model(pictures, keras.layers.Conv2D(21, 3, strides=4, padding="same")(scaled))


def merged(parts, out, examples, *options):
    files = ["--parts", *map(str, parts), "--manifest", str(examples[0].image.parent / "m.csv"), "--out", str(out)]
    main(["merge-scores", *files, *options])
    return out.read_bytes()


@pytest.mark.parametrize("count", [2, 3])
def test_predicted_shards_merge_to_the_bytes_of_one_run(model, examples, tmp_path, monkeypatch, count):
    monkeypatch.setattr(predict_module, "PIXELS_PER_BATCH", 2 * 24 * 32)
    options = {"system": "s", "label_space": "voc21", "network": described({})}
    predict(model, examples, tmp_path / "whole.h5", **options)
    parts = [tmp_path / f"{k}.h5" for k in range(count, 0, -1)]
    for k, part in zip(range(count, 0, -1), parts, strict=True):
        predict(model, examples, part, **options, shard=f"{k}/{count}")
    assert merged(parts, tmp_path / "m.h5", examples, "--by-size") == (tmp_path / "whole.h5").read_bytes()
    with pytest.raises(UserError, match=r"--shard 1/9: there are \d batches of pictures of one size only"):
        predict(model, examples, tmp_path / "x.h5", **options, shard="1/9")
    assert not (tmp_path / "x.h5").exists()


class Boxes:
    """So many boxes a picture; of none, and of picture p2, the picture is predicted whole."""

    def __init__(self, counts):
        self.counts = counts

    def boxes(self, id):
        random = np.random.default_rng(int(id[1:]))
        return np.array([(0, 0, *random.integers(6, 20, 2)) for _ in range(self.counts[id])], np.int64).reshape(-1, 4)


@pytest.mark.parametrize(("count", "boxed"), [(2, True), (7, True), (3, False)])
def test_shards_of_proposals_merge_to_the_bytes_of_one_run(examples, tmp_path, count, boxed):
    pictures = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(pictures, keras.layers.Conv2D(21, 3, padding="same")(pictures))
    proposals = Boxes({e.id: n for e, n in zip(examples, (3, 1, 0, 9, 2, 4, 1), strict=True)}) if boxed else None
    options = {
        "proposals": proposals,
        "aggregation": ProposalWise(count=9, min_side=2, enlarge=1.0, of="scores", batch=4),
        "input_size": SIDE,
    }
    options |= {"system": "s", "label_space": "voc21"}
    alone = predict_proposals(model, examples, tmp_path / "whole.h5", **options)
    parts, predicted_whole = [tmp_path / f"{k}.h5" for k in range(1, count + 1)], []
    for k, part in enumerate(parts, start=1):
        predicted_whole += predict_proposals(model, examples, part, **options, shard=f"{k}/{count}")
    assert predicted_whole == alone == (["p2"] if boxed else [])
    assert merged(parts, tmp_path / "m.h5", examples) == (tmp_path / "whole.h5").read_bytes()


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=12), batch=st.integers(1, 6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_shard_predicts_whole_batches_of_the_stream_that_hold_its_crops(counts, batch, data):
    shards = data.draw(st.integers(1, len(counts)))
    examples = [Example(f"p{number:02}", "x") for number in range(len(counts))]
    sizes = [max(1, count) for count in counts]
    stream = [(e.id, n) for e, size in zip(examples, sizes, strict=True) for n in range(size)]
    seen = []
    for k in range(1, shards + 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(proposalwise, "_number_of_boxes", lambda example, *_: sizes[int(example.id[1:])])
            stretch = proposalwise._stretch(examples, None, ProposalWise(batch=batch), f"{k}/{shards}")
        crops = [(e.id, n) for e in stretch.examples for n in range(sizes[int(e.id[1:])])]
        crops = crops[stretch.skipped :][: stretch.length]
        start = stream.index(crops[0])
        assert stream[start : start + len(crops)] == crops
        assert start % batch == 0
        assert len(crops) % batch == 0 or stream[-1] == crops[-1]
        assert [crop for crop in stream if crop[0] in stretch.own] == [c for c in crops if c[0] in stretch.own]
        seen += sorted(stretch.own)
    assert seen == [example.id for example in examples]


def test_shards_share_out_everything_once():
    assert every_nth(list(range(10)), "2/4") == [1, 5, 9]
    assert block(list(range(10)), "2/4") == [2, 3, 4]
    for share in (every_nth, block):
        parts = [share(list(range(10)), f"{k}/3") for k in (1, 2, 3)]
        assert sorted(number for part in parts for number in part) == list(range(10))
        for which in ("3/2", "1", "0/2", "a/b", "1/11"):
            with pytest.raises(UserError, match=f"--shard '?{which}"):
                share(list(range(10)), which)
