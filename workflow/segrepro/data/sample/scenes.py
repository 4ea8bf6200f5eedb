"""Scenes of the sample: a seed and a list of class names in, a picture and its instance map out.

Everything is drawn at `OVERSAMPLING` times the picture's size and shrunk, so that edges are smooth; the instance map
takes the sample at each pixel's centre. A scene depends on its own seed alone: the number of processes that draw
scenes changes nothing.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from segrepro.data.sample.backgrounds import paint_background, paint_pole
from segrepro.data.sample.painting import FLYING, OVERSAMPLING, Sprite, fill, paint
from segrepro.data.sample.shapes import SHAPES

SIZES = ((160, 120), (160, 120), (120, 160), (144, 112), (128, 128))  # width, height; landscape is usual

# Where each class lives; the first entry is the usual context. Contexts are those of `backgrounds`.
CONTEXTS = {
    **{"aeroplane": ("sky", "field"), "bicycle": ("street", "field"), "bird": ("field", "sky", "water")},
    **{"boat": ("water",), "bottle": ("room",), "bus": ("street",), "car": ("street", "field")},
    **{"cat": ("room", "street"), "chair": ("room",), "cow": ("field",), "diningtable": ("room",)},
    **{"dog": ("field", "street", "room"), "horse": ("field",), "motorbike": ("street", "field")},
    **{"person": ("street", "field", "room"), "pottedplant": ("room", "street"), "sheep": ("field",)},
    **{"sofa": ("room",), "train": ("field", "street"), "tvmonitor": ("room",)},
    **{"umbrella": ("street", "field"), "pizza": ("room",), "clock": ("room", "street")},
    **{"kite": ("sky", "field"), "stop sign": ("street", "field")},
}
COVER = {1: (0.32, 0.46), 2: (0.19, 0.28), 3: (0.14, 0.19), 4: (0.11, 0.15)}  # share of the picture, by object count
MIN_VISIBLE = 0.6  # of an object's own area, so that each object can still be recognised
LAYOUT_TRIES = 40
TILT_FLYING, TILT_STANDING = 12.0, 3.5  # standard deviations, degrees
RASTER = 40  # pixels per object unit where a silhouette's area is measured


@dataclass(frozen=True)
class Scene:
    """A drawn scene; every object has at least one pixel."""

    image: np.ndarray  # RGB uint8 of shape (height, width, 3)
    instances: np.ndarray  # uint8 of shape (height, width); 0 is background, i is the object ``names[i - 1]``
    names: tuple[str, ...]  # of the objects' classes
    crowds: tuple[bool, ...]  # for each object, whether it is many animals or people under one instance number


def draw_scene(
    names: tuple[str, ...], rng: np.random.Generator, *, crowd: str | None = None, pole: bool = False
) -> Scene:
    """Draw one scene of objects of these classes (or none); one that would be hidden is moved, never dropped.

    ``crowd`` is a class to add as one crowd of small objects; with ``pole`` a lamp post (background) stands in front of
    the largest object and may cut it in two.
    """
    width, height = SIZES[rng.integers(len(SIZES))]
    context = _context(names or ((crowd,) if crowd else ()), rng)
    canvas, horizon = paint_background(context, width * OVERSAMPLING, height * OVERSAMPLING, rng)
    room_for = len(names) + (2 if crowd else 0)  # a crowd wants to be seen between the objects
    sprites = _layout(names, COVER[min(room_for, 4)] if names else (0, 0), (width, height), horizon, rng)
    if crowd:
        sprites = [*_crowd(crowd, (width, height), horizon, rng), *sprites]
    instances = np.zeros(canvas.shape[:2], np.uint8)
    kept: list[Sprite] = []
    for sprite in sprites:
        number = len(kept) if sprite.crowd and kept and kept[-1].crowd else len(kept) + 1
        if number > len(kept):
            kept.append(sprite)
        paint(canvas, instances, sprite, number, rng)
    if pole and sprites:
        largest = max(sprites, key=lambda s: int(s.mask.sum()))
        x = float(np.nonzero(largest.mask)[1].mean()) * OVERSAMPLING
        paint_pole(canvas, instances, x, rng)
    image = _photograph(canvas, rng)
    small = instances[OVERSAMPLING // 2 :: OVERSAMPLING, OVERSAMPLING // 2 :: OVERSAMPLING]
    return _renumbered(image, small, kept)


def _context(names: tuple[str, ...], rng: np.random.Generator) -> str:
    """One context that suits all the objects where there is one, else one that suits the first."""
    contexts = ("field", "room", "street", "water", "sky")
    options = [c for c in contexts if all(c in CONTEXTS[name] for name in names)] or CONTEXTS[names[0]]
    return options[rng.integers(len(options))]


def _layout(
    names: tuple[str, ...], share: tuple[float, float], size: tuple[int, int], horizon: float, rng: np.random.Generator
) -> list[Sprite]:
    """Place the objects, nearer (lower) ones last; the best of several tries by the least visible object.

    ``share`` is the range of each object's area as a share of the picture's, ``size`` width and height in pixels, and
    ``horizon`` the share of the height that is above it.
    """
    if not names:
        return []
    best: tuple[float, list[Sprite]] = (-1.0, [])
    for _ in range(LAYOUT_TRIES):
        sprites = [_place(name, rng.uniform(*share), size, horizon, rng) for name in names]
        sprites.sort(key=lambda s: int(np.nonzero(s.mask)[0].max(initial=0)))
        worst = min(_visible_shares(sprites))
        if worst > best[0]:
            best = (worst, sprites)
        if worst >= MIN_VISIBLE:
            break
    return best[1]


def _visible_shares(sprites: list[Sprite]) -> list[float]:
    """The share of each object's mask that no later object covers; an object off the picture has 0."""
    covered = np.zeros_like(sprites[0].mask)
    shares = []
    for sprite in reversed(sprites):
        area = int(sprite.mask.sum())
        shares.append(float((sprite.mask & ~covered & 1).sum()) / area if area > 60 else 0.0)
        covered |= sprite.mask
    return shares


