"""Painting one object of the sample: texture, volume, outlines and shadow."""

from dataclasses import dataclass

import cv2
import numpy as np

from segrepro.data.sample.shapes.outlines import Part
from segrepro.data.sample.textures import LOOKS, SKINS, TYRE, draw_colour, mix, second_shade

OVERSAMPLING = 3  # canvas pixels per picture pixel, in each direction
FLYING = frozenset({"aeroplane", "bird", "kite", "clock"})  # may be anywhere, and cast no shadow
ROLES = ("dark", "light", "glass", "main", "trim")
OUTLINE = 0.6 * OVERSAMPLING  # width of the dark line around an object, canvas pixels
VOLUME_DEPTH = 5 * OVERSAMPLING  # canvas pixels from the edge over which an object gets lighter
SEAM_WIDTH = 0.02  # of the lines between parts, object units
SEAM_SHADE, OUTLINE_SHADE, EDGE_SHADE, SHADOW_SHADE = 0.72, 0.55, 0.72, 0.5  # factors on brightness


@dataclass(frozen=True)
class Sprite:
    """An object placed in the picture."""

    name: str  # of its class
    parts: list[Part]  # its silhouette in object coordinates
    matrix: np.ndarray  # float (2, 3), object coordinates to canvas pixels
    mask: np.ndarray  # uint8 0/1 at the picture's size: the whole object, unoccluded
    crowd: bool = False  # one of a crowd


def place(part: Part, matrix: np.ndarray) -> list[np.ndarray]:
    """Return a part's contours in whole pixels (int32) under an affine ``matrix`` (2, 3)."""
    return [np.round(c @ matrix[:, :2].T + matrix[:, 2]).astype(np.int32) for c in part.contours]


def fill(parts: list[Part], matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the union of the parts as uint8 0/1 for a raster of ``size`` (width, height)."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    for part in parts:
        cv2.fillPoly(mask, place(part, matrix), 1)
    return mask


def paint(canvas: np.ndarray, instances: np.ndarray, sprite: Sprite, number: int, rng: np.random.Generator) -> None:
    """Paint one object on the canvas (float32 RGB) and its number on the instance map, both in place."""
    height, width = instances.shape
    corners = np.concatenate([contour for part in sprite.parts for contour in place(part, sprite.matrix)])
    x0, y0 = np.maximum(corners.min(0) - OVERSAMPLING, 0)
    x1, y1 = np.minimum(corners.max(0) + OVERSAMPLING, (width, height))
    if x0 >= x1 or y0 >= y1:
        return
    if sprite.name not in FLYING:
        _cast_shadow(canvas, corners)
    window = np.s_[y0:y1, x0:x1]
    matrix = sprite.matrix - [[0, 0, x0], [0, 0, y0]]
    roles, seams = _part_maps(sprite.parts, matrix, (x1 - x0, y1 - y0))
    u, v = _object_coordinates(matrix, roles.shape)
    coat = _coat(sprite.name, roles, u, v, rng)
    depth = cv2.distanceTransform((roles > 0).astype(np.uint8), cv2.DIST_L2, 3)
    shade = EDGE_SHADE + (1 - EDGE_SHADE) * np.minimum(depth / VOLUME_DEPTH, 1)
    shade *= 1.06 - 0.13 * np.clip(v, -1, 1)  # light comes from above
    shade[seams > 0] *= SEAM_SHADE
    shade[depth <= OUTLINE] *= OUTLINE_SHADE
    canvas[window] = cv2.copyTo(coat * cv2.merge([shade] * 3), roles, canvas[window].copy())
    instances[window][roles > 0] = number


def _part_maps(parts: list[Part], matrix: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return, as uint8 maps, the role of each pixel (0 none, i + 1 for ``ROLES[i]``) and the seams of the parts."""
    roles, seams = (np.zeros((size[1], size[0]), np.uint8) for _ in range(2))
    width = max(1, round(float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))) * SEAM_WIDTH))
    for part in parts:
        contours = place(part, matrix)
        cv2.fillPoly(roles, contours, ROLES.index(part.role) + 1)
        cv2.fillPoly(seams, contours, 0)
        cv2.polylines(seams, contours, True, 1, width)
    return roles, seams


def _object_coordinates(matrix: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return u and v (float32) of each pixel of a window under the inverse of ``matrix``."""
    inverse = np.linalg.inv(matrix[:, :2]).astype(np.float32)
    x = np.arange(shape[1], dtype=np.float32)[None] - np.float32(matrix[0, 2])
    y = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(matrix[1, 2])
    return inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y


def _coat(name: str, roles: np.ndarray, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the object's colours before shading: float32 (h, w, 3)."""
    look = LOOKS[name]
    main = draw_colour(look.main, rng)
    trim = draw_colour(look.trim, rng) if look.trim else main * 0.72
    field = look.texture(u, v, rng)
    light = SKINS[rng.integers(len(SKINS))] if name == "person" else look.light
    plain = np.zeros((len(ROLES) + 1, 3), np.float32)
    plain[1] = np.add(TYRE, rng.uniform(-12, 14))
    plain[2] = light
    plain[3] = np.multiply(look.glass, rng.uniform(0.8, 1.02))
    coat = plain[roles]
    main_mask, trim_mask = ((roles == ROLES.index(role) + 1).astype(np.uint8) for role in ("main", "trim"))
    coat = cv2.copyTo(mix(main, second_shade(main, look.second), field), main_mask, coat)
    return cv2.copyTo(mix(trim, trim * 0.75, field), trim_mask, coat)


def _cast_shadow(canvas: np.ndarray, corners: np.ndarray) -> None:
    """Darken a soft ellipse where an object stands; ``corners`` are its outline in canvas pixels."""
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    axes = (max(1, (x1 - x0) // 2), max(1, round(0.07 * (y1 - y0))))
    top, left = max(0, y1 - 3 * axes[1]), max(0, x0 - 2 * axes[1])
    ground = canvas[top : y1 + 3 * axes[1], left : x1 + 2 * axes[1]]
    if not ground.size:
        return
    shade = np.zeros(ground.shape[:2], np.float32)
    cv2.ellipse(shade, ((x0 + x1) // 2 - left, y1 - top), axes, 0, 0, 360, 1.0, -1)
    shade = cv2.blur(shade, (axes[1] | 1, axes[1] | 1))
    ground *= cv2.merge([1 - SHADOW_SHADE * shade] * 3)
