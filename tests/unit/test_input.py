"""From a manifest to micro-batches: order, augmentation, boxes."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from segrepro.data.pictures import PICTURE_MODES, read_rgb
from segrepro.errors import UserError
from segrepro.stores.manifests import Example
from segrepro.training.augment import BLACK, augment, decode_picture, rescale
from segrepro.training.boxes import resized_box, single_object
from segrepro.training.input import example_index, on_device, statistics_batches, training_batches
from training_setup import PROTOCOL, stream_of, write_examples


@pytest.fixture
def examples(tmp_path) -> list[Example]:
    return write_examples(tmp_path)


def test_training_does_not_turn_a_picture_that_asks_for_it(tmp_path):
    """Its mask was drawn on the pixels as stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (32, 24)).save(tmp_path / "a.jpg", exif=exif)
    assert decode_picture(tf.constant(str(tmp_path / "a.jpg"))).shape == (24, 32, 3)


@pytest.mark.parametrize("mode", PICTURE_MODES["PNG"])
@pytest.mark.parametrize("transparent", [None, 3], ids=["opaque", "with a transparent colour"])
def test_a_png_named_jpg_is_read_as_rgb_like_everywhere_else(tmp_path, mode, transparent):
    """COCO's train2017 has one."""
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    options = {} if transparent is None or mode in ("RGBA", "LA") else {"transparency": transparent}
    if mode == "RGB" and options:
        options = {"transparency": tuple(noise[0, 0, :3].tolist())}
    Image.fromarray(noise).convert(mode).save(path, "PNG", **options)
    np.testing.assert_array_equal(decode_picture(tf.constant(str(path))), read_rgb(path))


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_each_epoch_is_a_permutation_of_its_own(count):
    epochs = [
        [int(example_index(tf.constant(e * count + i, tf.int64), count, 5)) for i in range(count)] for e in range(3)
    ]
    for epoch in epochs:
        assert sorted(epoch) == list(range(count))
    if count == 100:
        assert epochs[0] != epochs[1] != epochs[2]


def test_the_stream_goes_on_exactly_where_it_was_left(examples):
    whole = list(training_batches(stream_of(examples, threads=2), start_step=0))
    rest = list(training_batches(stream_of(examples), start_step=4))
    assert len(whole) == PROTOCOL.steps
    for (a, b), (c, d) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_another_seed_gives_another_stream(examples):
    first, second = (next(iter(training_batches(stream_of(examples, seed=s), start_step=0)))[0] for s in (0, 1))
    assert not np.array_equal(first, second)


