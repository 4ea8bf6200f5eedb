"""Textures and colours of the sample: what a class looks like besides its silhouette.

A texture is a field in [0, 1] over object coordinates that mixes a surface between two shades. Colour ranges of the
classes overlap on purpose (a bus, a car and a sofa can all be red): colour alone must not decide.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Return RGB float32 of shape (3,) in 0..255 for a hue in degrees and saturation and value in 0..1."""
    sector = (np.array([5, 3, 1]) + hue / 60) % 6
    return (255 * (value - value * saturation * np.clip(np.minimum(sector, 4 - sector), 0, 1))).astype(np.float32)


def noise(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, cell: float) -> np.ndarray:
    """Return smooth noise in [0, 1] whose blobs are about ``cell`` object units wide."""
    grid = rng.random((16, 16), np.float32)
    return cv2.remap(grid, u / cell, v / cell, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def mix(a: np.ndarray, b: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return float32 (h, w, 3): ``a`` where the field is 0, ``b`` where it is 1; each a colour or a picture."""
    channels = [a[..., i] + (b[..., i] - a[..., i]) * field for i in range(3)]  # by channel: 5 x faster
    return cv2.merge(channels).astype(np.float32, copy=False)


def stripes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, width: float, angle: float) -> np.ndarray:
    """Alternate bands, each ``width`` object units wide, across the direction ``angle`` (degrees)."""
    turn = math.radians(angle + rng.uniform(-6, 6))
    phase = (u * math.cos(turn) + v * math.sin(turn)) / width + rng.random()
    return np.clip(0.5 + 2.5 * np.sin(np.pi * phase), 0, 1)


def checks(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, width: float) -> np.ndarray:
    """Gingham: two crossed sets of bands, half tone where one of them runs."""
    across = stripes(u, v, rng, width=width, angle=0)
    return (across + stripes(u, v, rng, width=width, angle=90)) / 2


def dots(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, pitch: float, fill: float = 0.32) -> np.ndarray:
    """Round dots on a staggered grid; ``fill`` is their radius in units of the pitch."""
    x, y = _staggered(u, v, pitch)
    return np.clip((fill - np.hypot(x, y - 0.5)) * 12 + 0.5, 0, 1)


def _staggered(u: np.ndarray, v: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Return x in [-0.5, 0.5) and y in [0, 1) within the cells of a grid whose odd rows are moved by half a cell."""
    x = np.mod(u / pitch + 0.5 * np.mod(np.floor(v / pitch), 2), 1) - 0.5
    return x, np.mod(v / pitch, 1)


def patches(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, cell: float) -> np.ndarray:
    """Large irregular patches with sharp edges, as on a cow."""
    return np.clip((noise(u, v, rng, cell=cell) - 0.52) * 14, 0, 1)


def grain(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, cell: float = 0.06) -> np.ndarray:
    """Short coat or rough plaster."""
    return 0.6 * noise(u, v, rng, cell=cell) + 0.4 * noise(u, v, rng, cell=cell * 2.7)


def wood(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, width: float) -> np.ndarray:
    """Veins along the vertical, bent by noise."""
    bent = u + 0.12 * noise(u, v * 0.5, rng, cell=0.3)
    return 0.5 + 0.5 * np.sin(2 * np.pi * bent / width)


def scales(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, *, pitch: float) -> np.ndarray:
    """Overlapping feathers: staggered arcs."""
    return np.clip(1.6 * np.hypot(*_staggered(u, v, pitch)) - 0.35, 0, 1)


def plain(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A nearly even surface."""
    return 0.3 * noise(u, v, rng, cell=0.8)


@dataclass(frozen=True)
class Look:
    """How a class is coloured.

    A colour is drawn from one of several ranges, each (hue in degrees, hue spread, saturation, saturation, value,
    value); ``light`` and ``glass`` are RGB.
    """

    main: tuple[tuple[float, ...], ...]
    texture: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]  # (u, v, rng) -> field in [0, 1]
    second: str = "dark"  # how the texture's other shade differs
    trim: tuple[tuple[float, ...], ...] | None = None  # None: a darker main
    light: tuple[float, float, float] = (225, 222, 214)
    glass: tuple[float, float, float] = (176, 208, 226)


# Named colour ranges, shared by several classes so that no colour belongs to one class.
RED = (0, 12, 0.6, 0.85, 0.6, 0.9)
ORANGE = (25, 10, 0.55, 0.85, 0.7, 0.95)
YELLOW = (46, 8, 0.55, 0.85, 0.75, 0.95)
GREEN = (115, 30, 0.4, 0.75, 0.4, 0.75)
TEAL = (175, 14, 0.4, 0.7, 0.45, 0.8)
BLUE = (215, 16, 0.45, 0.8, 0.5, 0.9)
PURPLE = (285, 22, 0.3, 0.6, 0.45, 0.75)
BROWN = (26, 8, 0.45, 0.7, 0.35, 0.6)
TAN = (34, 8, 0.3, 0.5, 0.65, 0.85)
CREAM = (44, 8, 0.06, 0.2, 0.85, 0.97)
GREY = (215, 30, 0.03, 0.14, 0.5, 0.8)
WHITE = (210, 30, 0.0, 0.08, 0.86, 0.97)
BLACK = (220, 40, 0.05, 0.25, 0.12, 0.25)
SKINS = ((234, 190, 160), (204, 150, 112), (156, 104, 72), (104, 68, 48))
TYRE = (38.0, 38.0, 42.0)

# By class.
LOOKS = {
    "aeroplane": Look((WHITE, GREY, CREAM), partial(stripes, width=0.07, angle=90), trim=(RED, BLUE, GREEN)),
    "bicycle": Look((RED, BLUE, YELLOW), plain),
    "bird": Look((BLUE, YELLOW, BROWN), partial(scales, pitch=0.16), "light"),
    "boat": Look((BROWN, RED, WHITE), partial(stripes, width=0.075, angle=90), trim=(RED, ORANGE, CREAM, BLUE)),
    "bottle": Look((GREEN, BROWN, TEAL), partial(stripes, width=0.3, angle=0), "light", trim=(RED, YELLOW, CREAM)),
    "bus": Look((YELLOW, RED, GREEN), plain, trim=(WHITE, BLACK, CREAM)),
    "car": Look((RED, BLUE, GREY, WHITE), plain, "light", trim=(BLACK, WHITE)),
    "cat": Look((ORANGE, GREY, TAN), partial(stripes, width=0.1, angle=80), trim=((350, 6, 0.3, 0.4, 0.8, 0.9),)),
    "chair": Look((BROWN, ORANGE, TAN), partial(wood, width=0.14), trim=(RED, BLUE, GREEN)),
    "cow": Look((CREAM, WHITE), partial(patches, cell=0.34), "black", trim=((355, 8, 0.25, 0.4, 0.75, 0.9),)),
    "diningtable": Look((RED, BLUE, GREEN), partial(checks, width=0.11), "white"),
    "dog": Look((BROWN, TAN, CREAM), partial(dots, pitch=0.2), trim=(BROWN, BLACK)),
    "horse": Look((BROWN, GREY, TAN), partial(grain, cell=0.05), trim=(TAN, CREAM)),
    "motorbike": Look((RED, BLUE, GREEN), partial(stripes, width=0.12, angle=40), "black", light=(190, 194, 200)),
    "person": Look((RED, BLUE, GREEN, PURPLE), partial(stripes, width=0.09, angle=90), "white", (BLUE, BLACK, BROWN)),
    "pottedplant": Look((GREEN, GREEN, TEAL), partial(grain, cell=0.09), "light", trim=(ORANGE, BROWN, BLUE)),
    "sheep": Look((CREAM, WHITE, TAN), partial(scales, pitch=0.13)),
    "sofa": Look((RED, TEAL, PURPLE, TAN), partial(dots, pitch=0.13, fill=0.22), "light"),
    "train": Look((GREEN, RED, BLACK), partial(dots, pitch=0.12, fill=0.2), "light", trim=(YELLOW, RED, BLACK)),
    "tvmonitor": Look((BLUE, TEAL, PURPLE), partial(stripes, width=0.05, angle=90), "light", glass=(240, 248, 255)),
    "umbrella": Look((RED, PURPLE, BLUE, YELLOW), partial(stripes, width=0.3, angle=0), "white"),
    "pizza": Look((YELLOW,), partial(grain, cell=0.08), trim=(TAN, BROWN)),
    "clock": Look((BLACK, RED), plain),
    "kite": Look((RED, BLUE, YELLOW, PURPLE), plain, trim=(YELLOW, TEAL, ORANGE)),
    "stop sign": Look((RED,), plain),
}


def draw_colour(ranges: tuple[tuple[float, ...], ...], rng: np.random.Generator) -> np.ndarray:
    """Draw one RGB colour (float32, 0..255) from one of several colour ranges."""
    hue, spread, s0, s1, v0, v1 = ranges[rng.integers(len(ranges))]
    return hsv(hue + rng.uniform(-spread, spread), rng.uniform(s0, s1), rng.uniform(v0, v1))


def second_shade(colour: np.ndarray, kind: str) -> np.ndarray:
    """Return the shade that a texture mixes ``colour`` with."""
    shades = {"dark": colour * 0.62, "light": colour * 0.55 + 255 * 0.45 * 0.95}
    return (shades | {"white": np.full(3, 240), "black": np.full(3, 42)})[kind].astype(np.float32)
