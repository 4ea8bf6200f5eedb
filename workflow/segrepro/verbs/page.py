r"""Assemble the report page: one folder that opens from disk and can be zipped and sent.

Writes index.html with all tables, figures, the explorer (for the splits that `segrepro page-pictures` has packed into
the same folder), the config, the provenance, the run times and two graphs. Nothing is loaded from a network.

  segrepro page --results results --tables results/tables/*.csv --figures results/figures/*.png \
      --pictures results/report/pictures/voc_val --config results/config.json --out results/report
"""

import argparse

from segrepro.options import INPUT, SharedFolder
from segrepro.report.measured_on import add_measured_on_option

PAGE = SharedFolder(replaced=("assets", "tables", "figures"), mark="assets/explorer.js")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--results", type=INPUT, required=True, metavar="DIR", help="the folder that holds tables/ and figures/"
    )
    parser.add_argument("--tables", type=INPUT, nargs="*", default=[], metavar="CSV", help="tables to show")
    parser.add_argument("--figures", type=INPUT, nargs="*", default=[], metavar="PNG", help="figures to show")
    parser.add_argument(
        "--pictures", type=INPUT, nargs="*", default=[], metavar="DIR", help="packed splits, inside --out"
    )
    parser.add_argument("--config", type=INPUT, required=True, metavar="JSON", help="the run's config")
    parser.add_argument("--provenance", type=INPUT, metavar="JSON", help="commits, versions, hardware: any mapping")
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument("--lineage", type=INPUT, metavar="JSON", help="what each system is made of, to draw")
    parser.add_argument("--rule-graph", type=INPUT, metavar="DOT", help="output of snakemake --rulegraph dot, to draw")
    parser.add_argument("--benchmarks", type=INPUT, metavar="DIR", help="Snakemake's benchmark files: run times")
    parser.add_argument(
        "--jobs",
        nargs="+",
        metavar="NAME",
        help="which of them: files below --benchmarks without .tsv, * for any text (default: all)",
    )
    add_measured_on_option(parser)
    parser.add_argument("--out", type=PAGE, required=True, metavar="DIR", help="the page's folder")


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    from segrepro.report.page.assemble import write_page

    write_page(args)
