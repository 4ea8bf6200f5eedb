"""Silhouettes of the seven VOC vehicles, seen from the side."""

from itertools import pairwise

import numpy as np

from segrepro.data.sample.shapes.outlines import Part, bar, box, ellipse, part, parts, polygon, wheels


def _aeroplane(rng: np.random.Generator) -> list[Part]:
    sweep, span = rng.uniform(0.25, 0.5), rng.uniform(0.55, 0.75)
    fuselage = polygon(
        *((-0.98, -0.12), (-0.5, -0.17), (0.6, -0.17), (0.95, -0.04), (1.05, 0.05), (0.6, 0.17), (-0.5, 0.14)),
        smooth=2,
    )
    windows = [ellipse(x, -0.05, 0.038, 0.045) for x in np.linspace(-0.5, 0.5, 8)]
    far_wing = polygon((0.2, -0.1), (0.2 - sweep - 0.1, -span * 0.8), (-sweep - 0.2, -span * 0.8), (-0.25, -0.1))
    return [
        *parts("trim", far_wing, polygon((-0.95, -0.08), (-1.12, -0.52), (-0.92, -0.52), (-0.6, -0.12))),
        part("main", fuselage),
        *parts("glass", *windows, polygon((0.68, -0.12), (0.86, -0.06), (0.84, 0.0), (0.68, -0.02))),
        part("main", polygon((0.3, 0.06), (-0.05 - sweep, span), (-0.28 - sweep, span), (-0.25, 0.06))),
        part("dark", box(0.02 - sweep / 2, 0.3, 0.26 - sweep / 2, 0.42, 2)),
        part("trim", polygon((-0.75, 0.0), (-1.15, 0.22), (-1.0, 0.24), (-0.55, 0.06))),
    ]


def _bicycle(rng: np.random.Generator) -> list[Part]:
    r, w, axle = rng.uniform(0.4, 0.47), 0.15, 0.3
    saddle, head = -0.27 + rng.uniform(-0.05, 0.05), 0.36 + rng.uniform(-0.04, 0.06)
    rings = [part("dark", ellipse(x, axle, r, r), ellipse(x, axle, r - w, r - w, points=24)) for x in (-0.58, 0.6)]
    tubes = [
        *((-0.58, axle, -0.05, axle + 0.03), (-0.05, axle + 0.03, head, -0.3), (-0.58, axle, -0.2, -0.26)),
        *((-0.2, -0.26, head, -0.3), (-0.05, axle + 0.03, saddle, -0.42), (0.6, axle, head - 0.05, -0.5)),
    ]
    return [
        *rings,
        *parts("main", *(bar(*tube, 0.13) for tube in tubes)),
        part("dark", polygon((saddle - 0.22, -0.5), (saddle + 0.2, -0.47), (saddle, -0.38), smooth=1)),
        part("dark", bar(head - 0.15, -0.55, head + 0.2, -0.5, 0.12)),
        part("light", ellipse(-0.05, axle + 0.03, 0.11, 0.11)),
    ]


def _boat(rng: np.random.Generator) -> list[Part]:
    mast, top = rng.uniform(-0.15, 0.1), rng.uniform(-1.05, -0.85)
    hull = polygon((-0.95, 0.25), (1.05, 0.2), (0.75, 0.62), (-0.65, 0.66), smooth=1)
    return [
        part("light", polygon((mast, top), (0.85, 0.25), (mast, 0.3))),
        part("trim", polygon((mast, top + 0.2), (mast, 0.3), (-0.75, 0.29))),
        part("dark", bar(mast, 0.3, mast, top - 0.08, 0.09)),
        part("main", hull),
        part("light", polygon((-0.9, 0.27), (0.98, 0.23), (0.94, 0.33), (-0.84, 0.37))),
    ]


def _bus(rng: np.random.Generator) -> list[Part]:
    top, count = rng.uniform(-0.6, -0.5), int(rng.integers(4, 6))
    edges = np.linspace(-0.9, 0.62, count + 1)
    panes = [box(a + 0.03, top + 0.14, b - 0.03, top + 0.46) for a, b in pairwise(edges)]
    body = polygon(
        (-1.05, top + 0.05), (-1.0, top), (0.95, top), (1.04, top + 0.06), (1.1, 0.0), (1.1, 0.42), (-1.05, 0.42)
    )
    return [
        part("main", body),
        part("trim", box(-1.0, 0.05, 1.04, 0.17)),
        *parts("glass", *panes, box(0.7, top + 0.14, 1.0, 0.32)),
        *wheels((-0.6, 0.48), 0.44, 0.2),
        part("light", ellipse(1.0, 0.28, 0.06, 0.06)),
    ]


