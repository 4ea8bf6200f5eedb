"""The verbs on broken and hostile input: one sentence with file and remedy, code 1, and nothing left behind.

The readers' own tests (test_archives, test_masks, test_sbd, ...) go through every fault of their formats; here the
command line is driven as a user drives it, with whole broken archives, and with what must be no fault.
"""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from builders import (
    coco_annotation,
    coco_json,
    jpeg_bytes,
    mat_bytes,
    picture,
    png_bytes,
    rectangle,
    run_lengths,
    scene,
    write_coco_zips,
    write_sbd_tgz,
    write_voc_tar,
)
from segrepro.cli import main
from segrepro.data.archives import iter_files
from segrepro.data.masks import read_mask
from segrepro.data.pictures import picture_size, read_rgb
from segrepro.errors import UserError

IDS = ("2007_000033", "2008_000001", "2009_000002")
BAD = IDS[1]
PICTURES = {key: picture(seed) for seed, key in enumerate(IDS)}
SCENES = dict(zip(IDS, (scene(1, 15), scene(20), scene(8, 12)), strict=True))
LISTS = {"train": list(IDS[:2]), "val": [IDS[2]], "trainval": list(IDS)}
REMEDIES = (
    "use a single-channel",
    "official",
    "get it again",
    "archive again",
    "COCO's own",
    "COCO's instances",
    "instances_*.json",
    "SBD's",
)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


RGB = Image.fromarray(picture())
EXIF = Image.Exif()
EXIF[0x0112] = 6  # "turn me by a quarter"
PICTURE_FAULTS = {
    "zero bytes": (b"", "is not an image"),
    "cut in the middle": (jpeg_bytes(picture())[:400], "cannot be read"),
    "cut in the header": (jpeg_bytes(picture())[:20], "cannot be read"),
    "CMYK": (encoded(RGB.convert("CMYK"), "JPEG"), "of mode CMYK"),
    "a PNG named .jpg": (encoded(RGB, "PNG"), "is a PNG, not a JPEG"),
    "a web page": (b"<!DOCTYPE html><html></html>" * 20, "is not an image"),
    "an archive": (b"PK\x03\x04" + bytes(400), "is not an image"),
}
MASK = scene(20)[0]
MASK_FAULTS = {
    "zero bytes": (b"", "is not an image"),
    "of another size": (png_bytes(MASK[:, :-1]), "the mask is 31 x 24 pixels and its picture 32 x 24"),
    "turned": (png_bytes(MASK.T.copy()), "the mask is 24 x 32 pixels and its picture 32 x 24"),
    "RGB": (png_bytes(MASK, mode="RGB"), "of mode RGB is no mask"),
    "RGBA": (encoded(Image.fromarray(MASK).convert("RGBA"), "PNG"), "of mode RGBA is no mask"),
    "grey with alpha": (encoded(Image.fromarray(MASK).convert("LA"), "PNG"), "of mode LA is no mask"),
    "of 16 bit": (encoded(Image.fromarray(MASK.astype(np.uint16)), "PNG"), "of mode I;16 is no mask"),
    "a JPEG": (encoded(Image.fromarray(MASK), "JPEG"), "a JPEG of mode L is no mask"),
    "label 21": (png_bytes(np.where(MASK == 20, 21, MASK).astype(np.uint8)), "label 21 occurs"),
    "label 254": (png_bytes(np.where(MASK == 20, 254, MASK).astype(np.uint8)), "label 254 occurs"),
    "cut": (png_bytes(MASK)[:-40], "cannot be read"),
}
XML_BOMB = (
    b'<!DOCTYPE a [<!ENTITY a "'
    + b"a" * 10_000
    + b'">%s]><annotation><b>&z;</b></annotation>'
    % b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 100) for n in range(25))
)
LIST_FAULTS = {
    "empty": (b"", "the list is empty"),
    "blank lines only": (b"\r\n \n\n", "the list is empty"),
    "an id twice": (b"2007_000033\n2008_000001\n2007_000033\n", "picture '2007_000033' is listed twice"),
    "an id without files": (b"2007_000033\n1999_000001\n", "1999_000001.jpg: missing, though"),
    "a second column": (b"2007_000033  1\n2008_000001 -1\n", "line 1, '2007_000033  1', is no picture id"),
    "a path": (b"2007_000033\n../../etc/passwd\n", "line 2, '../../etc/passwd', is no picture id"),
    "UTF-16": ("2007_000033\n".encode("utf-16"), "not a text file of picture ids"),
    "null bytes": (b"2007_000033\0\n", "is no picture id"),
    "a picture": (jpeg_bytes(picture()), "not a text file of picture ids"),
}


