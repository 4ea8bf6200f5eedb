"""Near-duplicates: copies are found, other pictures are not, and blocks change nothing."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segrepro.cli import main
from segrepro.config.experiment import NearDuplicates
from segrepro.errors import UserError
from segrepro.evaluation import near_duplicates
from segrepro.evaluation.near_duplicates import (
    HASH_BITS,
    WORDS,
    Pair,
    distances,
    hash_file,
    hash_pictures,
    nearest_pairs,
    perceptual_hash,
    unique_pictures,
)
from segrepro.stores.manifests import Example, write_manifest


def photograph(seed: int, height: int = 120, width: int = 160) -> Image.Image:
    """A picture with the spectrum of a photograph: noise of every scale, the coarse ones strongest."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((3, 1.0), (6, 0.6), (12, 0.35), (40, 0.15)):
        noise = random.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        layers = [
            np.array(Image.fromarray(noise[..., c]).resize((width, height), Image.Resampling.BICUBIC)) for c in range(3)
        ]
        total += weight * np.stack(layers, axis=-1)
    return Image.fromarray(np.clip(127 + 70 * total, 0, 255).astype(np.uint8))


def manifest_of(folder, pictures: dict[str, Image.Image], **saving):
    folder.mkdir()
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.jpg", **saving)
    write_manifest(folder / "m.csv", [Example(name, folder / f"{name}.jpg") for name in pictures])
    return folder / "m.csv"


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.resize((80, 60), Image.Resampling.LANCZOS),
        lambda p: p.resize((240, 180), Image.Resampling.BICUBIC),
        lambda p: p.resize((128, 128), Image.Resampling.BICUBIC),
        lambda p: p.point(lambda value: min(255, int(value * 1.2))),
        lambda p: p.convert("L"),
    ],
    ids=["halved", "enlarged", "squeezed", "brighter", "grey"],
)
def test_a_changed_copy_is_near(tmp_path, change):
    for seed in range(4):
        photograph(seed).save(tmp_path / "a.jpg", quality=95)
        change(photograph(seed)).save(tmp_path / "b.jpg", quality=40)
        found = distances(hash_file(tmp_path / "a.jpg")[None], hash_file(tmp_path / "b.jpg")[None])
        assert found.item() <= NearDuplicates().max_distance


def test_other_pictures_are_not_near():
    hashes = np.stack([perceptual_hash(np.array(photograph(seed).convert("L"))) for seed in range(30)])
    others = distances(hashes, hashes)[np.triu_indices(30, 1)]
    assert others.min() > NearDuplicates().max_distance
    assert abs(others.mean() - HASH_BITS / 2) < 12


def test_the_verb_finds_the_copies_and_nothing_else(tmp_path, capsys):
    first = manifest_of(tmp_path / "coco", {f"{n:012}": photograph(n) for n in range(6)}, quality=90)
    copies = {"2007_000001": photograph(2).resize((100, 75)), "2007_000002": photograph(5)}
    second = manifest_of(tmp_path / "voc", {**copies, "2007_000003": photograph(77)}, quality=35)
    out, counts, sheet = (tmp_path / name for name in ("pairs.csv", "counts.json", "sheet.png"))
    options = ["--names", "COCO", "VOC", "--pairs", "5", "--out", out, "--counts", counts, "--sheet", sheet]
    main(["near-duplicates", "--first", str(first), "--second", str(second), *map(str, options)])
    rows = list(csv.DictReader(out.open()))
    assert {(row["id_a"], row["id_b"]) for row in rows} == {
        ("000000000002", "2007_000001"),
        ("000000000005", "2007_000002"),
    }
    assert [int(row["distance"]) for row in rows] == sorted(int(row["distance"]) for row in rows)
    stated = json.loads(counts.read_text())
    assert (stated["pictures"], stated["pairs"], stated["pictures_in_pairs"]) == ([6, 3], 2, [2, 2])
    assert stated["nearest_other"] > stated["max_distance"] == NearDuplicates().max_distance
    assert "2 near-duplicates" in capsys.readouterr().out
    with Image.open(sheet) as drawn:
        assert drawn.width == 1750  # a page of 7 inches


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=1, max_size=9),
    st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=1, max_size=9),
    st.integers(0, 5),
    st.integers(0, 12),
    st.integers(1, 40),
)
def test_blocks_find_what_a_plain_loop_finds(first, second, bound, at_least, block):
    a, b = np.array(first, np.uint64), np.array(second, np.uint64)
    ids_a, ids_b = [f"p{n:02}" for n in range(len(a))], [f"p{n + 5:02}" for n in range(len(b))]
    plain = sorted(
        Pair(sum((int(x) ^ int(y)).bit_count() for x, y in zip(u, v, strict=True)), i, j)
        for i, u in zip(ids_a, a, strict=True)
        for j, v in zip(ids_b, b, strict=True)
        if i != j
    )
    near = sum(pair.distance <= bound for pair in plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "BLOCK_PAIRS", block)
        found = nearest_pairs(ids_a, a, ids_b, b, max_distance=bound, at_least=at_least)
    assert found == plain[: max(near, at_least)]


def test_a_picture_of_both_sets_is_no_pair_with_itself():
    hashes = np.zeros((2, WORDS), np.uint64)
    found = nearest_pairs(["x", "y"], hashes, ["y", "z"], hashes, max_distance=3, at_least=9)
    assert [(pair.id_a, pair.id_b) for pair in found] == [("x", "y"), ("x", "z"), ("y", "z")]


def test_processes_give_the_same_hashes_and_boxes_count_a_picture_once(tmp_path):
    rows = []
    for number in range(3):
        path = tmp_path / f"{number}.jpg"
        photograph(number, 40, 50).save(path)
        rows += [Example(str(number), path, box=(0, 0, side, side)) for side in (5, 6)]
    pictures = unique_pictures(rows)
    assert list(pictures) == ["0", "1", "2"]
    alone, shared = (hash_pictures(pictures, threads=threads, label="hashing") for threads in (1, 2))
    assert alone.shape == (3, WORDS)
    assert np.array_equal(alone, shared)


def test_too_many_pairs_are_refused(monkeypatch):
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 3)
    hashes = np.zeros((3, WORDS), np.uint64)
    with pytest.raises(UserError, match="more than 3 pairs; take a smaller one"):
        nearest_pairs(["a", "b", "c"], hashes, ["d", "e", "f"], hashes, max_distance=5, at_least=1)


def test_missing_and_damaged_pictures_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.jpg: no such picture"):
        hash_file(tmp_path / "none.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(UserError, match=r"bad\.jpg: not a picture or damaged"):
        hash_file(tmp_path / "bad.jpg")


@pytest.mark.parametrize("options", [["--max-distance", "320"], ["--max-distance", "-1"], ["--pairs", "0"]])
def test_senseless_options_are_refused(tmp_path, options, capsys):
    manifest = manifest_of(tmp_path / "set", {"a": photograph(0, 24, 32)})
    places = [f"--{name}={tmp_path / file}" for name, file in (("out", "out"), ("counts", "n"), ("sheet", "s.png"))]
    with pytest.raises(SystemExit) as stop:
        main(["near-duplicates", "--first", str(manifest), "--second", str(manifest), *places, *options])
    assert options[0] in str(stop.value)
    assert not (tmp_path / "out").exists()
