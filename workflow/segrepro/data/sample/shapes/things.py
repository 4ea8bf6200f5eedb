"""Silhouettes of the six VOC things of a room, and of COCO categories that VOC does not have."""

from itertools import pairwise

import numpy as np

from segrepro.data.sample.shapes.outlines import Part, bar, box, ellipse, part, parts, polygon


def _bottle(rng: np.random.Generator) -> list[Part]:
    w, neck, shoulder = rng.uniform(0.3, 0.4), rng.uniform(0.11, 0.15), rng.uniform(-0.4, -0.15)
    body = polygon(
        *((-w, shoulder + 0.2), (-w, 0.95), (w, 0.95), (w, shoulder + 0.2), (neck, shoulder - 0.15)),
        *((neck, -0.85), (-neck, -0.85), (-neck, shoulder - 0.15)),
        smooth=1,
    )
    return [
        part("main", body),
        part("trim", box(-w * 0.93, 0.15, w * 0.93, 0.62)),
        part("light", box(-w * 0.55, 0.28, w * 0.55, 0.48, 1)),
        part("dark", box(-neck * 1.25, -1.02, neck * 1.25, -0.78)),
        part("glass", bar(-w * 0.6, shoulder + 0.2, -w * 0.6, 0.08, 0.08)),
    ]


def _chair(rng: np.random.Generator) -> list[Part]:
    w, top, seat = rng.uniform(0.42, 0.5), rng.uniform(-1.0, -0.85), 0.12
    slats = [bar(x, top + 0.1, x, seat, 0.1) for x in np.linspace(-w * 0.45, w * 0.45, 2)]
    legs = [bar(s * (w + 0.1), seat + 0.15, s * (w + 0.14), 1.0, 0.15) for s in (-1, 1)]
    return [
        *parts("trim", bar(-w * 0.75, seat, -w * 0.7, 0.8, 0.12), bar(w * 0.75, seat, w * 0.7, 0.8, 0.12)),
        *parts("main", bar(-w, top, -w, seat, 0.15), bar(w, top, w, seat, 0.15), *slats),
        part("main", box(-w - 0.07, top, w + 0.07, top + 0.28, 1)),
        part("trim", polygon((-w, seat - 0.1), (w, seat - 0.1), (w + 0.2, seat + 0.18), (-w - 0.2, seat + 0.18))),
        *parts("main", *legs, box(-w - 0.2, seat + 0.13, w + 0.2, seat + 0.25)),
    ]


def _diningtable(rng: np.random.Generator) -> list[Part]:
    y, depth, drop = -0.3, rng.uniform(0.3, 0.42), rng.uniform(0.18, 0.3)
    cloth = polygon((-1.05, y + depth), (1.05, y + depth), (1.0, y + depth + drop), (-1.0, y + depth + drop))
    return [
        *parts("dark", bar(-0.6, y, -0.58, 0.45, 0.12), bar(0.6, y, 0.58, 0.45, 0.12)),
        *parts("dark", bar(-0.88, y + depth, -0.86, 0.78, 0.16), bar(0.88, y + depth, 0.86, 0.78, 0.16)),
        part("main", polygon((-0.72, y - 0.05), (0.72, y - 0.05), (1.05, y + depth), (-1.05, y + depth))),
        part("trim", cloth),
        *parts("light", *(ellipse(x, y + depth * 0.45, 0.2, 0.08) for x in (-0.4, 0.4))),
    ]


def _pottedplant(rng: np.random.Generator) -> list[Part]:
    leaves = []
    for angle in np.linspace(-80, 80, 7) + rng.uniform(-8, 8, 7):
        length, a = rng.uniform(0.36, 0.5), np.radians(angle - 90)
        leaves.append(ellipse(np.cos(a) * length, 0.1 + np.sin(a) * length, length * 0.95, 0.19, angle - 90))
    return [
        *parts("main", *leaves, box(-0.32, -0.2, 0.32, 0.2), ellipse(0, -0.25, 0.34, 0.34)),
        *parts("trim", polygon((-0.42, 0.2), (0.42, 0.2), (0.28, 0.9), (-0.28, 0.9)), box(-0.48, 0.12, 0.48, 0.32)),
        part("dark", box(-0.44, 0.31, 0.44, 0.36)),
    ]


def _sofa(rng: np.random.Generator) -> list[Part]:
    top, seats = rng.uniform(-0.55, -0.4), int(rng.integers(2, 4))
    pairs = list(pairwise(np.linspace(-0.78, 0.78, seats + 1)))
    return [
        *parts("dark", box(-0.9, 0.48, -0.76, 0.62), box(0.76, 0.48, 0.9, 0.62)),
        part("main", box(-0.88, top, 0.88, 0.4, 1)),
        *parts("trim", *(box(a + 0.02, top + 0.12, b - 0.02, 0.1, 1) for a, b in pairs)),
        *parts("main", *(box(a, 0.04, b, 0.3, 1) for a, b in pairs), box(-0.85, 0.26, 0.85, 0.5)),
        *parts("trim", box(-1.08, -0.16, -0.72, 0.52, 2), box(0.72, -0.16, 1.08, 0.52, 2)),
    ]


