import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from builders import grey_png, jpeg_bytes, picture, png_bytes, scene
from segrepro.data.masks import (
    SBD_MASK_VALUES,
    VOC_COLOURS,
    VOC_MASK_VALUES,
    check_size,
    check_values,
    read_converted_mask,
    read_mask,
    write_mask,
    write_palette_mask,
    wrong_colour,
)
from segrepro.errors import UserError
from segrepro.labels import voc_palette

MASKS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(MASKS)
def test_every_mask_comes_back_as_it_was_written_in_either_form(tmp_path_factory, mask):
    folder = tmp_path_factory.mktemp("masks")
    for write in (write_mask, write_palette_mask):
        path = folder / f"{write.__name__}.png"
        write(path, mask)
        back = read_mask(path)
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, mask)


def test_a_written_mask_has_one_grey_channel_and_a_palette_mask_shows_voc_colours(tmp_path):
    mask, _ = scene(1, 15, 20)
    write_mask(tmp_path / "grey.png", mask)
    write_palette_mask(tmp_path / "palette.png", mask)
    assert Image.open(tmp_path / "grey.png").mode == "L"
    coloured = Image.open(tmp_path / "palette.png")
    assert coloured.mode == "P"
    np.testing.assert_array_equal(np.array(coloured.convert("RGB")), voc_palette()[mask])


def test_the_same_mask_gives_the_same_bytes(tmp_path):
    mask, _ = scene(3, 7)
    write_mask(tmp_path / "a.png", mask)
    write_mask(tmp_path / "b.png", mask.copy(order="F"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("colours", [2, 4, 16])
def test_palette_masks_of_few_bits_a_pixel_give_the_index(tmp_path, colours):
    mask = (np.arange(64).reshape(8, 8) % colours).astype(np.uint8)
    narrow = Image.fromarray(mask)
    narrow.putpalette(voc_palette().tobytes())
    narrow.save(tmp_path / "narrow.png", bits={2: 1, 4: 2, 16: 4}[colours])
    np.testing.assert_array_equal(read_mask(tmp_path / "narrow.png"), mask)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png_bytes(scene(5)[0], mode="RGB"), "PNG of mode RGB is no mask"),
        (jpeg_bytes(picture()), "JPEG of mode RGB is no mask"),
        (png_bytes(scene(5)[0])[:100], "cannot be read"),
        (b"no picture at all", "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["colours", "jpeg", "truncated", "text", "empty"],
)
def test_what_is_no_mask_is_refused_by_name(content, reason):
    with pytest.raises(UserError, match=rf"^a\.tar: m\.png: .*{reason}"):
        read_mask(content, name="a.tar: m.png")


def test_sixteen_bit_and_one_bit_masks_are_refused(tmp_path):
    for name, odd in (("wide", np.zeros((4, 4), np.uint16)), ("bits", np.zeros((4, 4), bool))):
        Image.fromarray(odd).save(tmp_path / f"{name}.png")
        with pytest.raises(UserError, match="is no mask"):
            read_mask(tmp_path / f"{name}.png")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_masks_of_few_bits_are_refused_since_decoders_stretch_them(tmp_path, bits):
    path = tmp_path / "narrow.png"
    path.write_bytes(grey_png(np.array([[0, 1, 1, 0]], np.uint8), bits=bits))
    assert np.array(Image.open(path).convert("L")).max() == 255 // (2**bits - 1)  # not 1
    for read in (read_mask, lambda path: read_converted_mask(path, (4, 1))):
        with pytest.raises(UserError, match=rf"narrow\.png: a grey PNG of {bits} bits per pixel is no mask"):
            read(path)


@pytest.mark.parametrize("renumbered", [{1: 2, 2: 1}, {5: 6}])
def test_a_renumbered_palette_is_refused_by_its_colours(tmp_path, renumbered):
    """As `pngquant`, or Pillow's ADAPTIVE, leaves a mask: it looks the same and its indices are others."""
    mask, _ = scene(1, 2, 5)
    colours = voc_palette()
    for index, other in renumbered.items():
        colours[index] = voc_palette()[other]
    picture = Image.fromarray(mask)
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"m\.png: palette index [15] has the colour .* neither VOC's .* renumbered"):
        read_mask(tmp_path / "m.png")


def test_palettes_of_grey_levels_and_colours_of_unused_indices_are_no_fault(tmp_path):
    mask, _ = scene(1, 20)
    picture = Image.fromarray(mask)
    picture.putpalette(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
    picture.save(tmp_path / "grey.png")
    colours = voc_palette()
    colours[7] = 255
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / "unused.png")
    for name in ("grey", "unused"):
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png"), mask)


def test_an_index_beyond_its_palette_has_no_colour():
    assert wrong_colour(np.array([0, 1, 3]), voc_palette()[:2], VOC_COLOURS) == (3, None)
    assert wrong_colour(np.array([0, 1]), voc_palette()[:2], VOC_COLOURS) is None


def test_a_missing_mask_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png: no such mask"):
        read_mask(tmp_path / "gone.png")


@given(st.binary(max_size=300))
def test_random_bytes_behind_a_png_header_never_escape_as_other_errors(tail):
    good = png_bytes(scene(4)[0])
    for start in (8, 33, 60):
        try:
            read_mask(good[:start] + tail)
        except UserError:
            continue


@given(MASKS, st.sets(st.integers(0, 255), min_size=1))
def test_values_pass_exactly_when_all_are_allowed(mask, allowed):
    if set(np.unique(mask)) <= allowed:
        np.testing.assert_array_equal(check_values(mask, allowed, name="m"), np.unique(mask))
    else:
        allowed |= {0}
        if not set(np.unique(mask)) <= allowed:
            with pytest.raises(UserError, match="these are not the labels"):
                check_values(mask, allowed, name="m")


def test_void_is_allowed_in_voc_and_not_in_sbd():
    mask, _ = scene(20)
    check_values(mask, VOC_MASK_VALUES, name="m")
    with pytest.raises(UserError, match=r"m: label 255 occurs, where 0\.\.20 are possible"):
        check_values(mask, SBD_MASK_VALUES, name="m")
    with pytest.raises(UserError, match=r"m: label 21 occurs, where 0\.\.20 and 255 \(void\) are possible"):
        check_values(mask + (mask == 20).astype(np.uint8), VOC_MASK_VALUES, name="m")


def test_a_mask_of_another_size_than_its_picture_is_refused():
    check_size(np.zeros((3, 5), np.uint8), 5, 3, name="m")
    with pytest.raises(UserError, match="mask is 5 x 3 pixels and its picture 3 x 5"):
        check_size(np.zeros((3, 5), np.uint8), 3, 5, name="m")


def test_writing_anything_but_a_uint8_matrix_is_a_programming_error(tmp_path):
    for wrong in (np.zeros((2, 2), int), np.zeros((2, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match="a mask is uint8"):
            write_mask(tmp_path / "m.png", wrong)
        with pytest.raises(ValueError, match="a mask is uint8"):
            write_palette_mask(io.BytesIO(), wrong)
