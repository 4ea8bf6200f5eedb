"""What a run may choose of how its networks work, whatever the model; nothing here imports TensorFlow."""

import sys
from importlib.util import find_spec

from segrepro.errors import UserError


def require_tensorboard() -> None:
    """Raise a `UserError` where TensorBoard's package is missing, in which ``tf.summary.scalar`` is implemented."""
    if find_spec("tensorboard") is None:
        raise UserError(
            "TensorBoard event files (runtime.tensorboard, --tensorboard) need the package tensorboard: install it by "
            f"`{sys.executable} -m pip install 'tensorboard>=2.20,<3'`, or leave them out."
        )


def gpus_that_share(micro_batch: int, gpus: int) -> int:
    """Return by how many GPUs a training can be shared: the most, up to ``gpus``, that divide a micro-batch evenly.

    Equal shares, so that a mean over the GPUs' means is that over the micro-batch. Whole pictures (``crop: null``) come
    one by one, which one GPU takes. No GPU (``gpus`` 0) shares nothing: 0.
    """
    return max((n for n in range(1, gpus + 1) if micro_batch % n == 0), default=0)