def _car(rng: np.random.Generator) -> list[Part]:
    roof, hood = rng.uniform(-0.5, -0.38), rng.uniform(0.4, 0.55)
    cabin = polygon((-0.75, 0.0), (-0.48, roof), (0.18, roof), (hood, 0.0), smooth=1)
    body = polygon((-1.0, -0.02), (hood, -0.05), (0.98, 0.06), (1.05, 0.36), (-1.05, 0.36), smooth=2)
    rear = polygon((-0.58, -0.02), (-0.42, roof + 0.1), (-0.16, roof + 0.1), (-0.16, -0.02))
    front = polygon((-0.08, -0.02), (-0.08, roof + 0.1), (0.12, roof + 0.1), (hood - 0.1, -0.02))
    return [
        part("main", cabin),
        *parts("glass", rear, front),
        part("main", body),
        part("trim", box(-0.95, 0.12, 0.95, 0.19)),
        *wheels((-0.56, 0.58), 0.36, 0.24),
        *parts("light", ellipse(0.96, 0.14, 0.07, 0.07)),
    ]


def _motorbike(rng: np.random.Generator) -> list[Part]:
    r, lift = rng.uniform(0.33, 0.38), rng.uniform(-0.06, 0.06)
    tank = polygon((-0.2, -0.28), (0.32, -0.38 + lift), (0.42, -0.1), (0.1, 0.08), (-0.2, 0.0), smooth=2)
    return [
        *wheels((-0.66, 0.68), 0.36, r),
        part("light", bar(0.68, 0.36, 0.36, -0.5, 0.12)),
        part("dark", polygon((-0.4, 0.0), (0.3, 0.0), (0.28, 0.42), (-0.3, 0.46), smooth=1)),
        part("light", bar(-0.95, 0.42, 0.1, 0.42, 0.12)),
        part("main", tank),
        part("dark", polygon((-0.9, -0.3), (-0.1, -0.26), (-0.05, -0.1), (-0.75, -0.1), smooth=1)),
        part("main", polygon((-1.0, -0.15), (-0.35, -0.12), (-0.5, 0.1), smooth=1)),
        part("main", polygon((0.32, -0.42), (0.5, -0.38), (0.62, -0.08), (0.42, -0.02), smooth=1)),
        part("dark", bar(0.16, -0.62, 0.5, -0.48, 0.12)),
        part("glass", ellipse(0.56, -0.32, 0.1, 0.11)),
    ]


def _train(rng: np.random.Generator) -> list[Part]:
    chimney, cab = rng.uniform(0.52, 0.66), rng.uniform(-0.62, -0.5)
    funnel = ((chimney + x, y) for x, y in ((-0.08, -0.2), (-0.14, -0.66), (0.14, -0.66), (0.08, -0.2)))
    return [
        *parts("dark", polygon((-1.05, 0.3), (0.95, 0.3), (1.12, 0.55), (0.9, 0.5), (-1.05, 0.5)), polygon(*funnel)),
        part("main", box(-0.5, -0.3, 0.9, 0.32, 1)),
        *parts("trim", ellipse(0.14, -0.3, 0.15, 0.16), *(box(x, -0.3, x + 0.08, 0.32) for x in (-0.05, 0.38, 0.74))),
        part("main", box(-1.05, cab, -0.42, 0.34)),
        part("dark", box(-1.14, cab - 0.1, -0.36, cab + 0.03)),
        *parts("glass", box(-0.95, cab + 0.13, -0.54, cab + 0.45)),
        *wheels((-0.72, -0.2), 0.48, 0.27),
        *wheels((0.3, 0.7), 0.56, 0.19),
        part("light", bar(-0.72, 0.5, -0.2, 0.5, 0.09)),
        part("glass", ellipse(0.92, -0.06, 0.1, 0.13)),
    ]


VEHICLES = {draw.__name__[1:]: draw for draw in (_aeroplane, _bicycle, _boat, _bus, _car, _motorbike, _train)}
"""Class name -> function of a generator that returns the parts, painted in order."""
