"""The command-line options that say how intervals are made."""

import argparse

from segrepro.config.tables import Bootstrap
from segrepro.options import add_options, section_of


def add_bootstrap_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of intervals."""
    add_options(parser, Bootstrap)


def bootstrap_of(args: argparse.Namespace) -> Bootstrap:
    """Return what the options say."""
    return section_of(args, Bootstrap)
