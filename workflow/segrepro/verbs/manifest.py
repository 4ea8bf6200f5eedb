"""Write the manifest of a named dataset from the dataset folders that the converters wrote.

  segrepro manifest trainaug --voc data/voc2012 --sbd data/sbd --out data/manifests/trainaug.csv

  voc_train, voc_val, voc_trainval   VOC 2012's own lists                                     --voc
  trainaug       (VOC train + SBD train and val) - VOC val; VOC masks where there are any     --voc --sbd
  sbd_train      SBD's train list (FCN); it shares pictures with VOC val                      --sbd
  seg11valid     VOC val pictures that are not in SBD train                                   --voc --sbd
  coco20, coco90           COCO train2017, VOC's 20 classes or COCO's own category ids        --coco
  coco20_val, coco90_val   the same of COCO val2017                                           --coco
  voc_test       VOC 2012 test, pictures only                                                 --voc-test

Every listed picture and mask must exist. seg11valid from VOC 2012 alone is a superset of the 736 pictures on
which FCN was scored, which are of VOC 2011 val: name that list with --voc2011-val and they come out exactly.
"""

import argparse

from segrepro.data.datasets import DATASETS, FOLDERS, build_dataset
from segrepro.options import INPUT, OUTPUT
from segrepro.stores.manifests import write_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", choices=list(DATASETS), metavar="NAME", help="the dataset, see above")
    add("--out", type=OUTPUT, required=True, metavar="X.csv", help="the manifest to write")
    for option in dict.fromkeys(folder.option for folder in FOLDERS.values()):
        written = " or ".join(f.path for f in FOLDERS.values() if f.option == option)
        add(option, type=INPUT, metavar="DIR", help=f"dataset folder {written}")
    what = "for seg11valid: VOC 2011's ImageSets/Segmentation/val.txt, or FCN's seg11valid.txt"
    add("--voc2011-val", type=INPUT, metavar="FILE", help=what)


def run(args: argparse.Namespace) -> None:
    given = vars(args)
    folders = {key: given[folder.option.removeprefix("--").replace("-", "_")] for key, folder in FOLDERS.items()}
    write_manifest(args.out, build_dataset(args.name, folders | {"voc2011_val": args.voc2011_val}))
