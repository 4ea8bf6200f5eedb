"""How a learned stacker is built and fitted. No TensorFlow here: a wrong option is named at once."""

import math
from dataclasses import dataclass
from typing import Any

from segrepro.errors import UserError

NETWORK, SHARED, LINEAR = KINDS = ("network", "shared", "linear")
DEFAULT_HIDDEN = {NETWORK: 64, SHARED: 16}
DEFAULT_KERNEL = 1
DEFAULT_FOLDS = 5
LAYERS = 3


@dataclass(frozen=True)
class StackerSettings:
    """What a stacker's answer depends on, besides members and pictures.

    Attributes:
        kind: ``network``: three layers of convolutions from all members' scores of all classes to all classes;
            ``shared``: the same from the members' scores of one class to that class, with weights that all classes
            share, for few pictures; ``linear``: a weight a member and class.
        hidden: channels of the network's first two layers; None for 64, or 16 a class where they are shared.
        kernel: side of the network's kernels in cells, 1 or 3; None for 1.
        residual: whether the network's answer is added to the members' mean; None for yes.
        folds: into which the scored pictures are dealt; None where the stacker is fitted on others.
        steps: updates of each fit.
        batch: crops a step, each of another picture.
        crop: side of the crops, in cells.
        learning_rate: of Adam at the start; it falls to 0 by half a cosine.
        weight_decay: coupled L2 on kernels.
        balance: exponent b of the loss's class weights, ``frequency ** -b`` among the cells fitted on: 0 for the plain
            mean, which drops rare classes for accuracy; 1 for all classes alike.
        seed: of folds, crops and initial weights.
        stride: pixels between two cells; of what is read, and of the stored map.

    Raises:
        UserError: an unknown name, an impossible number, or an option that the kind does not have.
    """

    kind: str
    hidden: int | None = None
    kernel: int | None = None
    residual: bool | None = None
    folds: int | None = DEFAULT_FOLDS
    steps: int = 300
    batch: int = 8
    crop: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    balance: float = 0.5
    seed: int = 0
    stride: int = 4

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"--kind '{self.kind}' is unknown: use one of {', '.join(KINDS)}.")
        self._settle_network()
        least = {"hidden": 1, "folds": 2, "steps": 1, "batch": 1, "crop": 1, "seed": 0, "stride": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                option = "storage-stride" if name == "stride" else name
                raise UserError(f"--{option} {value}: give {bound} or more.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UserError(f"--learning-rate {self.learning_rate}: give a number above 0.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise UserError(f"--weight-decay {self.weight_decay}: give 0 or more.")

        if not 0 <= self.balance <= 1:
            raise UserError(f"--balance {self.balance}: give a number from 0 to 1.")

    def _settle_network(self) -> None:
        defaults = {"hidden": DEFAULT_HIDDEN.get(self.kind), "kernel": DEFAULT_KERNEL, "residual": True}
        for name, default in defaults.items():
            if self.kind == LINEAR and getattr(self, name) is not None:
                raise UserError(f"--{name} has no meaning for --kind {self.kind}; leave it out.")
            if self.kind != LINEAR and getattr(self, name) is None:
                object.__setattr__(self, name, default)
        if self.kernel not in (None, 1, 3):
            raise UserError(f"--kernel {self.kernel}: use 1 or 3.")

    @property
    def margin(self) -> int:
        """Cells around a cell that its answer depends on."""
        return LAYERS * ((self.kernel or 1) - 1) // 2

    def described(self) -> dict[str, Any]:
        """Return the settings that take part, for the report."""
        return {name: value for name, value in vars(self).items() if value is not None}