def refused(arguments: list, out) -> str:
    """Run a verb that must fail; return its one sentence, after a look at what is left behind."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--out", str(out)])
    message = end.value.code
    assert isinstance(message, str), "it did not fail with a message"  # which is exit code 1
    assert message.startswith(f"segrepro {arguments[0]}: ")
    assert "\n" not in message
    assert " object at 0x" not in message
    assert any(remedy in message for remedy in REMEDIES), message
    assert not out.exists()
    assert not list(out.parent.glob(".*")), "something half-made was left behind"
    return message


def voc_refusal(tmp_path, **faults) -> str:
    archive = write_voc_tar(tmp_path / "in/voc.tar", PICTURES, SCENES, LISTS, **faults)
    message = refused(["convert", "voc2012", "--archives", archive], tmp_path / "out/voc")
    assert str(archive) in message
    return message


@pytest.mark.parametrize("fault", PICTURE_FAULTS)
def test_a_broken_picture_is_refused_by_name(tmp_path, fault):
    content, words = PICTURE_FAULTS[fault]
    message = voc_refusal(tmp_path, replace={f"JPEGImages/{BAD}.jpg": content})
    assert f"JPEGImages/{BAD}.jpg: the picture" in message
    assert words in message


@pytest.mark.parametrize(
    ("folder", "fault"),
    [("SegmentationClass", fault) for fault in MASK_FAULTS]
    + [("SegmentationObject", fault) for fault in MASK_FAULTS if not fault.startswith("label")],  # objects have numbers
)
def test_a_broken_mask_is_refused_by_name(tmp_path, folder, fault):
    content, words = MASK_FAULTS[fault]
    message = voc_refusal(tmp_path, replace={f"{folder}/{BAD}.png": content})
    assert f"{folder}/{BAD}.png: " in message
    assert words in message


@pytest.mark.parametrize("fault", LIST_FAULTS)
def test_a_broken_list_is_refused_by_name(tmp_path, fault):
    content, words = LIST_FAULTS[fault]
    assert words in voc_refusal(tmp_path, replace={"ImageSets/Segmentation/train.txt": content})


@pytest.mark.parametrize(
    "content",
    [b"", b"<annotation>", b"\xff\xfe", b"\x89PNG", XML_BOMB],
    ids=["empty", "unclosed", "no text", "a picture", "an entity bomb"],
)
def test_a_broken_annotation_is_refused_by_name(tmp_path, content):
    assert f"Annotations/{BAD}.xml: cannot be read" in voc_refusal(
        tmp_path, replace={f"Annotations/{BAD}.xml": content}
    )


def test_an_annotation_cannot_read_files_of_this_machine(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("cat")
    xml = (
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><annotation><object><name>&x;</name></object></annotation>'
    )
    message = voc_refusal(tmp_path, replace={f"Annotations/{BAD}.xml": xml.encode()})
    assert f"Annotations/{BAD}.xml: cannot be read" in message


@pytest.mark.parametrize("content", ["\ufeff{0}\n{1}\n", "{0}\r\n{1}\r\n", "  {0} \n\n{1}\t\n\n", "{1}\n{0}"])
def test_what_editors_do_to_lists_changes_nothing(tmp_path, content):
    text = content.format(*IDS[:2]).encode()
    archive = write_voc_tar(
        tmp_path / "voc.tar", PICTURES, SCENES, LISTS, replace={"ImageSets/Segmentation/train.txt": text}
    )
    main(["convert", "voc2012", "--archives", str(archive), "--out", str(tmp_path / "voc")])
    assert (tmp_path / "voc/lists/train.txt").read_text().split() == list(IDS[:2])


def test_grey_and_rotated_pictures_stay_as_they_are_published(tmp_path):
    """An EXIF rotation is not obeyed: VOC's and COCO's masks were drawn on the pixels as stored."""
    grey, turned = encoded(RGB.convert("L"), "JPEG"), encoded(RGB, "JPEG", exif=EXIF)
    archive = write_voc_tar(
        tmp_path / "voc.tar",
        PICTURES,
        SCENES,
        LISTS,
        replace={f"JPEGImages/{IDS[0]}.jpg": grey, f"JPEGImages/{IDS[1]}.jpg": turned},
    )
    main(["convert", "voc2012", "--archives", str(archive), "--out", str(tmp_path / "voc")])
    assert (tmp_path / f"voc/images/{IDS[0]}.jpg").read_bytes() == grey
    assert (tmp_path / f"voc/images/{IDS[1]}.jpg").read_bytes() == turned
    assert read_mask(tmp_path / f"voc/masks/{IDS[1]}.png").shape == (24, 32)


def test_every_reader_leaves_a_rotated_picture_unturned(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(RGB, "JPEG", exif=EXIF))
    assert picture_size(tmp_path / "a.jpg") == (32, 24)
    assert read_rgb(tmp_path / "a.jpg").shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (mat_bytes("GTcls", Segmentation=MASK.astype("f8") + 0.5), "no whole number"),
        (mat_bytes("GTcls", Other=MASK), "GTcls has no Segmentation"),
        (mat_bytes("GTinst", Segmentation=MASK), "it has no variable GTcls"),
        (mat_bytes("GTcls", Segmentation=np.zeros((24, 32, 3))), "has no rows and columns"),
        (mat_bytes("GTcls", Segmentation=np.zeros((0, 0))), "has no rows and columns"),
        (mat_bytes("GTcls", Segmentation=np.array([[1, 2]], object)), "no matrix of real numbers"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n" * 40, "is no SBD file"),
        (b"", "it is no MATLAB 5 file"),
    ],
)
def test_a_mat_file_of_another_structure_is_refused_by_name(tmp_path, content, words):
    scenes = {key: scene(1, void=False) for key in IDS}
    lists = {"train": list(IDS[:2]), "val": [IDS[2]]}
    archive = write_sbd_tgz(tmp_path / "in/sbd.tgz", PICTURES, scenes, lists, replace={f"cls/{BAD}.mat": content})
    message = refused(["convert", "sbd", "--archives", archive], tmp_path / "out/sbd")
    assert f"{archive}: benchmark_RELEASE/dataset/cls/{BAD}.mat: " in message
    assert words in message


COCO_PICTURES = {key: picture(key) for key in (7, 12)}
BOX = coco_annotation(1, 7, 1, [rectangle(2, 2, 20, 20)])


def coco_arguments(folder, annotations):
    pictures, zipped = write_coco_zips(folder, COCO_PICTURES, annotations)
    return ["convert", "coco_train", "--archives", pictures, zipped]


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ([BOX, BOX], "annotation 1 is listed twice"),
        ([BOX | {"image_id": 9}], "annotation 1: picture 9 is not listed"),
        ([BOX | {"category_id": 255}], "category_id 255 is none of COCO's 80"),
        ([BOX | {"image_id": 10**30}], "picture 1000000000000000000000000000000 is not listed"),
        ([{k: v for k, v in BOX.items() if k != "category_id"}], "key 'category_id' is missing"),
        ([BOX | {"segmentation": run_lengths(np.ones((24, 31), bool))}], "the RLE is for (24, 31)"),
        ([BOX | {"segmentation": {"counts": "~" * 500, "size": [24, 32]}}], "none of a compressed RLE"),
        ([BOX | {"segmentation": {"counts": "o" * 10_000, "size": [24, 32]}}], "none of a compressed RLE"),
        ([BOX | {"segmentation": {"counts": [2**40], "size": [24, 32]}}], "neither polygons nor an RLE"),
        ([BOX | {"iscrowd": True}], "key 'iscrowd' is True, not a whole number"),
        (b'{"images": ' + b"[" * 100_000, "not JSON"),
        (b'{"images": [], "annotations": [], "categories": [{"id": [1], "name": "x"}]}', "category [1] is called 'x'"),
        (b'{"images": [1], "annotations": [], "categories": []}', "picture 1: key 'file_name' is missing"),
        (b'{"images": [{"id": ' + b"9" * 5000 + b', "file_name": "a.jpg"}]}', "not JSON"),
        ("\ufeff{}".encode(), "not JSON"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "json",
)
def test_broken_annotations_of_coco_are_refused_by_name(tmp_path, annotations, words):
    message = refused(coco_arguments(tmp_path / "in", annotations), tmp_path / "out/coco")
    assert f"{tmp_path}/in/annotations_trainval2017.zip: annotations/instances_train2017.json" in message
    assert words in message


def test_degenerate_polygons_are_counted_never_silently_skipped(tmp_path, capsys):
    shapes = [[], [[1.0, 1.0, 5.0, 5.0]], [[3.0, 3.0] * 3], [rectangle(2, 2, 9, 9), [1.0, 2.0]]]
    annotations = [coco_annotation(n, 7, 1, shape) for n, shape in enumerate(shapes, start=1)]
    arguments = coco_arguments(tmp_path / "in", annotations)
    main([*map(str, arguments), "--out", str(tmp_path / "coco"), "--min-pixels", "0"])
    assert "3 polygons with less than three corners skipped" in capsys.readouterr().out


def test_a_real_decompression_bomb_is_refused_at_the_real_bounds(tmp_path):
    """No bound is lowered here: 40 MB of zeros in 40 kB, declared, and declared smaller than they are."""
    arguments = coco_arguments(tmp_path / "in", coco_json(COCO_PICTURES, [BOX]))
    bomb = tmp_path / "in/train2017.zip"
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.bin", "w") as member:
        for _ in range(40):
            member.write(bytes(1 << 20))
    message = refused(arguments, tmp_path / "out/coco")
    assert "member 'bomb.bin' unpacks to more than 200 times its size, as a decompression bomb does" in message
    content = bytearray(bomb.read_bytes())
    entry = content.rindex(b"bomb.bin") - 46  # of the table at the end: 46 bytes before its name
    assert content[entry : entry + 4] == b"PK\x01\x02"
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    bomb.write_bytes(content)
    with pytest.raises(UserError, match=r"bomb\.bin.*is truncated or damaged"):
        list(iter_files(bomb, lambda name: True))


@pytest.mark.parametrize(
    ("encoding", "name"), [("latin-1", "Bücher"), ("cp932", "写真"), ("gb18030", "图片"), ("utf-8", "図")]
)
def test_names_in_odd_encodings_are_passed_over_or_refused_in_ascii(tmp_path, encoding, name):
    archive = write_voc_tar(tmp_path / "in/voc.tar", PICTURES, SCENES, LISTS)
    with tarfile.open(archive, "a", format=tarfile.GNU_FORMAT, encoding=encoding) as tar:
        tar.addfile(tarfile.TarInfo(f"VOCdevkit/{name}"))
    main(["convert", "voc2012", "--archives", str(archive), "--out", str(tmp_path / "voc")])
    with tarfile.open(archive, "a", format=tarfile.GNU_FORMAT, encoding=encoding) as tar:
        tar.addfile(tarfile.TarInfo(f"../{name}"))
    message = refused(["convert", "voc2012", "--archives", archive], tmp_path / "out/voc")
    assert "leads out of the archive" in message
    message.encode("utf-8")  # what is no UTF-8 is shown as escapes


def test_a_link_out_of_the_tree_is_refused_before_its_target_is_touched(tmp_path):
    target = tmp_path / "target"
    target.write_text("mine")
    archive = write_voc_tar(tmp_path / "in/voc.tar", PICTURES, SCENES, LISTS)
    with tarfile.open(archive, "a") as tar:
        link = tarfile.TarInfo("VOCdevkit/VOC2012/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(target)
        tar.addfile(link)
        behind = tarfile.TarInfo("VOCdevkit/VOC2012/link")
        behind.size = 4
        tar.addfile(behind, io.BytesIO(b"evil"))
    message = refused(["convert", "voc2012", "--archives", archive], tmp_path / "out/voc")
    assert "member 'VOCdevkit/VOC2012/link' is a symbolic link" in message
    assert target.read_text() == "mine"
