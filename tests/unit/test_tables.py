"""The comparison tables: columns, order, rounding, and what is published beside what is measured."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.labels import COCO91, VOC21
from segrepro.report.printed import csv_rows
from segrepro.report.results import Published, add_difference, join
from segrepro.report.tables import TABLES

HEADER = (
    "system,split,leaks,miou,pixel_accuracy,mean_accuracy,fw_iou,"
    "published_miou,published_pixel_accuracy,published_source,difference,pictures,classes,miou_low,miou_high,spec"
)


def entry(system="net", split="voc_val", space=VOC21, **values):
    per_class = {space.classes[label]: 0.5 for label in space.used_labels}
    return {
        "system": system,
        "split": split,
        "label_space": space.name,
        "pictures": 1449,
        "classes": 21,
        "miou": 0.76424,
        "pixel_accuracy": 0.9445,
        "mean_accuracy": 0.87654,
        "fw_iou": 0.9,
        "per_class_iou": per_class,
        **values,
    }


def run(folder, *entries, published=None):
    """Write the inputs, run the verb; return the rows of both tables."""
    files = []
    for number, value in enumerate(entries):
        files.append(folder / f"m{number}.json")
        files[-1].write_text(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
    options = []
    if published is not None:
        (folder / "published.json").write_text(json.dumps(published))
        options = ["--published", str(folder / "published.json")]
    tables = [folder / "miou.csv", folder / "per_class_iou.csv"]
    main(["table", "miou", "--metrics", *map(str, files), *options, "--out", str(tables[0])])
    main(["table", "per_class_iou", "--metrics", *map(str, files), "--out", str(tables[1])])
    return [list(csv.DictReader(table.open(newline=""))) for table in tables]


def error_of(folder, *entries, published=None):
    with pytest.raises(SystemExit) as stopped:
        run(folder, *entries, published=published)
    assert {path.suffix for path in folder.iterdir()} <= {".json"}
    return stopped.value.code


def test_the_main_table_is_tidy_in_percent_with_the_agreed_columns(tmp_path):
    published = {"net": {"voc_val": {"miou": 76.4, "pixel_accuracy": 94.45, "source": "report 2, table 3"}}}
    run(tmp_path, entry(), published=published)
    assert (tmp_path / "miou.csv").read_bytes().decode() == (
        f'{HEADER}\nnet,voc_val,,76.42,94.45,87.65,90.00,76.40,94.45,"report 2, table 3",0.02,1449,21,,,\n'
    )
    assert ",".join(column.name for column in TABLES["miou"].columns) == HEADER


def test_what_is_not_published_stays_empty(tmp_path):
    published = {"net": {"voc_test": {"miou": 75.72}}, "other": {"voc_val": {"miou": 1}}}
    (row,), _ = run(tmp_path, entry(), published=published)
    assert [row[key] for key in row if key.startswith("published") or key == "difference"] == [""] * 4
    (row,), _ = run(tmp_path, entry(), published={"net": {"voc_val": {"miou": None, "source": "paper"}}})
    assert (row["published_miou"], row["published_source"], row["difference"]) == ("", "paper", "")
    (row,), _ = run(tmp_path, entry())
    assert row["difference"] == ""


def test_the_share_of_pictures_seen_before_stands_beside_the_score():
    marks = {"net": {"voc_val": 1 / 3}, "clean": {"voc_val": 0.0}}
    assert list(join([entry(), entry("clean")], marks=marks)["leaks"]) == ["33.33", ""]
    with pytest.raises(UserError, match="'unheard'"):
        join([entry("unheard")], marks=marks)


def test_rows_keep_the_order_of_the_command_line(tmp_path):
    rows, per_class = run(tmp_path, entry("z"), entry("a"), entry("a", split="sample_val"))
    pairs = [("z", "voc_val"), ("a", "voc_val"), ("a", "sample_val")]
    assert [(row["system"], row["split"]) for row in rows] == pairs
    assert [(row["system"], row["split"]) for row in per_class] == pairs


@given(measured=st.floats(0, 1), published=st.integers(0, 10000).map(lambda n: n / 100))
def test_the_difference_is_that_of_the_printed_numbers(measured, published):
    stated = Published.model_validate({"net": {"voc_val": {"miou": published}}})
    (row,) = csv_rows(TABLES["miou"].columns, add_difference(join([entry(miou=measured)], published=stated)))
    hundredths = [round(float(row[key]) * 100) for key in ("miou", "published_miou", "difference")]
    assert hundredths[2] == hundredths[0] - hundredths[1]
    assert row["difference"] != "-0.00"


def test_the_class_table_has_the_classes_in_label_order_and_gaps_for_absent_ones(tmp_path):
    values = entry()
    values["per_class_iou"] |= {"cat": 0.98765, "dog": None}
    _, (row,) = run(tmp_path, values)
    assert list(row) == ["system", "split", "leaks", *VOC21.classes]
    assert (row["cat"], row["dog"], row["sofa"]) == ("98.77", "", "50.00")


def test_classes_of_another_label_space_are_added_once(tmp_path):
    _, rows = run(tmp_path, entry("a"), entry("b", space=COCO91))
    columns = list(rows[0])
    assert columns[:24] == ["system", "split", "leaks", *VOC21.classes]
    assert len(columns) == len(set(columns))
    assert (rows[0]["zebra"], rows[1]["zebra"], rows[1]["aeroplane"]) == ("", "50.00", "")


def test_metrics_that_cannot_be_used_are_named(tmp_path):
    broken = entry()
    del broken["fw_iou"]
    assert "m0.json: key 'fw_iou' is missing" in error_of(tmp_path, broken)
    assert "m0.json: not a mapping" in error_of(tmp_path, "[1]")
    assert "m0.json: not JSON" in error_of(tmp_path, "{")
    assert "m1.json: system 'net' on 'voc_val' was given before by" in error_of(tmp_path, entry(), entry())


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ({"net": {"voc_val": {"mIoU": 76}}}, "net.voc_val.mIoU: unknown key; did you mean 'miou'?"),
        ({"net": {"voc_val": {"miou": "76"}}}, "net.voc_val.miou: input should be a valid number, not '76'"),
        ({"net": {"voc_val": {"miou": 101}}}, "less than or equal to 100, not 101; give percent"),
        ({"net": {"voc_val": {"miou": True}}}, "net.voc_val.miou: input should be a valid number, not True"),
        ({"net": {"voc_val": {"source": 3}}}, "net.voc_val.source: input should be a valid string, not 3"),
        ({"net": {"voc_val": 76.42}}, "net.voc_val: input should be"),
        ([], "published.json: not a mapping"),
    ],
)
def test_published_values_that_cannot_be_used_are_named(tmp_path, published, message):
    assert message in error_of(tmp_path, entry(), published=published)
