"""Which pictures make which dataset: the registry behind the manifests. The rules read it: it imports nothing heavy.

Sources: trainaug and the official id hashes: the DeepLab papers' training list of 10,582 ids; seg11valid: the FCN
release (Long et al.), whose ``seg11valid.txt`` are the VOC 2011 val pictures that SBD train does not contain.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segrepro.data.id_lists import read_ids
from segrepro.errors import UserError
from segrepro.stores.manifests import Example

Folders = Mapping[str, Path]

VOC = "voc21"  # name of VOC's label space; segrepro.labels itself would load numpy
VOC2011_VAL = "VOC 2011's ImageSets/Segmentation/val.txt (or FCN's seg11valid.txt)"


@dataclass(frozen=True)
class Folder:
    """A dataset folder that a converter wrote."""

    path: str  # below the data folder
    option: str  # of ``segrepro manifest``, which names it
    archives: tuple[str, ...]  # of the config, that it is converted from; COCO's pictures before its annotations
    mem_mb: int = 2000  # what the conversion of the whole archive asks a cluster for, with 16 processes
    minutes: int = 120  # likewise

    @property
    def of_coco(self) -> bool:
        """Whether its pictures are COCO's."""
        return self.option == "--coco"


# A process that converts pictures of VOC or SBD holds 50 MB. COCO train2017: 18 GB of pictures, and a JSON of which the
# parent holds 1.7 GB (benchmarks/coco_conversion.py).
FOLDERS = {
    "voc2012": Folder("voc2012", "--voc", ("voc2012_trainval",)),
    "voc2012_test": Folder("voc2012_test", "--voc-test", ("voc2012_test",)),
    "sbd": Folder("sbd", "--sbd", ("sbd",)),
    "coco_train": Folder("coco2017/train2017", "--coco", ("coco2017_train", "coco2017_annotations"), 6000, 480),
    "coco_val": Folder("coco2017/val2017", "--coco", ("coco2017_val", "coco2017_annotations")),
}


@dataclass(frozen=True)
class Dataset:
    """A named dataset."""

    name: str  # of the manifest too
    needs: tuple[str, ...]  # keys of `FOLDERS`, in the order in which the pictures are looked for
    label_space: str | None  # of the masks; None where there are none
    build: Callable[[Folders], list[Example]]  # from the folders that it needs (and maybe ``voc2011_val``, a file)
    of_voc: str | None = None  # the dataset of its pictures of VOC, where these do not depend on the other folders

    @property
    def of_coco(self) -> bool:
        """Whether the pictures are COCO's: their ids never equal those of VOC and SBD, which share theirs."""
        return any(key.startswith("coco") for key in self.needs)

    @property
    def has_masks(self) -> bool:
        """Whether the pictures have ground truth."""
        return self.label_space is not None

    @property
    def answer_space(self) -> str:
        """Name of the label space that predictions are combined in: the masks', or VOC's where there are none."""
        return self.label_space or VOC


def build_dataset(name: str, folders: Folders) -> list[Example]:
    """List the examples of a dataset, sorted by id.

    ``folders`` are by the keys of `FOLDERS`; for seg11valid optionally ``voc2011_val``, a list file.

    Raises:
        UserError: a folder is not given, a list is missing, empty or malformed, a listed picture or mask is missing, or
            the lists contradict each other.
    """
    dataset = DATASETS[name]
    for key in dataset.needs:
        if folders.get(key) is None:
            raise UserError(
                f"dataset '{name}' needs the folder {FOLDERS[key].path}: give it with {FOLDERS[key].option} "
                f"(`segrepro convert {key}` writes it)."
            )
        # COCO's splits come by the same option: a swap would train on the pictures that are to score
        split, given = Path(FOLDERS[key].path).name, Path(folders[key])
        if any(given.name == Path(f.path).name != split for f in FOLDERS.values() if f.option == FOLDERS[key].option):
            raise UserError(f"{given}: this is the other split; give the folder {split} with {FOLDERS[key].option}.")
    examples = sorted(dataset.build(folders))
    if not examples:
        raise UserError(f"dataset '{name}' would have no pictures: check the id lists of {', '.join(dataset.needs)}.")
    return examples


def _list(folder: Path, name: str) -> list[str]:
    return read_ids(Path(folder) / "lists" / f"{name}.txt")


