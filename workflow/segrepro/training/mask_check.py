"""The masks of a training are read once before it starts: TensorFlow's decoder makes labels of any picture.

It gives the grey levels of a palette, the high bytes of 16 bits, the grey of a JPEG; a mask of another size than its
picture is cut where nobody looks. `segrepro.data.label_statistics` refuses all that, and so it does here. The 10,582
masks of trainaug take 28 s of a core (`benchmarks/mask_check.py`), which threads share.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np

from segrepro.data.label_statistics import mask_counts
from segrepro.data.parallel import progress_bar
from segrepro.data.pictures import picture_size
from segrepro.errors import UserError
from segrepro.labels import VOID, label_space
from segrepro.stores.manifests import Example


def check_masks(examples: list[Example], space: str, *, threads: int) -> None:
    """Check the masks of a set that a network is to be trained or validated on, so many at once as threads.

    Raises:
        UserError: as of `segrepro.data.label_statistics.mask_counts`; or a mask is missing, or all pixels are void.
    """
    used = label_space(space).used_labels

    def counts(rows: list[Example]) -> np.ndarray:
        if rows[0].mask is None:
            raise UserError(f"picture '{rows[0].id}' has no mask; train on a dataset with ground truth.")
        return mask_counts(rows, picture_size(rows[0].image), used)

    pictures = [list(rows) for _, rows in groupby(sorted(examples, key=_files), key=_files)]
    pixels = np.zeros(256, np.int64)
    with ThreadPoolExecutor(threads) as pool, progress_bar("masks", total=len(pictures)) as progress:
        try:
            for found in pool.map(counts, pictures):
                pixels += found
                progress.update()
        finally:
            pool.shutdown(cancel_futures=True)
    if pixels.sum() == pixels[VOID]:
        raise UserError(
            f"{examples[0].mask} and all other masks of this training are void ({VOID}) everywhere, so that there is "
            "nothing to learn; give masks with labels."
        )


def _files(example: Example) -> tuple[str, str, str]:
    return str(example.image), str(example.mask or ""), str(example.instance_mask or "")
