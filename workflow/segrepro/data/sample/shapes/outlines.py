"""Outlines: the parts that silhouettes are made of, and the few curves that their contours are drawn with.

Object coordinates are unitless: x to the right, y down, the object centred near (0, 0) and about 2 wide or high.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """A filled area of one colour role: ``main`` and ``trim`` (textured), ``dark``, ``light`` or ``glass`` (plain)."""

    role: str
    contours: tuple[np.ndarray, ...]  # float (n, 2) each, filled by the even-odd rule: a second one cuts a hole


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0, points: int = 32) -> np.ndarray:
    """Return an ellipse; ``angle`` in degrees turns it clockwise on screen."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.stack([cx + c * x - s * y, cy + s * x + c * y], 1)


def polygon(*points: tuple[float, float], smooth: int = 0) -> np.ndarray:
    """Return a closed polygon, its corners cut ``smooth`` times (Chaikin's rule)."""
    contour = np.array(points, float)
    for _ in range(smooth):
        following = np.roll(contour, -1, axis=0)
        contour = np.stack([0.75 * contour + 0.25 * following, 0.25 * contour + 0.75 * following], 1)
        contour = contour.reshape(-1, 2)
    return contour


def box(x0: float, y0: float, x1: float, y1: float, smooth: int = 0) -> np.ndarray:
    """Return a rectangle, with rounded corners where ``smooth`` > 0 (the middles of the sides stay)."""
    xm, ym = (x0 + x1) / 2, (y0 + y1) / 2
    corners = [(x0, y0), (xm, y0), (x1, y0), (x1, ym), (x1, y1), (xm, y1), (x0, y1), (x0, ym)]
    return polygon(*corners, smooth=smooth)


def bar(x0: float, y0: float, x1: float, y1: float, width: float, end_width: float | None = None) -> np.ndarray:
    """Return a thick line from (x0, y0) to (x1, y1), tapering to ``end_width`` where given."""
    end_width = width if end_width is None else end_width
    direction = np.array([x1 - x0, y1 - y0])
    normal = np.array([-direction[1], direction[0]]) / max(np.hypot(*direction), 1e-9) / 2
    a, b = np.array([x0, y0]), np.array([x1, y1])
    return np.array([a + normal * width, b + normal * end_width, b - normal * end_width, a - normal * width])


def part(role: str, *contours: np.ndarray) -> Part:
    """Return one part; contours inside one another cut holes."""
    return Part(role, contours)


def parts(role: str, *contours: np.ndarray) -> list[Part]:
    """Return one part per contour: for contours that may overlap, which one even-odd fill would cut out."""
    return [Part(role, (contour,)) for contour in contours]


def wheels(xs: tuple[float, ...], y: float, radius: float) -> list[Part]:
    """Return dark tyres with light hubs, centred at ``xs`` and ``y``."""
    tyres = parts("dark", *(ellipse(x, y, radius, radius) for x in xs))
    return tyres + parts("light", *(ellipse(x, y, radius * 0.5, radius * 0.5) for x in xs))
