"""Published results: the data files beside this module, each number with its source, and the tables made of them.

``published.csv``, in percent: ``method`` as its source calls it, ``split`` in this project's words, ``miou``,
``pixel_accuracy`` (empty where not stated), ``source``, ``reference`` (where to find it), ``system`` (the entry of
config.yaml that does the same; empty for none), ``note``. ``published_per_class.csv``: the IoU of each class, where
known; its columns ``method``, ``split`` and ``source`` are those of a row of the other file.
"""

import csv
from dataclasses import dataclass
from importlib import resources

from segrepro.config.data import PicturesKind
from segrepro.config.tables import Server
from segrepro.evaluation.leakage import Marks
from segrepro.labels import VOC_CLASSES
from segrepro.report.declared import Declared
from segrepro.report.main_tables import SHORT_CLASSES, one_decimal
from segrepro.report.measured_on import PICTURES, PUBLISHED
from segrepro.report.numbers import leak_mark, or_dash
from segrepro.report.printed import LEAK_NOTE, NOTHING, Part, Table
from segrepro.report.tables import Metrics, leaks, percent

REPORT2 = "report 2"
TEST, VAL = "voc_test", "voc_val"
# Words of `report2_table`, by which the page too knows what leaks.
MEASURED, TEST_MIOU, LEAKS = "measured", "test mIoU", "leaks"
THIS_RUN = "this run, VOC server"


@dataclass(frozen=True)
class Published:
    """What a paper, a report or a release says of a method on a split.

    Attributes:
        method: its name there.
        split: the split, in this project's words.
        miou: percent, as printed.
        pixel_accuracy: percent, as printed; empty where not stated.
        source: paper, report or release.
        reference: where to find it.
        system: the system of config.yaml that does the same; empty for none.
        note: what else must be known of the number.
        per_class: class -> percent as printed; empty where not known.
    """

    method: str
    split: str
    miou: str
    pixel_accuracy: str
    source: str
    reference: str
    system: str
    note: str
    per_class: dict[str, str]


def published() -> list[Published]:
    """Read the data files, in their order."""
    classes = {
        (row["method"], row["split"], row["source"]): {name: row[name] for name in VOC_CLASSES}
        for row in _rows("published_per_class.csv")
    }
    return [
        Published(**row, per_class=classes.get((row["method"], row["split"], row["source"]), {}))
        for row in _rows("published.csv")
    ]


def _rows(name: str) -> list[dict[str, str]]:
    with resources.files("segrepro.report").joinpath(name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def report2_table(
    metrics: list[Metrics], declared: Declared, *, marks: Marks | None = None, measured_on: PicturesKind = PUBLISHED
) -> Table:
    """Build ``report2`` as report 2 has it, criteria as rows and models as columns: what it says, what was measured.

    In the CSV a last row, ``leaks``, has the share of the pictures of val that each system has seen.
    """
    said = [row for row in published() if row.source == REPORT2]
    by_split = {split: {row.method: row for row in said if row.split == split} for split in (VAL, TEST)}
    systems = {row.method: row.system for row in said}
    measured = {entry["system"]: entry for entry in metrics if entry["split"] == VAL}

    def lines(criterion: str, split: str, key: str, values: dict[str, str]) -> list[dict[str, str]]:
        reported = {m: getattr(by_split[split][m], key) if m in by_split[split] else "" for m in systems}
        return [
            {"criterion": criterion, "origin": "reported"} | reported,
            {"criterion": criterion, "origin": MEASURED} | {m: values.get(s, "") for m, s in systems.items()},
        ]

    rows = [
        *lines("mIoU", VAL, "miou", {name: percent(entry["miou"]) for name, entry in measured.items()}),
        *lines(
            "pixel accuracy",
            VAL,
            "pixel_accuracy",
            {name: percent(entry["pixel_accuracy"]) for name, entry in measured.items()},
        ),
        *lines(TEST_MIOU, TEST, "miou", {name: f"{answer.miou:.2f}" for name, answer in declared.answers.items()}),
    ]
    shares = {m: leaks(measured[s], marks) for m, s in systems.items() if s in measured}
    leaking = {m: leak_mark(share) for m, share in shares.items()}
    others, ours = "", ", on VOC 2012 val"
    if measured_on in PICTURES:
        others, ours = " on VOC 2012 val", f" on {PICTURES[measured_on]},"
    cells = [
        [row["criterion"] if row["origin"] == "reported" else "", row["origin"]]
        + [_marked(row, method, leaking) for method in systems]
        for row in rows
    ]
    return Table(
        name="report2",
        title=f"Report 2: reported{others} and measured{ours} unless said, in percent",
        columns=("criterion", "origin", *systems),
        rows=[*rows, {"criterion": LEAKS, "origin": MEASURED} | {m: shares.get(m, "") for m in systems}],
        parts=[Part("", ("assessment criterion", "", *systems), cells)],
        notes=[
            "Measured by the systems " + ", ".join(systems.values()) + ", in this order. Test mIoU is the VOC server's "
            "answer, where the config has it.",
            LEAK_NOTE,
        ],
    )


def _marked(row: dict[str, str], method: str, leaking: dict[str, str]) -> str:
    """Return a cell of `report2_table`; only what was measured on val is known to leak."""
    mark = leaking.get(method, "") if row["origin"] == MEASURED and row["criterion"] != TEST_MIOU else ""
    return or_dash(row[method] and row[method] + mark)


def voc_test_table(declared: Declared) -> Table:
    """Build ``voc2012_test``: the DeconvNet paper's comparison and other published results, then this run's own."""
    rows = [
        {"method": row.method, "source": row.source, "reference": row.reference, "system": row.system}
        | {name: row.per_class.get(name, "") for name in VOC_CLASSES}
        | {"miou": row.miou, "note": row.note}
        for row in published()
        if row.split == TEST
    ]
    rows += [_answered(system, answer) for system, answer in declared.answers.items()]
    cells = [
        [row["method"], row["source"], *(or_dash(one_decimal(row[name])) for name in (*VOC_CLASSES, "miou"))]
        for row in rows
    ]
    return Table(
        name="voc2012_test",
        title="VOC 2012 test: IoU of each class and their mean, in percent",
        columns=("method", "source", "reference", "system", *VOC_CLASSES, "miou", "note"),
        rows=rows,
        parts=[Part("", ("method", "source", *(SHORT_CLASSES[name] for name in VOC_CLASSES), "mean"), cells)],
        notes=[
            "Rows of this run are answers of the VOC server, from `server` of a system in the config."
            if declared.answers
            else "No row of this run: enter the VOC server's answer as `server` of a system in the config.",
            f"{NOTHING} not known. Published class values agree with their published mean; compare them with the paper "
            "before you cite them.",
        ],
    )


def _answered(system: str, answer: Server) -> dict[str, str]:
    return (
        {"method": system, "source": THIS_RUN, "reference": answer.url or "", "system": system}
        | {name: f"{answer.per_class[name]:.2f}" if name in answer.per_class else "" for name in VOC_CLASSES}
        | {"miou": f"{answer.miou:.2f}", "note": ""}
    )
