"""Which pictures a figure shows: chosen by rule from what all its systems answer, and not by hand.

A rule shows what systems do, where a choice by hand would show what its author likes. Pictures are ranked by the mean,
over the figure's systems, of their mIoU on that picture; the most disputed ones are those on which the systems' labels
differ most.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.data.masks import read_mask
from segrepro.evaluation.metrics import picture_mious
from segrepro.evaluation.pictures import PictureScorer
from segrepro.labels import VOID
from segrepro.stores.manifests import Example

RULES = ("best", "median", "worst", "disputed")


@dataclass(frozen=True)
class Opinion:
    """What some systems make of one picture."""

    id: str
    classes: int  # how many its mask has, void aside
    miou: float  # mean over the systems of their mIoU over the classes in the mask, in [0, 1]; NaN if all is void
    dispute: (
        float  # share of the labelled pixels on which two systems differ, the mean over all pairs; 0 for one system
    )


def read_opinion(stores: tuple[Path, ...], space: str, num_classes: int, example: Example) -> Opinion:
    """Compare some systems, by their stores, with a picture's mask in a label space and with each other."""
    truth = read_mask(example.mask)
    scored = [PictureScorer(store, space, num_classes).scored(example, truth) for store in stores]
    labelled = truth != VOID
    answers = [prediction[labelled] for prediction, _ in scored]
    pairs = [np.mean(a != b) for a, b in itertools.combinations(answers, 2) if a.size]
    mious = picture_mious(np.stack([confusion for _, confusion in scored]))
    classes = np.unique(truth[labelled]).size
    return Opinion(example.id, classes, float(mious.mean()), float(np.mean(pairs)) if pairs else 0.0)


def choose(opinions: list[Opinion], counts: dict[str, int]) -> dict[str, str]:
    """Choose pictures by rule, each once.

    Pictures whose mask has less than two classes are not chosen while there are others: all background, or one object
    up to the border of void, is either trivially right or of no interest. Equal values are ranked by id.

    Args:
        opinions: of all pictures.
        counts: how many pictures by each of `RULES`; one left out chooses none.

    Returns:
        id -> the rule that chose it, in the order of `RULES`: best first, then from better to worse, then the disputed
        ones, most disputed first. Fewer than asked for where there are not so many pictures, or nothing is disputed.
    """
    scored = [opinion for opinion in opinions if not np.isnan(opinion.miou)]
    candidates = [opinion for opinion in scored if opinion.classes > 1] or scored
    ranked = [o.id for o in sorted(candidates, key=lambda o: (-o.miou, o.id))]
    disputed = [o.id for o in sorted(candidates, key=lambda o: (-o.dispute, o.id)) if o.dispute > 0]
    middle = sorted(range(len(ranked)), key=lambda place: (abs(place - (len(ranked) - 1) / 2), place))
    orders = {
        "best": ranked,
        "worst": ranked[::-1],
        "median": [ranked[place] for place in middle],
        "disputed": disputed,
    }
    chosen: dict[str, str] = {}
    for rule, order in orders.items():  # the extremes first: with few pictures they are no medians
        left = [id for id in order if id not in chosen]
        chosen |= dict.fromkeys(left[: counts.get(rule, 0)], rule)
    order = {rule: disputed if rule == "disputed" else ranked for rule in RULES}
    return {id: rule for rule in RULES for id in order[rule] if chosen.get(id) == rule}
