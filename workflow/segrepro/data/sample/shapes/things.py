"""Silhouettes of VOC's seven vehicles and six things of a room, and of COCO categories that VOC does not have."""

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


# By class: functions of a generator that return the parts, painted in order.
VEHICLES = {draw.__name__[1:]: draw for draw in (_aeroplane, _bicycle, _boat, _bus, _car, _motorbike, _train)}
FURNISHINGS = {draw.__name__[1:]: draw for draw in (_bottle, _chair, _diningtable, _pottedplant, _sofa, _tvmonitor)}
EXTRAS = {"umbrella": _umbrella, "pizza": _pizza, "clock": _clock, "kite": _kite, "stop sign": _stop_sign}
