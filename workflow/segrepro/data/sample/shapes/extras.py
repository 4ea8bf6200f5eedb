"""Silhouettes of COCO categories that VOC does not have."""

from itertools import pairwise

import numpy as np

from segrepro.data.sample.shapes.outlines import Part, bar, box, ellipse, part, parts, polygon


def _umbrella(rng: np.random.Generator) -> list[Part]:
    t = np.linspace(np.pi, 2 * np.pi, 24)
    rim = [(x, 0.0 + (0.08 if i % 2 else 0.0)) for i, x in enumerate(np.linspace(1, -1, 9))]
    canopy = polygon(*zip(np.cos(t), 0.85 * np.sin(t), strict=True), *rim)
    gore = polygon((-0.45, 0.02), (-0.3, -0.6), (0, -0.85), (0.3, -0.6), (0.45, 0.02))
    return [
        part("dark", bar(0, -0.95, 0, 0.85, 0.09)),
        part("dark", bar(0, 0.82, rng.choice([-0.22, 0.22]), 0.9, 0.1)),
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


EXTRAS = {"umbrella": _umbrella, "pizza": _pizza, "clock": _clock, "kite": _kite, "stop sign": _stop_sign}
"""Class name -> function of a generator that returns the parts, painted in order."""
