"""Silhouettes of the six VOC animals and the person."""

from itertools import pairwise

import numpy as np

from segrepro.data.sample.shapes.outlines import Part, bar, box, ellipse, part, parts, polygon


def _legs(rng: np.random.Generator, xs: tuple[float, ...], top: float, foot: float, width: float) -> list[Part]:
    """Four-footed animals' legs, each swung a little; the hoof is dark."""
    legs = []
    for x in xs:
        swing = rng.uniform(-0.09, 0.09)
        legs += parts("main", bar(x, top, x + swing, foot, width * 1.2, width * 0.85))
        legs += parts("dark", box(x + swing - width * 0.5, foot - 0.07, x + swing + width * 0.55, foot))
    return legs


def _bird(rng: np.random.Generator) -> list[Part]:
    body = polygon((-0.75, 0.12), (-0.3, -0.3), (0.35, -0.38), (0.62, -0.1), (0.35, 0.32), (-0.2, 0.34), smooth=3)
    head = (0.55, -0.42 + rng.uniform(-0.06, 0.06))
    lift = rng.uniform(-0.75, 0.3)  # of the wing's tip: from raised to folded
    return [
        part("trim", polygon((-0.55, -0.08), (-1.1, 0.02), (-1.12, 0.24), (-0.5, 0.2))),
        *parts("dark", bar(0.02, 0.28, 0.0, 0.64, 0.08), bar(0.2, 0.28, 0.22, 0.64, 0.08)),
        *parts("main", body, ellipse(*head, 0.25, 0.24)),
        part("dark", polygon((0.74, head[1] - 0.09), (1.08, head[1] + 0.04), (0.74, head[1] + 0.12))),
        part("trim", polygon((0.3, -0.16), (-0.1, -0.26), (-0.75, lift), (-0.3, 0.16), (0.2, 0.12), smooth=2)),
        part("light", ellipse(head[0] + 0.08, head[1] - 0.04, 0.07, 0.07)),
        part("dark", ellipse(head[0] + 0.1, head[1] - 0.04, 0.04, 0.04)),
    ]


def _cat(rng: np.random.Generator) -> list[Part]:
    lean, tail = rng.uniform(-0.08, 0.08), rng.choice([-1, 1])
    hx, hy = lean, -0.5
    tail_bits = [(0.3, 0.8), (0.68, 0.72), (0.82, 0.4), (0.7, 0.15)]
    tail_bars = [bar(tail * a, b, tail * c, d, 0.17) for (a, b), (c, d) in pairwise(tail_bits)]
    ears = [polygon((hx + s * 0.4, hy - 0.12), (hx + s * 0.36, hy - 0.6), (hx + s * 0.05, hy - 0.3)) for s in (-1, 1)]
    inner = [
        polygon((hx + s * 0.33, hy - 0.22), (hx + s * 0.32, hy - 0.46), (hx + s * 0.15, hy - 0.28)) for s in (-1, 1)
    ]
    body = polygon((-0.3, -0.3), (0.3, -0.3), (0.55, 0.55), (0.4, 0.95), (-0.4, 0.95), (-0.55, 0.55), smooth=2)
    return [
        *parts("main", *tail_bars, body),
        part("light", ellipse(0, 0.25, 0.17, 0.34)),
        *parts("main", *ears),
        *parts("trim", *inner),
        part("main", ellipse(hx, hy, 0.42, 0.35)),
        *parts("glass", ellipse(hx - 0.17, hy - 0.03, 0.09, 0.1), ellipse(hx + 0.17, hy - 0.03, 0.09, 0.1)),
        *parts("dark", ellipse(hx - 0.17, hy - 0.03, 0.04, 0.09), ellipse(hx + 0.17, hy - 0.03, 0.04, 0.09)),
        part("light", ellipse(hx, hy + 0.18, 0.16, 0.1)),
        part("dark", polygon((hx - 0.06, hy + 0.09), (hx + 0.06, hy + 0.09), (hx, hy + 0.17))),
    ]


def _cow(rng: np.random.Generator) -> list[Part]:
    hy = rng.uniform(-0.5, -0.25)
    horns = [
        polygon((0.68, hy - 0.12), (0.58, hy - 0.42), (0.78, hy - 0.2)),
        polygon((0.88, hy - 0.16), (1.0, hy - 0.45), (1.0, hy - 0.14)),
    ]
    return [
        part("dark", bar(-0.82, -0.35, -0.97, 0.25, 0.09)),
        *_legs(rng, (-0.62, -0.4, 0.3, 0.52), 0.1, 0.82, 0.17),
        part("trim", ellipse(-0.22, 0.28, 0.18, 0.14)),
        part("main", box(-0.86, -0.5, 0.7, 0.28, 2)),
        part("main", polygon((0.5, -0.4), (0.85, hy - 0.15), (0.95, hy + 0.2), (0.55, 0.1), smooth=1)),
        *parts("light", *horns),
        part("main", polygon((0.62, hy - 0.2), (1.0, hy - 0.2), (1.1, hy + 0.28), (0.8, hy + 0.28), smooth=1)),
        part("trim", ellipse(0.97, hy + 0.24, 0.17, 0.12)),
        part("dark", ellipse(0.84, hy - 0.02, 0.05, 0.05)),
    ]


