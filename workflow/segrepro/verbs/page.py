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
    add = parser.add_argument
    add("--results", type=INPUT, required=True, metavar="DIR", help="the folder that holds tables/ and figures/")
    add("--tables", type=INPUT, nargs="*", default=[], metavar="CSV", help="tables to show")
    add("--figures", type=INPUT, nargs="*", default=[], metavar="PNG", help="figures to show")
    add("--pictures", type=INPUT, nargs="*", default=[], metavar="DIR", help="packed splits, inside --out")
    add("--config", type=INPUT, required=True, metavar="JSON", help="the run's config")
    add("--provenance", type=INPUT, metavar="JSON", help="commits, versions, hardware: any mapping")
    add("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    add("--lineage", type=INPUT, metavar="JSON", help="what each system is made of, to draw")
    add("--rule-graph", type=INPUT, metavar="DOT", help="output of snakemake --rulegraph dot, to draw")
    add("--benchmarks", type=INPUT, metavar="DIR", help="Snakemake's benchmark files: run times")
    what = "which of them: files below --benchmarks without .tsv, * for any text (default: all)"
    add("--jobs", nargs="+", metavar="NAME", help=what)
    add_measured_on_option(parser)
    add("--out", type=PAGE, required=True, metavar="DIR", help="the page's folder")


def run(args: argparse.Namespace) -> None:
    from segrepro.report.page.assemble import write_page

    write_page(args)