def test_picture_and_mask_stay_aligned_under_augmentation():
    rows, columns = np.mgrid[:40, :50]
    mask = ((rows // 8 + columns // 8) % 2).astype(np.uint8)
    picture = np.repeat(mask[..., None] * 255, 3, axis=2).astype(np.uint8)
    for seed in range(20):
        out, labels = augment(
            tf.constant(picture), tf.constant(mask), tf.constant([seed, 1], tf.int64), PROTOCOL | {"crop": 33}
        )
        known = labels.numpy() != 255
        agree = (out.numpy()[..., 0] > 127.5) == (labels.numpy() == 1)
        assert agree[known].mean() > 0.9, seed  # edges are blurred by bilinear scaling


@pytest.mark.parametrize("fill", [(0.0, 0.0, 0.0), (123.68, 116.779, 103.939)])
def test_a_small_picture_is_padded_with_fill_and_void(fill):
    protocol = PROTOCOL | {"crop": 33, "scale_range": [1.0, 1.0], "flip": False}
    picture, mask = tf.fill((10, 12, 3), tf.constant(200, tf.uint8)), tf.ones((10, 12), tf.uint8)
    out, labels = augment(picture, mask, tf.constant([0, 0], tf.int64), protocol, fill=fill)
    assert out.shape == (33, 33, 3)
    np.testing.assert_allclose(out[20, 20], fill, rtol=1e-5)
    np.testing.assert_allclose(out[5, 5], [200] * 3, rtol=1e-5)
    assert labels.numpy()[20, 20] == 255
    assert (labels.numpy() == 1).sum() == 120


def test_scales_stay_in_range_and_on_their_grid():
    protocol = PROTOCOL | {"scale_range": [0.5, 2.0], "scale_step": 0.25, "crop": 100, "flip": False}
    picture, mask = tf.zeros((40, 40, 3), tf.uint8), tf.zeros((40, 40), tf.uint8)
    sides = set()
    for seed in range(60):
        _, labels = augment(picture, mask, tf.constant([seed, 0], tf.int64), protocol)
        sides.add(int(np.sqrt((labels.numpy() == 0).sum())))
    assert sides == {20, 30, 40, 50, 60, 70, 80}


POSITIONS = {  # of target pixel i, by the source's and the target's extents
    "half_pixel": lambda i, n, m: (i + 0.5) * n / m - 0.5,
    "legacy": lambda i, n, m: i * n / m,
    "align_corners": lambda i, n, m: i * (n - 1) / (m - 1),
}


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 1.25, 2.0])
@pytest.mark.parametrize("mode", POSITIONS)
def test_picture_and_labels_are_rescaled_as_the_protocol_says(mode, scale):
    """A ramp shows where a pixel comes from; labels are numbered by their column, and rounded as each mode rounds."""
    height, width = 12, 20
    ramp = np.broadcast_to(np.arange(width), (height, width)).astype(np.uint8)
    picture, mask = rescale(tf.constant(np.stack([ramp] * 3, -1)), tf.constant(ramp), tf.constant(scale), mode)
    size = int(height * scale), int(width * scale)
    assert (picture.shape, mask.shape) == ((*size, 3), size)
    position = POSITIONS[mode](np.arange(size[1]), width, size[1])
    np.testing.assert_allclose(picture[3, :, 0], np.clip(position, 0, width - 1), atol=1e-4)
    nearest = {"half_pixel": np.floor(position + 0.5), "legacy": np.floor(position)}
    nearest["align_corners"] = np.floor(position + 0.5)
    np.testing.assert_array_equal(mask[3], np.clip(nearest[mode], 0, width - 1))


def test_a_crop_is_rescaled_in_the_protocols_mode():
    picture = np.random.default_rng(0).integers(0, 256, (24, 30, 3), np.uint8)
    protocol = PROTOCOL | {"scale_range": [1.5, 1.5], "crop": 45, "flip": False}
    for mode in POSITIONS:
        out, _ = augment(
            tf.constant(picture),
            tf.zeros((24, 30), tf.uint8),
            tf.constant([0, 0], tf.int64),
            protocol | {"rescale": mode},
        )
        expected, _ = rescale(tf.constant(picture), tf.zeros((24, 30), tf.uint8), tf.constant(1.5), mode)
        np.testing.assert_array_equal(out[:36], expected, err_msg=mode)


def test_blurring_is_a_gaussian_and_sharpening_its_opposite():
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    picture = rng.integers(60, 190, (21, 25, 3)).astype(np.float32)
    protocol = PROTOCOL | {"crop": 17, "scale_range": [1.0, 1.0], "flip": False}
    masks = tf.zeros((21, 25), tf.uint8)

    def crop(seed, **shares):
        out, _ = augment(tf.constant(picture), masks, tf.constant([seed, 0], tf.int64), protocol | shares)
        return out.numpy()

    for seed in range(3):
        plain, blurred, sharp = crop(seed), crop(seed, blur_share=1.0), crop(seed, sharpen_share=1.0)
        assert blurred.std() < plain.std() < sharp.std()
        # the draws of the crop are those without sharpening; sigma is found by its effect
        errors = [
            np.abs(gaussian_filter(plain, (s, s, 0), mode="mirror", truncate=4 / s) - blurred).max()
            for s in np.linspace(0.5, 1.5, 51)
        ]
        assert min(errors) < 2.0  # grey levels of 255
        assert 0 <= sharp.min() <= sharp.max() <= 255


