"""What the tables and the page say of the pictures that systems were measured on.

Numbers of the sample stand beside published ones in the same tables: these say that they must not be compared.
"""

import argparse

from segrepro.config.data import PICTURES_KINDS, PicturesKind

PUBLISHED: PicturesKind = "published"
# Where the config's published values are of the very networks and pictures that were measured.
COMPARABLE: tuple[PicturesKind, ...] = (PUBLISHED, "small")

# In a title, of report 2's table.
PICTURES: dict[PicturesKind, str] = {
    "generated": "generated pictures",
    "real_sample": "a sample of real pictures",
    "small": "the same pictures by smaller networks",
}

# Below each table with measured numbers.
NOTES: dict[PicturesKind, str] = {
    "generated": "Measured on generated pictures at sample scale, with shrunken networks: not comparable with the "
    "published values.",
    "real_sample": "Measured on real pictures, but at sample scale, with shrunken networks: not comparable with the "
    "published values.",
    "small": "Measured on real pictures at small scale, where networks that are trained are smaller than the published "
    "ones, and their schedules shorter: comparable with published values for released networks only.",
}

# At the head of the page.
REMARKS: dict[PicturesKind, str] = {
    "generated": "Shrunken networks on generated pictures: these numbers show that the chain works, not how good a "
    "system is.",
    "real_sample": "Shrunken networks on a sample of real pictures: these numbers are not comparable with those "
    "published.",
    "small": "Smaller networks and shorter trainings than published, on VOC's real pictures: of these numbers only "
    "those of released networks are comparable with published ones.",
}


def add_measured_on_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--measured-on``."""
    parser.add_argument(
        "--measured-on",
        choices=PICTURES_KINDS,
        default=PUBLISHED,
        help="what the numbers are of (default: the experiment as published); others are said not to be comparable",
    )
