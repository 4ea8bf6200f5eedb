"""Find the mistakes in an archive for VOC's evaluation server, before the server does.

Names each kind of mistake with its first file, the number of files and the remedy, and then exits with 1: not a tar.gz,
hostile entries, wrong names or folders, missing or extra pictures, RGB or grey levels instead of a palette, another
palette than VOC's, wrong sizes, labels above 20, void. Missing and extra pictures and sizes need --manifest; without it
there must be as many answers as VOC 2012 has test pictures, 1,456, unless --other-pictures says that others are meant.

Example: segrepro check-submission results.tar.gz --manifest data/manifests/voc_test.csv
"""

import argparse

from segrepro.options import INPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=INPUT, help="the tar.gz")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--manifest", type=INPUT, metavar="CSV", help="the test pictures")
    asked.add_argument(
        "--other-pictures", action="store_true", help="not VOC 2012's test set: any ids, and any number of them"
    )


def run(args: argparse.Namespace) -> None:
    from segrepro.report.submission_check import TEST_PICTURES, check_submission

    pictures = None if args.other_pictures else TEST_PICTURES
    competition, count = check_submission(args.archive, args.manifest, pictures=pictures)
    against = f"as {args.manifest} asks" if args.manifest else "ids and sizes not checked: give --manifest"
    print(f"{args.archive}: {count} answers for competition {competition}, {against}")
