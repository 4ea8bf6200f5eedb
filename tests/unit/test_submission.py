"""The archive for VOC's server, and each mistake that such an archive can have."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import jpeg_bytes, picture, png_bytes
from segrepro.cli import main
from segrepro.config import parse_config
from segrepro.errors import UserError
from segrepro.graph import graph_of
from segrepro.labels import VOID
from segrepro.report.competition import competition, external_sources
from segrepro.report.submission import member_name, pack
from segrepro.report.submission_check import check_submission
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.scores import ScoreReader, ScoreWriter

SIZES = {"2008_000006": (24, 32), "2008_000011": (16, 40), "2009_000002": (30, 20)}  # height, width
IDS = sorted(SIZES)


def labels_of(id: str) -> np.ndarray:
    return np.random.default_rng(SIZES[id][0]).integers(0, 21, SIZES[id]).astype(np.uint8)


@pytest.fixture
def manifest(tmp_path) -> Path:
    (tmp_path / "images").mkdir()
    for id, (height, width) in SIZES.items():
        rgb = np.resize(picture(), (height, width, 3))
        (tmp_path / f"images/{id}.jpg").write_bytes(jpeg_bytes(rgb))
    write_manifest(tmp_path / "voc_test.csv", [Example(id, tmp_path / f"images/{id}.jpg") for id in IDS])
    return tmp_path / "voc_test.csv"


@pytest.fixture
def scores(tmp_path) -> Path:
    with ScoreWriter(
        tmp_path / "voc_test.h5", system="s", label_space="voc21", kind="labels", resize="legacy"
    ) as store:
        for id in IDS:
            store.add(id, labels_of(id), size=SIZES[id])
    return tmp_path / "voc_test.h5"


def answers(competition: int = 6) -> dict[str, bytes]:
    return {member_name(id, competition): png_bytes(labels_of(id)) for id in IDS}


def archive_of(folder: Path, members: dict[str, bytes], *, mode: str = "w:gz", links: tuple[str, ...] = ()) -> Path:
    path = folder / "results.tar.gz"
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return path


def mistakes(path: Path, manifest: Path | None) -> list[str]:
    with pytest.raises(UserError) as caught:
        check_submission(path, manifest)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


# ---- the archive


def test_an_archive_holds_the_stores_labels_as_palette_pngs(scores, manifest, tmp_path):
    out = tmp_path / "results.tar.gz"
    assert pack(scores, manifest, out, competition=6, threads=1) == 3
    with tarfile.open(out, "r:gz") as archive, ScoreReader(scores) as reader:
        members = archive.getmembers()
        assert [m.name for m in members] == [f"results/VOC2012/Segmentation/comp6_test_cls/{id}.png" for id in IDS]
        for member, id in zip(members, IDS, strict=True):
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            with Image.open(archive.extractfile(member)) as png:
                assert png.mode == "P"
                assert png.getpalette()[3:6] == [128, 0, 0]
                np.testing.assert_array_equal(np.array(png), reader.labels(id))
    assert check_submission(out, manifest) == (6, 3)


def test_the_bytes_depend_on_the_answers_alone(scores, manifest, tmp_path):
    digests = set()
    for name, threads in (("a.tar.gz", 1), ("other/b.tar.gz", 2)):
        pack(scores, manifest, tmp_path / name, competition=5, threads=threads)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_store_of_other_pictures_is_refused(scores, manifest, tmp_path):
    write_manifest(manifest, [Example(id, manifest.parent / f"images/{id}.jpg") for id in IDS[1:]])
    with pytest.raises(UserError, match=f"1 of the {len(IDS)} pictures of .* are not in .*, the first is '{IDS[0]}'"):
        pack(scores, manifest, tmp_path / "out/results.tar.gz", competition=6, threads=1)
    assert not (tmp_path / "out").exists()


def test_the_verbs_pack_note_and_check(scores, manifest, tmp_path, capsys):
    out, entry = str(tmp_path / "results.tar.gz"), tmp_path / "entry.json"
    files = ["--scores", str(scores), "--manifest", str(manifest), "--out", out, "--entry", str(entry)]
    main(["submission", *files, "--competition", "6", "--sources", "dataset trainaug", "--seed", "3"])
    assert '"sources_beside_voc": [\n    "dataset trainaug"\n  ]' in entry.read_text()
    assert '"seed": 3' in entry.read_text()
    main(["check-submission", out, "--manifest", str(manifest)])
    assert "3 answers for competition 6" in capsys.readouterr().out


# ---- the mistakes


def test_a_good_archive_of_others_passes_with_folders_and_dots(manifest, tmp_path):
    with tarfile.open(tmp_path / "r.tgz", "w:gz") as archive:
        folder = tarfile.TarInfo("./results")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in answers(5).items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert check_submission(tmp_path / "r.tgz", manifest) == (5, 3)
    assert check_submission(tmp_path / "r.tgz", pictures=None) == (5, 3)


def adaptive() -> bytes:
    """Labels as colours, saved with the palette that Pillow chooses for them."""
    rgb = Image.open(io.BytesIO(png_bytes(labels_of(IDS[0])))).convert("RGB")
    stream = io.BytesIO()
    rgb.convert("P", palette=Image.Palette.ADAPTIVE).save(stream, "PNG")
    return stream.getvalue()


def with_label(label: int) -> bytes:
    labels = labels_of(IDS[0])
    labels[0, 0] = label
    return png_bytes(labels)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (png_bytes(labels_of(IDS[0]), mode="RGB"), "holds RGB colours instead of a palette"),
        (png_bytes(labels_of(IDS[0]), mode="L"), "holds grey levels instead of a palette"),
        (adaptive(), "an adaptive palette renumbers the labels"),
        (with_label(VOID), "answers 255 (void)"),
        (with_label(21), "answers 21; labels are 0 to 20"),
        (png_bytes(labels_of(IDS[0])[:-1]), "is 32 x 23 pixels, its picture 32 x 24"),
        (png_bytes(np.zeros((3000, 3000), np.uint8)), "is far larger than any test picture"),
        (jpeg_bytes(picture()), "is a JPEG and no PNG"),
        (png_bytes(labels_of(IDS[0]))[:60], "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_wrong_picture_is_named_with_its_mistake(manifest, tmp_path, content, sentence):
    name = member_name(IDS[0], 6)
    found = mistakes(archive_of(tmp_path, answers() | {name: content}), manifest)
    assert any(line.startswith(f"{name}: ") and sentence in line for line in found)
    assert len(found) == (2 if "larger" in sentence else 1)


def test_every_kind_is_listed_once_with_its_count(manifest, tmp_path):
    good = answers()
    members = {
        **{name: png_bytes(labels_of(Path(name).stem), mode="RGB") for name in list(good)[:2]},
        member_name("2008_999999", 6): good[member_name(IDS[0], 6)],
        "results/VOC2012/Segmentation/comp6_test_cls/notes.txt": b"",
        f"{IDS[2]}.png": b"",
    }
    assert [
        line.split("(")[-1] if line.endswith("files.)") else line
        for line in mistakes(archive_of(tmp_path, members), manifest)
    ] == [
        "2 such files.)",
        f"{member_name('2008_999999', 6)}: '2008_999999' is no test picture; remove it.",
        "2 such files.)",
        f"{IDS[2]}.png: the answer for this test picture is missing; predict all of them.",
    ]


@pytest.mark.parametrize(
    "place",
    [
        "VOC2012/Segmentation/comp6_test_cls",
        "results/VOC2012/Segmentation/comp7_test_cls",
        "results/VOC2012/Segmentation/comp6_test_cls/more",
        "results/VOC2012/Main/comp6_test_cls",
        "results/VOC2007/Segmentation/comp6_test_cls",
    ],
)
def test_a_wrong_folder_is_said(manifest, tmp_path, place):
    found = mistakes(archive_of(tmp_path, {f"{place}/{id}.png": b"" for id in IDS}), manifest)
    assert f"{place}/{IDS[0]}.png: no such file belongs in it; pack answers only, as results/VOC2012" in found[0]
    assert found[0].endswith("(3 such files.)")
    assert found[1].startswith("holds no answer")


def test_two_competitions_in_one_archive_are_refused(manifest, tmp_path):
    found = mistakes(archive_of(tmp_path, answers(5) | answers(6)), manifest)
    assert "answered in both competitions" in found[0]
    assert "has answers of comp5 and of comp6" in found[1]


def test_without_a_manifest_the_number_must_be_that_of_the_test_set(manifest, tmp_path, capsys):
    path = archive_of(tmp_path, answers())
    (line,) = mistakes(path, None)
    assert line == (
        "holds 3 answers where the test set of VOC 2012 has 1,456 pictures; predict all of them, or give --manifest "
        "(or --other-pictures) where others are meant."
    )
    assert check_submission(path, pictures=3) == (6, 3)
    (line,) = mistakes(archive_of(tmp_path, {}), None)
    assert line.startswith("holds no answer")
    archive_of(tmp_path, answers())
    main(["check-submission", str(path), "--other-pictures"])
    assert "3 answers for competition 6, ids and sizes not checked" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["check-submission", str(path), "--other-pictures", "--manifest", str(manifest)])
    assert end.value.code == 2  # a manifest says which others


@pytest.mark.parametrize(
    ("extra", "links", "reason"),
    [
        ({"/etc/evil.png": b""}, (), "has an absolute path"),
        ({"../evil.png": b""}, (), "leads out of the archive"),
        ({}, ("results/link.png",), "is a symbolic link"),
    ],
)
def test_hostile_entries_are_refused(manifest, tmp_path, extra, links, reason):
    (line,) = mistakes(archive_of(tmp_path, answers() | extra, links=links), manifest)
    assert reason in line
    assert line.endswith("pack plain files again, with `segrepro submission` say.")


def test_what_is_no_tar_gz_is_said(manifest, tmp_path):
    assert "is not compressed by gzip" in mistakes(archive_of(tmp_path, answers(), mode="w"), manifest)[0]
    whole = archive_of(tmp_path, answers())
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:-200])
    assert "is truncated or damaged" in mistakes(cut, manifest)[0]
    assert "cannot be read (No such file" in mistakes(tmp_path / "none.tar.gz", manifest)[0]


def test_the_command_ends_with_1_and_without_traceback(manifest, tmp_path):
    path = archive_of(tmp_path, {})
    with pytest.raises(SystemExit) as end:
        main(["check-submission", str(path), "--manifest", str(manifest)])
    assert str(end.value).startswith(f"segrepro check-submission: {path}: holds no answer")
    assert "3 such files" in str(end.value)


# ---- which competition, which systems


@pytest.fixture
def family(merged_config):
    """Config and graph of the full scale, with a system made from VOC's own data alone and one with proposals."""
    merged = merged_config("full")
    own = merged["models"]["deeplabv3_trainaug"] | {"dataset": "voc_trainval", "init": None}
    merged["models"]["own"] = own
    merged["systems"]["own"] = {"model": "own", "splits": ["voc_val"]}
    merged["models"]["boxes"] = merged["models"]["deconvnet_stage1"] | {"dataset": "voc_train", "init": None}
    boxes = merged["systems"]["deconvnet_stage1"]
    merged["systems"]["boxes"] = boxes | {"model": "boxes"}
    merged["systems"]["mean"] = {"fusion": {"kind": "mean", "members": ["own", "boxes"]}, "splits": ["voc_val"]}
    search = {"tune_on": "voc_train", "pictures": 100, "bilateral_sxy": [30, 50]}
    crf = {"members": ["own"], "preset": "deeplab_vgg", "search": search}
    merged["systems"]["own_crf"] = {"crf": crf, "splits": ["voc_val"]}
    config = parse_config(merged)
    return config, graph_of(config)


