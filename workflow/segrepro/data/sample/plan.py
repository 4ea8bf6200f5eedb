"""What the sample's pictures show: which classes, crowds and lamp posts, balanced over the classes.

The deal is made once for all pictures of a source; the drawing of each picture then depends on (seed, source, index)
alone, so that any number of processes draws the same pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from segrepro.data.parallel import map_in_processes
from segrepro.data.sample.scenes import CONTEXTS, Scene, draw_scene
from segrepro.data.sample.shapes import EXTRA_SHAPES, VOC_SHAPES

SOURCES = ("voc_train", "voc_val", "voc_test", "sbd_extra", "coco_train", "coco_val")
OBJECT_COUNTS = (0.22, 0.38, 0.28, 0.12)  # probability of 1, 2, 3, 4 objects in a picture
REPEAT_SHARE = 0.15  # of the pictures with several objects show one class twice
POLE_SHARE = 0.1
# COCO pictures come in a cycle of eight kinds, so that even a tiny sample holds each special case.
COCO_CYCLE = 8
COCO_EMPTY, COCO_EXTRAS_ONLY, COCO_CROWD, COCO_POLE, COCO_MIXED = 3, 5, 2, 4, 6
CROWD_CLASSES = ("person", "sheep", "bird", "cow", "car")


@dataclass(frozen=True)
class Plan:
    """What one picture, the ``index``-th of its source, is to show; see `segrepro.data.sample.scenes.draw_scene`."""

    source: str
    index: int
    names: tuple[str, ...]
    crowd: str | None = None
    pole: bool = False


def plan_source(source: str, count: int, seed: int) -> list[Plan]:
    """Deal the classes over the pictures of one of `SOURCES` so that each class occurs about equally often.

    Every object of a picture fits one context (no cow in the living room). The COCO sources also get crowds, categories
    that VOC does not have, and pictures without any object.
    """
    rng = np.random.default_rng([seed, SOURCES.index(source), 1 << 20])
    used = dict.fromkeys([*VOC_SHAPES, *EXTRA_SHAPES], 0)
    coco = source.startswith("coco")
    return [(_coco_plan if coco else _voc_plan)(source, index, used, rng) for index in range(count)]


def _voc_plan(source: str, index: int, used: dict[str, int], rng: np.random.Generator) -> Plan:
    names = _deal(list(VOC_SHAPES), int(rng.choice(4, p=OBJECT_COUNTS)) + 1, used, rng)
    return Plan(source, index, names, pole=bool(rng.random() < POLE_SHARE))


def _coco_plan(source: str, index: int, used: dict[str, int], rng: np.random.Generator) -> Plan:
    kind = index % COCO_CYCLE
    if index % (3 * COCO_CYCLE) == COCO_EMPTY:
        return Plan(source, index, ())
    if kind == COCO_EXTRAS_ONLY:
        return Plan(source, index, _deal(list(EXTRA_SHAPES), 2, used, rng))
    if kind == COCO_CROWD:
        crowd = str(rng.choice(CROWD_CLASSES))
        companions = [name for name in VOC_SHAPES if set(CONTEXTS[name]) & set(CONTEXTS[crowd])]
        return Plan(source, index, _deal(companions, 1, used, rng), crowd=crowd)
    names = _deal(list(VOC_SHAPES), int(rng.choice(4, p=OBJECT_COUNTS)) + 1, used, rng)
    if kind == COCO_MIXED:
        names = (*names[:2], *_deal(list(EXTRA_SHAPES), 1, used, rng))
    return Plan(source, index, names, pole=kind == COCO_POLE)


def _deal(classes: list[str], count: int, used: dict[str, int], rng: np.random.Generator) -> tuple[str, ...]:
    """Take the least used class, then the least used ones that share a context with it."""
    order = [classes[i] for i in rng.permutation(len(classes))]
    names = [min(order, key=used.__getitem__)]
    context = CONTEXTS[names[0]][rng.integers(len(CONTEXTS[names[0]]))]
    for _ in range(count - 1):
        options = [name for name in order if name not in names and context in CONTEXTS[name]]
        if not options or (len(names) == count - 1 and rng.random() < REPEAT_SHARE):
            names.append(names[0])
        else:
            names.append(min(options, key=used.__getitem__))
    for name in set(names):
        used[name] += 1
    return tuple(names)


def _draw(plan: Plan, *, seed: int) -> Scene:
    cv2.setNumThreads(1)  # the processes are the threads that the caller granted
    rng = np.random.default_rng([seed, SOURCES.index(plan.source), plan.index])
    return draw_scene(plan.names, rng, crowd=plan.crowd, pole=plan.pole)


def draw_plans(plans: Sequence[Plan], seed: int, threads: int) -> list[Scene]:
    """Draw all planned pictures with ``threads`` processes; the result does not depend on their number."""
    return map_in_processes(partial(_draw, seed=seed), plans, threads=threads, label="drawing", total=len(plans))
