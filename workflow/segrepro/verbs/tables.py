r"""Collect metrics into the comparison tables, each as CSV, Markdown and LaTeX.

Rows are in the order given, values in percent with two decimals. `leaks` is the share of the scored pictures that were
seen in the system's making, where `segrepro audit` found any; Markdown and LaTeX have a dagger instead, and say what
was measured where that is not the experiment as published (--measured-on).
  miou           mIoU with its interval, pixel and mean accuracy, frequency-weighted IoU, beside the reported values
  per_class_iou  the IoU of each class
  report2        report 2's own table: reported and measured
  voc2012_test   published results on VOC 2012 test, and the VOC server's answers that were declared
  crf            before and after each CRF, the gain and its paired interval
  ablation       differences to the baselines that were declared
  paired         differences between every two systems of a split
  reproduction   whether this run agrees with other seeds and with the reported values

  segrepro tables --metrics results/metrics/*/voc_val.json --reported reported.json \
      --statistics results/statistics.json --declared results/metrics/declared.json --out results/tables

The reported values are a JSON in percent:
  {"deeplabv3_trainaug": {"voc_val": {"miou": 76.42, "pixel_accuracy": 94.45, "source": "report 2"}}}
Without --statistics there are no intervals, and no tables that are made of them (crf, ablation,
paired, reproduction).
"""

import argparse

from segrepro.config.tables import StatisticsSettings
from segrepro.options import INPUT, NOT_NEGATIVE, SHARED_FOLDER
from segrepro.report.measured_on import add_measured_on_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--metrics", type=INPUT, nargs="+", required=True, metavar="JSON", help="metrics files, in row order"
    )
    parser.add_argument("--reported", type=INPUT, metavar="JSON", help="what reports and papers state")
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument("--statistics", type=INPUT, metavar="JSON", help="intervals (segrepro statistics)")
    parser.add_argument("--declared", type=INPUT, metavar="JSON", help="CRFs, ablations, server answers, spec hashes")
    add_measured_on_option(parser)
    parser.add_argument(
        "--seed-deviation",
        type=NOT_NEGATIVE,
        default=StatisticsSettings().seed_deviation,
        metavar="POINTS",
        help="standard deviation of mIoU over seeds where none was measured (default: %(default)s)",
    )
    parser.add_argument("--out", type=SHARED_FOLDER, required=True, metavar="FOLDER", help="folder of the tables")


def run(args: argparse.Namespace) -> None:
    """Build all tables, then write them: a fault leaves none behind."""
    from segrepro.evaluation.leakage import read_marks
    from segrepro.evaluation.statistics import read_statistics
    from segrepro.report.declared import Declared, read_declared
    from segrepro.report.difference_tables import Pairs, ablation_table, crf_table, paired_table
    from segrepro.report.main_tables import miou_table, per_class_table
    from segrepro.report.measured_on import with_note
    from segrepro.report.printed import write_forms
    from segrepro.report.published import report2_table, voc_test_table
    from segrepro.report.reproduction import read_spreads, reproduction_table
    from segrepro.report.tables import read_metrics, read_reported

    metrics = read_metrics(args.metrics)
    reported = read_reported(args.reported) if args.reported else {}
    marks = read_marks(args.leakage) if args.leakage else None
    statistics = read_statistics(args.statistics) if args.statistics else None
    declared = read_declared(args.declared) if args.declared else Declared()
    tables = [
        miou_table(metrics, reported, declared, marks=marks, statistics=statistics),
        per_class_table(metrics, marks=marks),
        report2_table(metrics, declared, marks=marks, measured_on=args.measured_on),
    ]
    if statistics:
        pairs = Pairs(metrics, statistics, marks)
        tables += [
            crf_table(pairs, declared, statistics),
            ablation_table(pairs, declared, statistics),
            paired_table(pairs, statistics),
        ]
    tables = [with_note(table, args.measured_on) for table in tables]
    if statistics:
        options = {"seed_deviation": args.seed_deviation, "marks": marks, "measured_on": args.measured_on}
        tables.append(reproduction_table(metrics, reported, declared, read_spreads(), statistics, **options))
    tables.append(voc_test_table(declared))  # answers of the VOC server: nothing measured here
    for table in tables:
        write_forms(args.out, table)
