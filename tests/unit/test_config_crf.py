"""The config of CRFs: single parameters, the search for them, and what cannot be."""

from dataclasses import fields
from typing import get_args

import pytest

from segrepro.config import parse_config
from segrepro.config.crf import PARAMETERS, Crf
from segrepro.errors import UserError
from segrepro.fusion.densecrf import NORMALISATIONS, PRESETS, Parameters

TUNED = "deeplabv3_phase2_ms_flip_crf_tuned"


def with_crf(config, **changes):
    crf = config["systems"][TUNED]["crf"]
    config["systems"][TUNED]["crf"] = {**crf, **changes}
    return config


def searching(config, **changes):
    return with_crf(config, search=config["systems"][TUNED]["crf"]["search"] | changes)


def test_the_config_takes_every_parameter_of_the_crf(merged_config):
    assert tuple(field.name for field in fields(Parameters)) == PARAMETERS
    assert get_args(Crf.model_fields["preset"].annotation) == tuple(PRESETS)
    assert get_args(get_args(Crf.model_fields["normalisation"].annotation)[0]) == tuple(NORMALISATIONS)
    values = {"iterations": 3, "gaussian_sxy": 2, "gaussian_compat": 0, "bilateral_sxy": 8.5, "bilateral_srgb": 4}
    values |= {"bilateral_compat": 7.5, "normalisation": "before", "gt_prob": 0.6}
    crf = parse_config(with_crf(merged_config(), **values, search=None, drop_below=0.01)).systems[TUNED].crf
    assert crf.given == values
    assert list(crf.given) == list(PARAMETERS)


def test_the_tuning_pictures_have_a_name(merged_config):
    search = parse_config(merged_config()).systems[TUNED].crf.search
    assert (search.part.split, search.tune_on) == (f"voc_train_{search.pictures}", "voc_train")
    search = parse_config(searching(merged_config(), pictures=None)).systems[TUNED].crf.search
    assert search.part.split == "voc_train"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"iterations": 0}, ["crf.iterations", "greater than 0"]),
        ({"bilateral_srgb": 0.009}, ["crf.bilateral_srgb", "greater than or equal to 0.01"]),
        ({"bilateral_sxy": 1e4, "search": None}, ["crf.bilateral_sxy", "less than or equal to 1000"]),
        ({"gaussian_compat": -1}, ["crf.gaussian_compat", "greater than or equal to 0"]),
        ({"normalisation": "l2"}, ["crf.normalisation", "'symmetric'"]),
        ({"gt_prob": 1.0}, ["crf.gt_prob", "less than 1"]),
        ({"gt_prob": 0.5}, ["crf.gt_prob", "greater than 0.5, not 0.5"]),
        ({"drop_below": 1.0}, ["crf.drop_below", "less than 1"]),
        ({"iteration": 5}, ["crf.iteration", "did you mean 'iterations'"]),
        ({"bilateral_sxy": 30}, ["crf.bilateral_sxy: is searched too"]),
        ({"members": []}, ["crf.members", "give 1 or more"]),
        ({"members": ["ghost"]}, ["crf.members", "'ghost' names no system"]),
    ],
)
def test_a_faulty_parameter_is_named_with_its_full_path(merged_config, changes, parts):
    with pytest.raises(UserError) as caught:
        parse_config(with_crf(merged_config(), **changes))
    assert all(part in str(caught.value) for part in [f"config: systems.{TUNED}.", *parts]), caught.value


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"tune_on": "voc_val"}, ["tune_on: 'voc_val' is scored too"]),
        ({"tune_on": "voc_trian"}, ["tune_on: 'voc_trian' names no dataset"]),
        ({"tune_on": "voc_test"}, ["tune_on: 'voc_test' has no masks"]),
        ({"tune_on": "coco90"}, ["tune_on: 'coco90' has other labels"]),
        ({"pictures": 0}, ["search.pictures"]),
        ({"gt_prob": [0.7, 0.5]}, ["search.gt_prob.1", "greater than 0.5, not 0.5"]),
        ({"method": "random"}, ["search.trials: 'method: random' needs it"]),
        ({"trials": 5}, ["search.trials"]),
        ({"method": "random", "trials": 5, "gaussian_compat": [0, 3]}, ["gaussian_compat: 'method: random' draws"]),
        ({"bilateral_sxy": [], "bilateral_srgb": None}, ["search.bilateral_sxy"]),
        ({"bilateral_sxy": [30, 30], "bilateral_srgb": None}, ["no parameter has two values"]),
    ],
)
def test_a_faulty_search_is_named_with_its_full_path(merged_config, changes, parts):
    with pytest.raises(UserError) as caught:
        parse_config(searching(merged_config(), **changes))
    assert all(part in str(caught.value) for part in [f"config: systems.{TUNED}.crf.search", *parts]), caught.value


def test_an_overlay_can_null_an_entry_of_a_nested_table(merged_config):
    config = merged_config("full")
    config["systems"]["deeplabv3_trainaug"]["published"]["voc_val"] = None
    assert parse_config(config).systems["deeplabv3_trainaug"].published == {}
    config["systems"]["deeplabv3_trainaug"]["published"] = 5
    with pytest.raises(UserError, match=r"systems\.deeplabv3_trainaug\.published"):
        parse_config(config)