def test_shares_of_sharpened_and_blurred_crops_are_kept():
    rng = np.random.default_rng(0)
    picture = tf.constant(rng.integers(60, 190, (17, 17, 3)).astype(np.float32))
    protocol = PROTOCOL | {"scale_range": [1.0, 1.0], "flip": False, "sharpen_share": 0.3, "blur_share": 0.2}
    mask, base = tf.zeros((17, 17), tf.uint8), picture.numpy().std()
    spreads = np.array(
        [augment(picture, mask, tf.constant([s, 3], tf.int64), protocol)[0].numpy().std() for s in range(200)]
    )
    assert 0.2 < (spreads > base * 1.01).mean() < 0.4
    assert 0.12 < (spreads < base * 0.99).mean() < 0.28


def test_repeated_examples_come_that_often_in_an_epoch(examples):
    repeated = [replace(examples[0], repeats=3), *examples[1:4]]
    protocol = PROTOCOL | {"steps": 3, "micro_batch": 2, "scale_range": [1.0, 1.0], "flip": False, "crop": 33}
    counts = {}
    for _, labels in training_batches(stream_of(repeated, protocol, seed=0), start_step=0):
        for mask in labels.numpy()[0]:
            key = mask.tobytes()
            counts[key] = counts.get(key, 0) + 1
    assert sorted(counts.values()) == [1, 1, 1, 3]


PLAIN = PROTOCOL | {"scale_range": [1.0, 1.0]}
GREY, BROWN = (127.0, 127.0, 127.0), (123.68, 116.779, 103.939)


