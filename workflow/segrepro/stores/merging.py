"""Score stores of parts of a split made one: what shards of a job, and processes, wrote apart."""

from pathlib import Path

import h5py

from segrepro.errors import UserError
from segrepro.stores.codes import joined
from segrepro.stores.hdf5 import STORAGE
from segrepro.stores.same_pictures import refuse_other_pictures
from segrepro.stores.score_maps import is_stored_as, size_of
from segrepro.stores.scores import ScoreReader, ScoreWriter


class MergingWriter(ScoreWriter):
    """A score writer that takes over a picture as another store has it, without unpacking it."""

    def copy(self, id: str, source: h5py.Dataset) -> None:
        """Add a picture of another store, which reads as if `add` had been given the same map.

        Args:
            id: the picture's id.
            source: of `segrepro.stores.scores.ScoreReader.dataset`.

        Raises:
            UserError: the disk refused the data, or the values of a map that must be packed again are none.
        """
        if not is_stored_as(source, STORAGE):  # written elsewhere
            self.add(id, source[()], size=size_of(source))
            return
        # a picture is one chunk (see `segrepro.stores.scores`); its checksum comes along
        mask, chunk = source.id.read_direct_chunk((0,) * source.ndim)
        options = {"shape": source.shape, "dtype": source.dtype, "chunks": source.shape, "track_times": False}
        dataset = self._pictures.create_dataset(id, **options, **STORAGE)
        dataset.id.write_direct_chunk((0,) * source.ndim, chunk, mask)
        for name in ("height", "width"):
            dataset.attrs[name] = int(source.attrs[name])
        self._check_disk()


def merge_stores(parts: list[Path], out: Path, *, expected: set[str] | None = None, by_size: bool = False) -> None:
    """Write all pictures of several stores into one, in order of their ids.

    The result does not depend on how the pictures were spread over the parts.

    Args:
        parts: the stores, of one system.
        out: the store to write.
        expected: ids that the result must have; None for any.
        by_size: in order of width, height and id, in which whole pictures are predicted.

    Raises:
        UserError: there are no parts, one is missing or damaged, their headers differ, two have a picture in common,
            or the pictures are not the expected ones.
    """
    if not parts:
        raise UserError("--parts: the list is empty; give the score stores to merge.")
    headers, codes, places, order = {}, [], {}, {}
    for part in parts:
        with ScoreReader(part) as reader:
            header = {"system": reader.system, "label_space": reader.space.name}
            headers[part] = header | {"kind": reader.kind, "resize": reader.resize}
            codes.append(reader.code)
            for id in reader.ids:
                if id in places:
                    raise UserError(f"{part}: picture '{id}' is in {places[id]} too; give each part once.")
                places[id] = part
                order[id] = (*reversed(reader.size(id)), id) if by_size else (id,)
    _check_headers(headers)
    if expected is not None:
        remedy = "give all parts of this split"
        refuse_other_pictures(places, expected, found_in="the parts", wanted_in="the manifest", remedy=remedy)
    with MergingWriter(out, **headers[parts[0]], code=joined(*codes)) as store:
        reader = None
        try:
            for id in sorted(places, key=order.__getitem__):
                if reader is None or places[id] != reader.path:
                    if reader is not None:
                        reader.close()
                    reader = ScoreReader(places[id])
                store.copy(id, reader.dataset(id))
        except OSError as error:
            raise UserError(f"{places[id]}: damaged or cannot be read ({error}); make this part again.") from error
        finally:
            if reader is not None:
                reader.close()


def _check_headers(headers: dict[Path, dict[str, str]]) -> None:
    first, expected = next(iter(headers.items()))
    for part, header in headers.items():
        for name, value in header.items():
            if value != expected[name]:
                raise UserError(
                    f"{part}: its {name} is '{value}', but '{expected[name]}' in {first}; merge parts of one system."
                )
