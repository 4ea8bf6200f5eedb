"""The table that compares a run with other seeds and with what is published."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segrepro.cli import main
from segrepro.config import parse_config
from segrepro.labels import VOC_CLASSES
from segrepro.report.reproduction import SPREAD_TYPES, compare, read_spreads
from segrepro.report.results import PAIR
from segrepro.report.systems import systems_of

SEEDS = [57.0, 58.0, 59.0, 60.0, 61.0]
PUBLISHED = {"miou": 61.0, "source": "a paper"}
SETTINGS = "same"


def spread(seeds=SEEDS, settings=SETTINGS) -> pd.DataFrame:
    """The spread of a system over seeds, as in spread.csv."""
    numbers = {"seeds": float(len(seeds)), "mean": np.mean(seeds), "deviation": np.std(seeds, ddof=1)}
    return pd.DataFrame(
        [{"system": "one", "split": "voc_val", "settings": settings, "commit": "abc1234"} | numbers],
    )


def compared(miou: float, *, published=None, spreads=None, trained=True, **options) -> pd.Series:
    """Compare a system of this mIoU, whose interval reaches from 3 below to 2 above."""
    row = {"system": "one", "split": "voc_val", "settings": SETTINGS, "trained": trained, "miou": miou}
    row |= {"miou_low": miou - 3, "miou_high": miou + 2}
    row |= {f"published_{key}": (published or {}).get(key) for key in ("miou", "source", "differs")}
    known = pd.DataFrame(columns=list(SPREAD_TYPES)).astype(SPREAD_TYPES) if spreads is None else spreads
    return compare(pd.DataFrame([row]), known, **{"seed_deviation": 0.0} | options).iloc[0]


@pytest.mark.parametrize(("miou", "verdict"), [(59.0, "within"), (54.0, "below"), (64.0, "above")])
def test_a_run_is_compared_with_the_interval_of_one_more_seed(miou, verdict):
    row = compared(miou, spreads=spread())
    assert (row["spread"], row["seeds"], row["spread_mean"]) == (verdict, 5, 59)
    half = stats.t.ppf(0.975, 4) * np.std(SEEDS, ddof=1) * np.sqrt(1.2)
    assert row["spread_low"] == pytest.approx(59 - half)
    assert row["spread_high"] == pytest.approx(59 + half)


def test_the_interval_of_seeds_holds_one_more_seed_95_times_of_100():
    draws = np.random.default_rng(0).normal(50, 2, (4000, 6))
    known = pd.concat([spread(draw[:5]).assign(system=str(number)) for number, draw in enumerate(draws)])
    results = pd.DataFrame({"system": known["system"], "split": "voc_val", "settings": SETTINGS, "miou": draws[:, 5]})
    results[["published_miou", "published_differs"]] = None
    results = results.assign(miou_low=results["miou"], miou_high=results["miou"], trained=True)
    rows = compare(results, known, seed_deviation=0.0)
    assert (rows["spread"] == "within").mean() == pytest.approx(0.95, abs=0.011)


def test_the_spread_of_every_system_of_the_sample_is_known(merged_config):
    """After a new config key whose default changes no number: `python benchmarks/spread.py` gives it the new hashes."""
    spreads, config = read_spreads(), parse_config(merged_config("sample"))
    expected = {
        (system.name, split, system.settings)
        for system in systems_of(config).systems
        for split in config.systems[system.name].splits
    }
    assert set(spreads[[*PAIR, "settings"]].itertuples(index=False, name=None)) == expected
    assert (spreads["seeds"] >= 4).all()
    assert (spreads["deviation"] > 0).all()


def test_other_settings_are_not_compared():
    assert compared(59.0, spreads=spread(settings="other settings"))["spread"] == "not measured"


@pytest.mark.parametrize(
    ("miou", "options", "verdict"),
    [
        (60.0, {}, "yes"),
        (58.5, {}, "no, below"),  # the interval of pictures reaches 60.5
        (58.5, {"seed_deviation": 0.6}, "yes"),  # sqrt(2.0 ** 2 + (1.96 * sqrt(2) * 0.6) ** 2) = 2.6
        (58.5, {"seed_deviation": 0.6, "trained": False}, "no, below"),  # released weights know no seed
        (58.5, {"spreads": spread()}, "yes"),
        (64.5, {}, "no, above"),
    ],
)
def test_a_published_value_is_met_within_pictures_and_seeds(miou, options, verdict):
    row = compared(miou, published=PUBLISHED, **options)
    assert row["reproduced"] == verdict
    assert row["difference"] == pytest.approx(miou - 61)


def test_another_experiment_is_said_to_be_one():
    row = compared(61.0, published=PUBLISHED | {"differs": "ResNet-v1"})
    assert (row["reproduced"], row["why"]) == ("another experiment", "ResNet-v1")


def test_a_difference_without_words_is_none():
    assert compared(61.0, published=PUBLISHED | {"differs": ""})["reproduced"] == "yes"


def test_what_is_not_published_has_no_verdict():
    assert compared(61.0, published={"differs": "ResNet-v1"})["reproduced"] == ""


def test_the_sample_is_not_compared_with_what_is_published():
    row = compared(61.0, published=PUBLISHED, measured_on="generated")
    assert row["reproduced"] == "not comparable"
    assert "difference" not in row


@pytest.mark.parametrize(("kind", "printed"), [("published", "another experiment: ResNet-v1"), ("generated", "–")])
def test_the_printed_table_says_why_and_notes_what_was_measured(tmp_path, kind, printed):
    entry = {"system": "one", "split": "voc_val", "label_space": "voc21", "pictures": 5, "classes": 21, "miou": 0.61}
    entry |= {"pixel_accuracy": 0.9, "mean_accuracy": 0.8, "fw_iou": 0.7, "per_class_iou": dict.fromkeys(VOC_CLASSES)}
    one = {"one": {"value": 0.61, "low": 0.58, "high": 0.63}}
    split = {"pictures": 5, "systems": one, "differences": {}}
    inputs = {
        "metrics": entry,
        "published": {"one": {"voc_val": PUBLISHED | {"differs": "ResNet-v1"}}} if kind == "published" else {},
        "statistics": {"method": "BCa", "resamples": 9, "confidence": 0.95, "seed": 0, "splits": {"voc_val": split}},
    }
    words = ["table", "reproduction", "--measured-on", kind, "--out", str(tmp_path / "r.md")]
    for name, content in inputs.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        words += [f"--{name}", str(tmp_path / f"{name}.json")]
    main(words)
    text = (tmp_path / "r.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("| one"))
    assert line.split("|")[-2].strip() == printed
    assert ("not comparable" in text) == (kind == "generated")


def test_the_settings_hash_is_that_of_all_seeds_and_published_weights_have_none(merged_config):
    one, other = merged_config("full"), merged_config("full") | {"seed": 7}
    found, seven = systems_of(parse_config(one)), systems_of(parse_config(other))
    assert [each.settings for each in found.systems] == [each.settings for each in seven.systems]
    assert [each.spec for each in found.systems] != [each.spec for each in seven.systems]
    assert {each.name for each in found.systems if not each.trained} == {
        "deeplabv3plus_released_trainaug",
        "deeplabv3plus_released_trainaug_ms_flip",
        "deeplabv3plus_released_trainval",
        "deeplabv3_mnv2_released_trainaug",
        "deeplabv3_mnv2_released_trainaug_ms_flip",
        "deeplabv3_mnv2_released_trainval",
        "deeplabv3_mnv2_dm05_released_trainaug",
        "deeplabv3_mnv2_dm05_released_trainval",
    }
