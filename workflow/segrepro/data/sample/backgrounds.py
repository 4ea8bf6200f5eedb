"""Backgrounds of the sample: skies, fields, streets, water and rooms, cluttered with what is no object.

Distractors (blobs, panels, shrubs) wear the colours and textures of the classes, so that a patch of fur or of
check is no proof of an object; their outlines are.
"""

import cv2
import numpy as np

from segrepro.data.sample.shapes.outlines import polygon
from segrepro.data.sample.textures import LOOKS, draw_colour, grain, hsv, mix, noise, second_shade, stripes

DISTRACTORS = (2, 6)  # how many: from the first, below the second
UNIT = 120.0  # canvas pixels per texture unit


def paint_background(context: str, width: int, height: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Paint a background: ``sky``, ``field``, ``street``, ``water`` or ``room``.

    Returns the canvas (float32 RGB 0..255, shape (height, width, 3)) and where the horizon is, from the top, as a share
    of its height.
    """
    v, u = np.mgrid[0:height, 0:width].astype(np.float32) / UNIT
    horizon = rng.uniform(0.75, 0.95) if context == "sky" else rng.uniform(0.35, 0.58)
    line = horizon * height + (0 if context == "room" else 14 * (noise(u, v * 0, rng, cell=0.8) - 0.5))
    below = (np.arange(height, dtype=np.float32)[:, None] > line)[..., None]
    first, last = int(np.min(line)), min(height, int(np.max(line)) + 2)  # rows where the two may meet
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:last] = _backdrop(context, u[:last], v[:last], rng)
    np.copyto(canvas[first:], _ground(context, u[first:], v[first:], rng), where=below[first:])
    for _ in range(int(rng.integers(*DISTRACTORS))):
        _paint_distractor(canvas, context, horizon, u, v, rng)
    return canvas, horizon


def _backdrop(context: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The upper part: a sky that pales downwards, or a wall with stripes or plaster."""
    fall = np.clip(v / v.max(), 0, 1)
    if context == "room":
        wall = hsv(rng.uniform(0, 360), rng.uniform(0.08, 0.35), rng.uniform(0.6, 0.92))
        papered = rng.random() < 0.5
        field = stripes(u, v, rng, width=0.22, angle=0) * 0.35 if papered else grain(u, v, rng, cell=0.12) * 0.3
        return mix(wall, wall * 0.8, field)
    hue = rng.choice([205, 212, 200, 30, 345, 265], p=[0.35, 0.25, 0.15, 0.1, 0.08, 0.07])
    top, low = hsv(hue, rng.uniform(0.25, 0.6), rng.uniform(0.75, 0.95)), hsv(45, rng.uniform(0.02, 0.2), 0.95)
    sky = mix(top, low, np.clip(fall * 1.6, 0, 1))
    clouds = np.clip((noise(u * 0.6, v * 1.4, rng, cell=0.5) - 0.55) * 2.2, 0, 0.8)
    return mix(sky, np.full(3, 246, np.float32), clouds)


def _ground(context: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The lower part: grass or sand, asphalt or paving, water, or a wooden or carpeted floor."""
    if context == "street":
        base = hsv(rng.uniform(200, 260), rng.uniform(0, 0.1), rng.uniform(0.35, 0.65))
        return mix(base, base * 0.78, grain(u, v, rng, cell=0.04))
    if context == "water":
        base = hsv(rng.uniform(175, 225), rng.uniform(0.35, 0.65), rng.uniform(0.45, 0.75))
        waves = 0.5 + 0.5 * np.sin(26 * v + 3 * noise(u, v, rng, cell=0.35) * np.pi)
        return mix(base, base * 0.6 + 90, waves * 0.6)
    if context == "room":
        base = hsv(rng.choice([28, 30, 0, 210, 120]), rng.uniform(0.2, 0.5), rng.uniform(0.4, 0.75))
        planks = stripes(u * (1.2 + 0 * v), v, rng, width=0.05, angle=90) * 0.35
        return mix(base, base * 0.72, planks + 0.4 * grain(u, v, rng, cell=0.15))
    hue = rng.choice([95, 80, 110, 45, 32], p=[0.3, 0.25, 0.2, 0.15, 0.1])
    base = hsv(hue, rng.uniform(0.35, 0.6), rng.uniform(0.45, 0.7))
    blades = 0.55 * noise(u * 2.5, v, rng, cell=0.06) + 0.45 * noise(u, v, rng, cell=0.5)
    return mix(base, base * 0.58, blades)


def _paint_distractor(
    canvas: np.ndarray, context: str, horizon: float, u: np.ndarray, v: np.ndarray, rng: np.random.Generator
) -> None:
    """Paint one blob (rock, shrub, puddle, rug) or panel (window, picture, sign, hut) in a class's colours."""
    height, width = canvas.shape[:2]
    panel = rng.random() < (0.6 if context in ("room", "street") else 0.2)
    rx, ry = rng.uniform(0.05, 0.16) * width, rng.uniform(0.05, 0.14) * height
    if context == "sky":
        y = rng.uniform(horizon, 1.0) * height
    elif panel:
        hung = rng.uniform(0.08, max(0.1, horizon - 0.05)) * height
        y = hung if context == "room" else horizon * height - 0.9 * ry  # on the wall, or standing on the horizon
    else:
        y, ry = rng.uniform(horizon - 0.03, 1.0) * height, ry * 0.6
    outline = np.round(_outline(rng.uniform(0, width), y, rx, ry, rng, panel=panel)).astype(np.int32)
    x0, y0, w, h = cv2.boundingRect(outline)
    window = np.s_[max(y0, 0) : y0 + h, max(x0, 0) : x0 + w]
    look = LOOKS[str(rng.choice(sorted(LOOKS)))]
    colour = draw_colour(look.main, rng) * np.float32(rng.uniform(0.75, 1.0))
    field = look.texture(u[window] * 1.5, v[window] * 1.5, rng)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [outline], 1)
    surface = mix(colour, second_shade(colour, look.second), field)
    np.copyto(canvas[window], surface, where=mask[window][..., None].astype(bool))
    cv2.polylines(canvas, [outline], True, (colour * 0.6).tolist(), 3)


def _outline(x: float, y: float, rx: float, ry: float, rng: np.random.Generator, *, panel: bool) -> np.ndarray:
    """Return a rectangle or an irregular round shape about (x, y), in canvas pixels."""
    if panel:
        return polygon((x - rx, y - ry), (x + rx, y - ry), (x + rx, y + ry), (x - rx, y + ry))
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    radii = rng.uniform(0.6, 1.1, 9)
    return polygon(*zip(x + rx * radii * np.cos(angles), y + ry * radii * np.sin(angles), strict=True), smooth=2)


def paint_pole(canvas: np.ndarray, instances: np.ndarray, x: float, rng: np.random.Generator) -> None:
    """Paint a lamp post (background) from top to bottom at column ``x``, in front of everything, in place."""
    _height, width = instances.shape
    half = round(rng.uniform(0.014, 0.024) * width)
    left, right = max(0, round(x) - half), min(width, round(x) + half)
    if left >= right:
        return
    grey = hsv(rng.uniform(0, 360), rng.uniform(0, 0.3), rng.uniform(0.3, 0.6))
    sheen = 1.15 - 0.5 * np.linspace(-1, 1, right - left, dtype=np.float32) ** 2
    canvas[:, left:right] = grey * sheen[None, :, None]
    instances[:, left:right] = 0
