r"""Pack a system's predictions of VOC's test pictures for the evaluation server.

The archive holds results/VOC2012/Segmentation/comp{5,6}_test_cls/<id>.png: palette PNGs in VOC's colours and the
pictures' own sizes. Competition 5 is for systems made from VOC's own trainval data alone, 6 for all others (SBD, COCO,
pretrained weights); the workflow derives it from the config. --entry writes what is to be kept of a submission:
competition, sources, checksum of the archive and provenance. `segrepro check-submission` finds mistakes.

  segrepro submission --scores results/scores/fcn8s/voc_test.h5 --manifest data/manifests/voc_test.csv \
      --competition 6 --out results/submission/fcn8s/results.tar.gz
"""

import argparse

from segrepro.options import INPUT, OUTPUT, POSITIVE
from segrepro.provenance.results import add_arguments as add_provenance_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scores", type=INPUT, required=True, metavar="H5", help="score store of the system")
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the test pictures")
    add("--competition", type=int, required=True, choices=(5, 6), help="5: VOC's own data only; 6: any")
    add("--sources", nargs="*", default=[], help="what else than VOC's own data went into it, for --entry")
    add("--out", type=OUTPUT, required=True, metavar="TAR.GZ", help="archive to write")
    add("--entry", type=OUTPUT, metavar="JSON", help="also write what is to be kept of the submission")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")
    add_provenance_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from segrepro.files import file_digest, write_json
    from segrepro.provenance.results import provenance
    from segrepro.report.submission import pack
    from segrepro.stores.scores import ScoreReader

    with ScoreReader(args.scores) as reader:
        system, origin = reader.system, provenance(args, written=reader.code)
    count = pack(args.scores, args.manifest, args.out, competition=args.competition, threads=args.threads)
    if args.entry:
        content = {"system": system, "competition": args.competition, "sources_beside_voc": args.sources}
        content |= {"pictures": count, "archive_sha256": file_digest(args.out), "provenance": origin}
        write_json(args.entry, content)
    print(f"{args.out}: {count} pictures for competition {args.competition}")