def _dog(rng: np.random.Generator) -> list[Part]:
    hy, tail = rng.uniform(-0.55, -0.42), rng.uniform(-0.75, -0.4)
    body = polygon((-0.75, -0.2), (0.3, -0.25), (0.62, -0.3), (0.6, 0.2), (0.2, 0.3), (-0.7, 0.2), smooth=2)
    ear = polygon((0.42, hy - 0.22), (0.58, hy - 0.2), (0.56, hy + 0.3), (0.4, hy + 0.36), (0.3, hy + 0.1), smooth=2)
    return [
        part("main", bar(-0.62, -0.1, -1.0, tail, 0.17, 0.1)),
        *_legs(rng, (-0.56, -0.38, 0.28, 0.46), 0.1, 0.78, 0.17),
        *parts("main", body, polygon((0.25, -0.2), (0.4, hy - 0.05), (0.78, hy + 0.15), (0.6, 0.1), smooth=1)),
        part("main", ellipse(0.6, hy, 0.28, 0.25)),
        part("light", ellipse(0.88, hy + 0.09, 0.2, 0.12)),
        part("dark", ellipse(1.04, hy + 0.04, 0.07, 0.06)),
        part("trim", ear),
        part("dark", ellipse(0.72, hy - 0.06, 0.05, 0.05)),
    ]


def _horse(rng: np.random.Generator) -> list[Part]:
    hy = rng.uniform(-0.95, -0.75)
    body = polygon((-0.78, -0.32), (-0.2, -0.26), (0.4, -0.36), (0.62, -0.1), (0.4, 0.2), (-0.7, 0.2), smooth=2)
    head = ((0.45, hy - 0.1), (0.66, hy - 0.12), (1.1, hy + 0.32), (0.95, hy + 0.44), (0.5, hy + 0.22))
    return [
        part("dark", polygon((-0.68, -0.3), (-0.95, -0.1), (-0.98, 0.5), (-0.82, 0.42), (-0.7, -0.05), smooth=2)),
        *_legs(rng, (-0.58, -0.4, 0.26, 0.44), 0.0, 1.0, 0.14),
        *parts("main", body, polygon((0.15, -0.25), (0.45, hy - 0.02), (0.78, hy + 0.12), (0.62, 0.0), smooth=1)),
        part("dark", polygon((0.1, -0.25), (0.4, hy - 0.12), (0.56, hy - 0.1), (0.36, -0.22), smooth=1)),
        *parts("main", polygon(*head, smooth=1), polygon((0.48, hy - 0.02), (0.52, hy - 0.3), (0.64, hy - 0.05))),
        part("dark", ellipse(0.7, hy + 0.07, 0.045, 0.045)),
        part("trim", ellipse(1.0, hy + 0.34, 0.1, 0.09)),
    ]


def _person(rng: np.random.Generator) -> list[Part]:
    arms, stride = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.08, 0.24)
    limbs = [
        *parts("trim", *(bar(s * 0.13, 0.2, s * (stride + 0.06), 0.95, 0.27, 0.2) for s in (-1, 1))),
        *parts("dark", box(-stride - 0.16, 0.9, -stride + 0.1, 1.02), box(stride - 0.08, 0.9, stride + 0.18, 1.02)),
    ]
    for side, swing in zip((-1, 1), arms, strict=True):
        elbow = (side * (0.42 + 0.12 * abs(swing)), -0.12 - 0.2 * max(swing, 0))
        hand = (side * (0.42 + 0.3 * abs(swing)), 0.22 - 0.7 * max(swing, 0))
        limbs += parts("main", bar(side * 0.26, -0.42, *elbow, 0.2, 0.17))
        limbs += parts("light", bar(*elbow, *hand, 0.16, 0.13), ellipse(*hand, 0.09, 0.09))
    return [
        *limbs,
        part("main", polygon((-0.34, -0.54), (0.34, -0.54), (0.28, 0.3), (-0.28, 0.3), smooth=1)),
        part("light", box(-0.08, -0.62, 0.08, -0.48)),
        part("dark", ellipse(0, -0.84, 0.23, 0.22)),
        part("light", ellipse(0.02, -0.76, 0.19, 0.21)),
        *parts("dark", ellipse(-0.06, -0.78, 0.03, 0.04), ellipse(0.1, -0.78, 0.03, 0.04)),
    ]


def _sheep(rng: np.random.Generator) -> list[Part]:
    angles = np.linspace(0, 360, 11, endpoint=False) + rng.uniform(-8, 8, 11)
    curls = [ellipse(-0.12 + 0.52 * np.cos(t), -0.12 + 0.28 * np.sin(t), 0.26, 0.25) for t in np.radians(angles)]
    hy = rng.uniform(-0.35, -0.1)
    legs = [bar(x, 0.15, x + rng.uniform(-0.06, 0.06), 0.72, 0.13) for x in (-0.5, -0.3, 0.12, 0.3)]
    return [
        *parts("dark", *legs),
        *parts("main", ellipse(-0.12, -0.12, 0.6, 0.36), *curls),
        *parts("dark", ellipse(0.68, hy, 0.22, 0.29, -20), ellipse(0.5, hy - 0.12, 0.15, 0.07, 20)),
        part("main", ellipse(0.62, hy - 0.26, 0.19, 0.13)),
        part("light", ellipse(0.73, hy - 0.04, 0.05, 0.05)),
    ]


# By class, as in `things`.
CREATURES = {"bird": _bird, "cat": _cat, "cow": _cow, "dog": _dog, "horse": _horse, "person": _person, "sheep": _sheep}