def _tvmonitor(rng: np.random.Generator) -> list[Part]:
    h, bezel = rng.uniform(0.58, 0.7), rng.uniform(0.08, 0.13)
    return [
        part("dark", polygon((-0.12, h - 0.2), (0.12, h - 0.2), (0.18, h + 0.18), (-0.18, h + 0.18))),
        part("dark", polygon((-0.45, h + 0.26), (-0.35, h + 0.12), (0.35, h + 0.12), (0.45, h + 0.26))),
        part("dark", box(-1.0, -h, 1.0, h - 0.05)),
        part("main", box(-1 + bezel, -h + bezel, 1 - bezel, h - 0.08 - bezel)),
        part("glass", polygon((-0.8, -h + 0.2), (-0.3, -h + 0.2), (-0.62, h - 0.35), (-0.8, h - 0.35))),
    ]


def _umbrella(rng: np.random.Generator) -> list[Part]:
    t = np.linspace(np.pi, 2 * np.pi, 24)
    rim = [(x, 0.0 + (0.08 if i % 2 else 0.0)) for i, x in enumerate(np.linspace(1, -1, 9))]
    canopy = polygon(*zip(np.cos(t), 0.85 * np.sin(t), strict=True), *rim)
    gore = polygon((-0.45, 0.02), (-0.3, -0.6), (0, -0.85), (0.3, -0.6), (0.45, 0.02))
    return [
        *parts("dark", bar(0, -0.95, 0, 0.85, 0.09), bar(0, 0.82, rng.choice([-0.22, 0.22]), 0.9, 0.1)),
        part("main", canopy),
        part("trim", gore),
    ]


def _pizza(rng: np.random.Generator) -> list[Part]:
    spots = rng.uniform(-0.55, 0.55, (9, 2))
    return [
        part("trim", ellipse(0, 0, 0.95, 0.95)),
        part("main", ellipse(0, 0, 0.8, 0.8)),
        *parts("dark", *(ellipse(x, y, 0.13, 0.13) for x, y in spots)),
    ]


def _clock(rng: np.random.Generator) -> list[Part]:
    hands = np.radians(rng.uniform(0, 360, 2))
    marks = np.radians(np.arange(0, 360, 30))
    return [
        part("dark", ellipse(0, 0, 0.95, 0.95)),
        part("light", ellipse(0, 0, 0.8, 0.8)),
        *parts("dark", *(ellipse(0.66 * np.cos(a), 0.66 * np.sin(a), 0.06, 0.06) for a in marks)),
        *parts("main", bar(0, 0, 0.42 * np.cos(hands[0]), 0.42 * np.sin(hands[0]), 0.14)),
        *parts("main", bar(0, 0, 0.62 * np.cos(hands[1]), 0.62 * np.sin(hands[1]), 0.1)),
    ]


def _kite(rng: np.random.Generator) -> list[Part]:
    low = rng.uniform(0.55, 0.75)
    tail = [(0.0, low), (0.12, low + 0.18), (-0.08, low + 0.34), (0.08, low + 0.5)]
    return [
        *parts("dark", *(bar(*a, *b, 0.1) for a, b in pairwise(tail))),
        part("main", polygon((0, -0.9), (0.62, -0.2), (0, low), (-0.62, -0.2))),
        *parts("trim", polygon((0, -0.9), (0.62, -0.2), (0, -0.2)), polygon((0, low), (-0.62, -0.2), (0, -0.2))),
    ]


def _stop_sign(rng: np.random.Generator) -> list[Part]:
    foot = rng.uniform(0.8, 1.1)
    return [
        part("dark", bar(0, 0, 0, foot, 0.12)),
        part("light", ellipse(0, -0.4, 0.6, 0.6, 22.5, points=8)),
        part("main", ellipse(0, -0.4, 0.52, 0.52, 22.5, points=8)),
        part("light", box(-0.32, -0.5, 0.32, -0.3)),
    ]


FURNISHINGS = {draw.__name__[1:]: draw for draw in (_bottle, _chair, _diningtable, _pottedplant, _sofa, _tvmonitor)}
EXTRAS = {"umbrella": _umbrella, "pizza": _pizza, "clock": _clock, "kite": _kite, "stop sign": _stop_sign}
"""Class name -> function of a generator that returns the parts, painted in order."""