def _place(name: str, share: float, size: tuple[int, int], horizon: float, rng: np.random.Generator) -> Sprite:
    """Draw a silhouette's shape, scale, turn and position; see `_layout`."""
    width, height = size
    parts = SHAPES[name](rng)
    angle = np.radians(rng.normal(0, TILT_FLYING if name in FLYING else TILT_STANDING))
    stretch = rng.uniform(0.88, 1.14)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([stretch * rng.choice([-1.0, 1.0]), 1 / stretch])
    outline = np.concatenate([c for part in parts for c in part.contours]) @ linear.T
    low, high = outline.min(0), outline.max(0)
    raster = np.hstack([linear, -low[:, None]]) * RASTER
    unit_area = fill(parts, raster, tuple(np.ceil((high - low) * RASTER).astype(int))).sum() / RASTER**2
    scale = np.sqrt(share * width * height / unit_area)
    scale = min(scale, 0.98 * width / (high - low)[0], 0.94 * height / (high - low)[1])
    low, high = low * scale, high * scale
    x = rng.uniform(-0.08 * (high - low)[0], width - 0.92 * (high - low)[0]) - low[0]
    if name in FLYING and rng.random() < 0.8:
        y = rng.uniform(0.02 * height, max(0.03, 0.95 - (high - low)[1] / height) * height) - low[1]
    else:
        bottom = rng.uniform(min(horizon + 0.12, 0.9), 1.02) * height
        y = max(bottom, (high - low)[1] * 0.97) - high[1]
    matrix = np.hstack([linear * scale, [[x], [y]]])
    mask = fill(parts, matrix, size)
    return Sprite(name, parts, matrix * OVERSAMPLING, mask)


def _crowd(name: str, size: tuple[int, int], horizon: float, rng: np.random.Generator) -> list[Sprite]:
    """A row of small objects of one class, all of one instance."""
    count = int(rng.integers(7, 11))
    width, height = size
    sprites = []
    for x in np.linspace(0.06, 0.94, count) + rng.uniform(-0.03, 0.03, count):
        sprite = _place(name, rng.uniform(0.012, 0.018), size, horizon, rng)
        wanted = np.array([x * width, (min(horizon, 0.6) + rng.uniform(0.02, 0.14)) * height]) * OVERSAMPLING
        matrix = np.hstack([sprite.matrix[:, :2], wanted[:, None]])
        mask = fill(sprite.parts, matrix / OVERSAMPLING, size)
        sprites.append(Sprite(name, sprite.parts, matrix, mask, crowd=True))
    return sorted(sprites, key=lambda s: float(s.matrix[1, 2]))


def _photograph(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a light gradient and sensor noise, and shrink to the picture's size (uint8 RGB)."""
    height, width = (n // OVERSAMPLING for n in canvas.shape[:2])
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.22)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 1 + strength * (x * np.cos(angle) + y * np.sin(angle)) / 1.4
    small = small * (light * rng.uniform(0.9, 1.06))[..., None] + rng.normal(0, 4, small.shape)
    return np.clip(np.round(small), 0, 255).astype(np.uint8)


def _renumbered(image: np.ndarray, instances: np.ndarray, sprites: list[Sprite]) -> Scene:
    """Number the objects that have pixels 1, 2, ... in painting order."""
    seen = [i for i in range(1, len(sprites) + 1) if (instances == i).any()]
    table = np.zeros(256, np.uint8)
    table[seen] = np.arange(1, len(seen) + 1)
    kept = [sprites[i - 1] for i in seen]
    return Scene(image, table[instances], tuple(s.name for s in kept), tuple(s.crowd for s in kept))