@pytest.mark.parametrize(
    ("system", "sources"),
    [
        ("own", []),
        ("boxes", ["edge detector of edge_boxes"]),
        ("mean", ["edge detector of edge_boxes"]),
        ("own_crf", []),  # tuned on voc_train_100, which is a part of VOC's train
        ("deeplabv3_trainaug", ["dataset trainaug", "weights resnet101v2_imagenet"]),
        ("deeplabv3_coco20_trainaug", ["dataset coco20", "dataset trainaug", "weights resnet101v2_imagenet"]),
        ("deeplabv3plus_released_trainval", ["weights xception_65_coco_voc_trainval"]),
    ],
)
def test_the_competition_follows_from_all_that_a_system_is_made_from(family, system, sources):
    assert external_sources(*family, system) == sources
    assert competition(*family, system) == (6 if sources else 5)


def test_a_system_that_an_overlay_leaves_out_is_not_sent(merged_config):
    merged = merged_config("full")
    merged["submission"] = {"systems": ["stacking_mean_crf", "deeplabv3_trainaug"]}
    merged["systems"]["stacking_mean_crf"] = None
    assert parse_config(merged).submission.systems == ["deeplabv3_trainaug"]


def test_a_submission_names_systems_that_can_predict_without_labels(merged_config):
    merged = merged_config("full")
    merged["systems"]["crf_of_stack"] = {
        "crf": {"members": ["stacking_shared"], "preset": "deeplab_vgg"},
        "splits": ["voc_val"],
    }
    merged["submission"] = {"systems": ["deeplabv3_trainaug", "crf_of_stack", "nobody"]}
    with pytest.raises(UserError) as caught:
        parse_config(merged)
    assert "submission.systems: 'crf_of_stack' needs 'stacking_shared', a stacker fitted by folds" in str(caught.value)
    assert "submission.systems: 'nobody' names no system" in str(caught.value)
    assert "'deeplabv3_trainaug'" not in str(caught.value)