def _examples(folder: Path, ids: list[str], *, masks: str | None = "masks") -> list[Example]:
    """Make an example of each id; a folder is listed once instead of asking for each of COCO's 118,287 files."""
    folder = Path(folder)
    wanted = [("images", ".jpg", "picture")] + ([(masks, ".png", "mask")] if masks else [])
    for subfolder, suffix, what in wanted:
        try:
            names = {entry.name for entry in os.scandir(folder / subfolder)}
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{folder / subfolder}: no such folder; convert the source again.") from None
        missing = [picture for picture in ids if picture + suffix not in names]
        if missing:
            raise UserError(
                f"{folder / subfolder / (missing[0] + suffix)}: the {what} is missing, though a list names it "
                f"({len(missing)} missing in all); convert the source again."
            )
    return [Example(i, folder / "images" / f"{i}.jpg", folder / masks / f"{i}.png" if masks else None) for i in ids]


def _listed(key: str, name: str, *, masks: str | None = "masks") -> Callable[[Folders], list[Example]]:
    return lambda folders: _examples(folders[key], _list(folders[key], name), masks=masks)


def _voc_trainval(folders: Folders) -> list[Example]:
    voc = Path(folders["voc2012"])
    train, val, both = (_list(voc, name) for name in ("train", "val", "trainval"))
    odd = sorted(set(both) ^ (set(train) | set(val)))
    if odd:
        raise UserError(
            f"{voc / 'lists' / 'trainval.txt'}: not the union of train.txt and val.txt (picture '{odd[0]}', "
            f"{len(odd)} in all, differ); convert the source again."
        )
    return _examples(voc, both)


def _trainaug(folders: Folders) -> list[Example]:
    """(VOC train + SBD train and val) - VOC val: VOC's masks for VOC's ids, SBD's for the others."""
    voc, sbd = folders["voc2012"], folders["sbd"]
    train, val = _list(voc, "train"), _list(voc, "val")
    shared = sorted(set(train) & set(val))
    if shared:
        raise UserError(
            f"{Path(voc) / 'lists'}: picture '{shared[0]}' is in both train.txt and val.txt "
            f"({len(shared)} in all); convert the source again."
        )
    extra = (set(_list(sbd, "train")) | set(_list(sbd, "val"))) - set(train) - set(val)
    return _examples(voc, train) + _examples(sbd, sorted(extra))


def _seg11valid(folders: Folders) -> list[Example]:
    """VOC val pictures that are not in SBD train, with VOC's masks.

    FCN's 736 ids are VOC *2011* val (1,111 pictures) minus SBD train. VOC 2012 val (1,449) contains VOC 2011 val and
    338 later additions, some of which are not in SBD train either; nothing in an id tells the two apart. So the rule
    alone gives a superset of FCN's list at full scale. With VOC 2011's val list (or FCN's own ``seg11valid.txt``) as
    ``voc2011_val`` it gives exactly FCN's 736.
    """
    voc = folders["voc2012"]
    ids = set(_list(voc, "val")) - set(_list(folders["sbd"], "train"))
    restriction = folders.get("voc2011_val")
    if restriction is not None:
        listed = set(read_ids(restriction, remedy=f"{VOC2011_VAL} is meant"))
        if not ids & listed:
            raise UserError(
                f"{restriction}: names no picture of VOC 2012 val outside SBD train; {VOC2011_VAL} is meant."
            )
        ids &= listed
    return _examples(voc, sorted(ids))


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset("voc_train", ("voc2012",), "voc21", _listed("voc2012", "train")),
        Dataset("voc_val", ("voc2012",), "voc21", _listed("voc2012", "val")),
        Dataset("voc_trainval", ("voc2012",), "voc21", _voc_trainval),
        Dataset("trainaug", ("voc2012", "sbd"), "voc21", _trainaug, of_voc="voc_train"),
        # SBD's own train list as it is (FCN trained on it): it shares pictures with VOC 2012 val
        Dataset("sbd_train", ("sbd",), "voc21", _listed("sbd", "train")),
        Dataset("seg11valid", ("voc2012", "sbd"), "voc21", _seg11valid),
        Dataset("coco20", ("coco_train",), "voc21", _listed("coco_train", "coco20", masks="masks_coco20")),
        Dataset("coco90", ("coco_train",), "coco91", _listed("coco_train", "coco90", masks="masks_coco90")),
        Dataset("coco20_val", ("coco_val",), "voc21", _listed("coco_val", "coco20", masks="masks_coco20")),
        Dataset("coco90_val", ("coco_val",), "coco91", _listed("coco_val", "coco90", masks="masks_coco90")),
        Dataset("voc_test", ("voc2012_test",), None, _listed("voc2012_test", "test", masks=None)),
    )
}
