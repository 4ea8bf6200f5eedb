"""Score stores of parts of a split made one: what shards of a job, and processes, wrote apart."""

import itertools
from pathlib import Path

import h5py

from segrepro.errors import UserError
from segrepro.stores.codes import joined
from segrepro.stores.hdf5 import STORAGE
from segrepro.stores.same_pictures import refuse_other_pictures
from segrepro.stores.scores import ScoreReader, ScoreWriter, size_of


class MergingWriter(ScoreWriter):
    """A score writer that takes over a picture as another store has it, without unpacking it."""

    def copy(self, id: str, source: h5py.Dataset) -> None:
        """Add a picture of another store (`ScoreReader.dataset`), as if `add` had been given the same map."""
        is_packed = all(getattr(source, name) == value for name, value in STORAGE.items())
        if not is_packed or source.chunks != source.shape:  # written elsewhere
            self.add(id, source[()], size=size_of(source))
            return
        # a picture is one chunk (see `segrepro.stores.scores`); its checksum comes along
        mask, chunk = source.id.read_direct_chunk((0,) * source.ndim)
        dataset = self._create(id, shape=source.shape, dtype=source.dtype)
        dataset.id.write_direct_chunk((0,) * source.ndim, chunk, mask)
        for name in ("height", "width"):
            dataset.attrs[name] = int(source.attrs[name])
        self._check_disk()


def merge_stores(parts: list[Path], out: Path, *, expected: set[str] | None = None, by_size: bool = False) -> None:
    """Write all pictures of several stores, of one system, into one in order of their ids.

    With ``by_size`` the order is that of width, height and id, in which whole pictures are predicted. ``expected`` are
    ids that the result must have; None for any.

    Raises:
        UserError: there are no parts, one is missing or damaged, their headers differ, two have a picture in common,
            or the pictures are not the expected ones.
    """
    if not parts:
        raise UserError("--parts: the list is empty; give the score stores to merge.")
    first, codes, places, order = {}, [], {}, {}
    for part in parts:
        with ScoreReader(part) as reader:
            header = {"system": reader.system, "label_space": reader.space.name}
            header |= {"kind": reader.kind, "resize": reader.resize}
            first = first or header
            for name, value in header.items():
                if value != first[name]:
                    raise UserError(
                        f"{part}: its {name} is '{value}', but '{first[name]}' in {parts[0]}; merge parts of one "
                        "system."
                    )
            codes.append(reader.code)
            for id in reader.ids:
                if id in places:
                    raise UserError(f"{part}: picture '{id}' is in {places[id]} too; give each part once.")
                places[id] = part
                order[id] = (*reversed(reader.size(id)), id) if by_size else (id,)
    if expected is not None:
        remedy = "give all parts of this split"
        refuse_other_pictures(places, expected, found_in="the parts", wanted_in="the manifest", remedy=remedy)
    with MergingWriter(out, **first, code=joined(*codes)) as store:
        try:
            for part, ids in itertools.groupby(sorted(places, key=order.__getitem__), places.__getitem__):
                with ScoreReader(part) as reader:
                    for id in ids:
                        store.copy(id, reader.dataset(id))
        except OSError as error:
            raise UserError(f"{part}: damaged or cannot be read ({error}); make this part again.") from error
