"""What a process that needs a network settles before TensorFlow is imported; nothing here imports it."""

import sys
from importlib.util import find_spec

from segrepro.errors import UserError


def require_tensorboard() -> None:
    """Refuse to start where TensorBoard's package is missing: ``tf.summary.scalar`` is implemented in it.

    Raises:
        UserError: with the command that installs it.
    """
    if find_spec("tensorboard") is None:
        raise UserError(
            "TensorBoard event files (runtime.tensorboard, --tensorboard) need the package tensorboard: install it by "
            f"`{sys.executable} -m pip install 'tensorboard>=2.20,<3'`, or leave them out."
        )