@pytest.mark.parametrize(
    ("protocol", "fill", "dtype"),
    [
        (PLAIN, BLACK, tf.uint8),
        (PLAIN, GREY, tf.uint8),
        (PLAIN | {"crop": None, "micro_batch": 1}, BROWN, tf.uint8),
        (PLAIN, BROWN, tf.float32),
        (PROTOCOL, BLACK, tf.float32),
        (PLAIN | {"sharpen_share": 0.5}, BLACK, tf.float32),
        (PLAIN | {"blur_share": 0.5}, BLACK, tf.float32),
    ],
)
def test_whole_pixels_are_sent_as_such_and_all_else_as_it_is(examples, protocol, fill, dtype):
    """Crops of 33 are larger than the pictures, so that all are filled."""
    protocol = protocol | {"crop": protocol.crop and 33, "steps": 5}
    stream = stream_of(examples, protocol, fill=fill)
    for position, (picture, mask) in enumerate(stream.shuffled(0, 5)):
        row = int(example_index(tf.constant(position, tf.int64), 5, stream.seed))
        seed = tf.constant([stream.seed, position], tf.int64)
        pixels, labels = augment(*stream._read(row), seed, protocol, fill=fill)
        assert picture.dtype == dtype
        # a compiled filter differs from one computed at once in last bits; whole pixels do not
        np.testing.assert_allclose(tf.cast(picture, tf.float32), pixels, rtol=0, atol=0 if dtype == tf.uint8 else 1e-3)
        np.testing.assert_array_equal(mask, labels)
    batches = training_batches(stream, start_step=0)
    for (a, b), (c, d) in zip(batches, on_device(batches, "CPU:0"), strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_boxes_are_resized_and_sent_as_they_are(examples):
    boxes = [replace(example, box=(0, 0, 10, 10)) for example in examples]
    assert next(iter(stream_of(boxes, BOXES).shuffled(0, 1)))[0].dtype == tf.float32


def test_examples_without_mask_or_with_a_box_are_refused(examples):
    for example in (
        Example("x", examples[0].image),
        Example("x", examples[0].image, examples[0].mask, (0, 0, 5, 5)),
    ):
        with pytest.raises(UserError, match="'x'"):
            stream_of([example])


# --- boxes ---------------------------------------------------------------------------------------------------------

BOXES = PROTOCOL | {"box_size": 20, "crop": 16, "scale_range": [1.0, 1.0], "flip": False}


def test_a_box_that_leaves_the_picture_is_zero_and_void_there():
    picture, mask = tf.fill((6, 8, 3), tf.constant(200, tf.uint8)), tf.ones((6, 8), tf.uint8)
    out, labels = resized_box(picture, mask, tf.constant([-4, -2, 12, 10]), 16)
    inside = np.zeros((12, 16), bool)
    inside[2:8, 4:12] = True
    rows = (np.arange(16) * 12) // 16
    expected = inside[rows]
    np.testing.assert_array_equal(labels.numpy() == 1, expected)
    np.testing.assert_array_equal(labels.numpy() == 255, ~expected)
    assert out.numpy()[0, 0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(out.numpy()[8, 8], [200] * 3)


def test_a_box_is_resized_as_opencv_does():
    import cv2

    rng = np.random.default_rng(0)
    picture, mask = rng.integers(0, 256, (40, 50, 3), np.uint8), rng.integers(0, 5, (40, 50), np.uint8)
    out, labels = resized_box(tf.constant(picture), tf.constant(mask), tf.constant([5, 10, 35, 30]), 48)
    cut = picture[10:30, 5:35].astype(np.float32)
    np.testing.assert_allclose(out, cv2.resize(cut, (48, 48), interpolation=cv2.INTER_LINEAR), atol=1e-2)
    rows, columns = ((np.arange(48) + 0.5) * 20 / 48).astype(int), ((np.arange(48) + 0.5) * 30 / 48).astype(int)
    np.testing.assert_array_equal(labels, mask[10:30, 5:35][np.ix_(rows, columns)])


def test_one_object_keeps_its_label_and_void_and_all_else_is_background():
    mask = tf.constant([[0, 3, 3], [7, 255, 3]], tf.uint8)
    instances = tf.constant([[0, 1, 2], [3, 255, 2]], tf.uint8)
    labels = single_object(mask, instances, tf.constant(2, tf.uint8))
    np.testing.assert_array_equal(labels, [[0, 0, 3], [0, 255, 3]])


def test_boxes_come_cropped_and_with_one_object_where_the_row_names_one(examples, tmp_path):
    whole = examples[0]
    instances = np.zeros((20, 24), np.uint8)
    instances[5:15, 5:15] = 4
    Image.fromarray(instances).save(tmp_path / "instances.png")
    box = (0, 0, 24, 20)
    one = replace(whole, id="one", box=box, instance_mask=tmp_path / "instances.png", instance=4)
    ((_, labels),) = stream_of([one], BOXES).in_order()
    original = np.asarray(Image.open(whole.mask))
    seen = set(np.unique(labels))
    assert seen <= {0, 1, 2, 255}
    # outside of the object all is background, but for the void row
    np.testing.assert_array_equal(np.unique(labels.numpy()[0][-1]), [0])
    ((_, everything),) = stream_of([replace(whole, box=box)], BOXES).in_order()
    assert len(np.unique(everything.numpy()[0][-1])) == len(np.unique(original[16:]))
    pictures, masks = next(iter(training_batches(stream_of([one], BOXES), start_step=0)))
    assert pictures.shape == (1, 2, 16, 16, 3)
    assert masks.shape == (1, 2, 16, 16)


def test_boxes_and_protocols_without_boxes_do_not_mix(examples):
    with pytest.raises(UserError, match="'0' comes without a box"):
        stream_of(examples, BOXES)


def test_a_box_wholly_outside_of_its_picture_is_refused(examples):
    with pytest.raises(UserError, match=r"0\.jpg: the box 24,0,30,9 lies outside the 24 x 20 picture"):
        stream_of([replace(examples[0], box=(24, 0, 30, 9))], BOXES)


def test_statistics_come_from_the_stream_behind_the_training(examples):
    protocol = PROTOCOL | {"batch_norm_passes": 3, "batch_norm_batch": 2}
    stream = stream_of(examples, protocol)
    passes = list(statistics_batches(stream))
    assert [p.shape[0] for p in passes] == [2, 2, 2]
    following = next(iter(stream.shuffled(12, 14).batch(2)))[0]
    np.testing.assert_array_equal(passes[0], following)


def test_whole_pictures_come_one_at_a_time_in_their_own_size(examples):
    protocol = PROTOCOL | {"crop": None, "micro_batch": 1, "scale_range": [1.0, 1.0], "flip": False, "steps": 5}
    shapes = {p.shape[2:4].as_list()[0] for p, _ in training_batches(stream_of(examples, protocol), start_step=0)}
    assert shapes == {20, 21, 22, 23, 24}
