"""The table that compares a run with other seeds and with what is reported."""

import numpy as np
import pytest
from scipy import stats

from segrepro.config import parse_config
from segrepro.evaluation.statistics import Difference, Estimate, SplitStatistics, Statistics
from segrepro.report.declared import Declared, DeclaredSystem, declared
from segrepro.report.reproduction import Spread, reproduction_table

SEEDS = [57.0, 58.0, 59.0, 60.0, 61.0]
SPREAD = Spread(5, float(np.mean(SEEDS)), float(np.std(SEEDS, ddof=1)), "abc1234")
REPORTED = {"one": {"voc_val": {"miou": 61.0, "source": "a paper"}}}


def table(miou: float, *, reported=None, spreads=None, seed_deviation=0.0, trained=True, kind="published"):
    entry = {"system": "one", "split": "voc_val", "miou": miou / 100}
    statistics = Statistics(
        method="BCa",
        resamples=10,
        confidence=0.95,
        seed=0,
        splits={
            "voc_val": SplitStatistics(
                pictures=5,
                systems={"one": Estimate(value=miou / 100, low=miou / 100 - 0.03, high=miou / 100 + 0.02)},
                differences=dict[str, dict[str, Difference]](),
            )
        },
    )
    systems = Declared(systems=[DeclaredSystem(name="one", spec="s", settings="same", trained=trained)])
    options = {"seed_deviation": seed_deviation, "measured_on": kind}
    found = reproduction_table([entry], reported or {}, systems, spreads or {}, statistics, **options)
    return found, found.rows[0]


@pytest.mark.parametrize(("miou", "verdict"), [(59.0, "within"), (54.0, "below"), (64.0, "above")])
def test_a_run_is_compared_with_the_interval_of_one_more_seed(miou, verdict):
    _, row = table(miou, spreads={("one", "voc_val", "same"): SPREAD})
    assert (row["spread"], row["seeds"], row["spread_mean"]) == (verdict, "5", "59.00")
    half = stats.t.ppf(0.975, 4) * np.std(SEEDS, ddof=1) * np.sqrt(1.2)
    assert float(row["spread_low"]) == pytest.approx(59 - half, abs=0.006)


def test_the_interval_of_seeds_holds_one_more_seed_95_times_of_100():
    draws = np.random.default_rng(0).normal(50, 2, (4000, 6))
    held = 0
    for *seeds, further in draws:
        low, high = Spread(5, np.mean(seeds), np.std(seeds, ddof=1), "").interval
        held += low <= further <= high
    assert held / 4000 == pytest.approx(0.95, abs=0.011)


def test_other_settings_are_not_compared():
    _, row = table(59.0, spreads={("one", "voc_val", "other settings"): SPREAD})
    assert row["spread"] == "not measured"


@pytest.mark.parametrize(
    ("miou", "options", "verdict"),
    [
        (60.0, {}, "yes"),
        (58.5, {}, "no, below"),  # the interval of pictures reaches 60.5
        (58.5, {"seed_deviation": 0.6}, "yes"),  # sqrt(2.0 ** 2 + (1.96 * sqrt(2) * 0.6) ** 2) = 2.6
        (58.5, {"seed_deviation": 0.6, "trained": False}, "no, below"),  # released weights know no seed
        (58.5, {"spreads": {("one", "voc_val", "same"): SPREAD}}, "yes"),
        (64.5, {}, "no, above"),
    ],
)
def test_a_reported_value_is_met_within_pictures_and_seeds(miou, options, verdict):
    found, row = table(miou, reported=REPORTED, **options)
    assert row["reproduced"] == verdict
    assert float(row["difference"]) == pytest.approx(miou - 61)
    assert found.parts[0].cells[0][-1] == verdict


def test_another_experiment_is_said_to_be_one():
    stated = {"one": {"voc_val": REPORTED["one"]["voc_val"] | {"differs": "ResNet-v1"}}}
    found, row = table(61.0, reported=stated)
    assert (row["reproduced"], row["why"]) == ("another experiment", "ResNet-v1")
    assert found.parts[0].cells[0][-1] == "another experiment: ResNet-v1"


def test_the_sample_is_not_compared_with_what_is_reported():
    found, row = table(61.0, reported=REPORTED, kind="generated")
    assert row["reproduced"] == "not comparable"
    assert "difference" not in row
    assert any("not comparable" in note for note in found.notes)


def test_the_settings_hash_is_that_of_all_seeds_and_published_weights_have_none(merged_config):
    one, other = merged_config("full"), merged_config("full") | {"seed": 7}
    found, seven = declared(parse_config(one)), declared(parse_config(other))
    assert found.settings == seven.settings
    assert found.specs != seven.specs
    assert found.untrained == {
        "deeplabv3plus_released_trainaug",
        "deeplabv3plus_released_trainaug_ms_flip",
        "deeplabv3plus_released_trainval",
    }
