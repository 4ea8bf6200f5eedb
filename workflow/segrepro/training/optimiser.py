"""SGD with momentum and coupled L2, as Caffe and TensorFlow 1 trained the papers' networks; and report 1's Adam."""

from typing import Any

import keras

BATCH_NORM_VARIABLES = ("gamma", "beta")


class CoupledSGD(keras.optimizers.SGD):
    """SGD with momentum whose weight decay is part of the gradient (coupled L2).

    ``keras.optimizers.SGD(weight_decay=)`` subtracts ``lr * wd * w`` beside the momentum (decoupled), about ten
    times weaker than what all these papers mean at momentum 0.9. Here ``g <- g + wd * w`` comes first: the same
    as a loss term ``wd / 2 * sum(w ** 2)``.

    Args:
        learning_rate: a schedule or number.
        momentum: the factor m.
        momentum_form: ``"tf1"``: v <- m v + g, w <- w - lr v (``tf.train.MomentumOptimizer``);
            ``"caffe"``: v <- m v + lr g, w <- w - v (Caffe's ``SGDSolver``). They differ while lr changes.
        coupled_decay: wd, the factor of the weights in the gradient.
        decay_on: ``"all"`` trainables; ``"kernels"``: no bias, no batch-norm scale and shift; ``"full_kernels"``: no
            depthwise kernels either (DeepLab release).
        bias_rate_factor: factor of the learning rate of biases (Caffe ``lr_mult``).
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        momentum: float,
        momentum_form: str,
        coupled_decay: float,
        decay_on: str,
        bias_rate_factor: float,
    ):
        super().__init__(learning_rate=learning_rate, momentum=momentum, name="coupled_sgd")
        self.momentum_form = momentum_form
        self.coupled_decay = coupled_decay
        self.decay_on = decay_on
        self.bias_rate_factor = bias_rate_factor

    def build(self, variables: list[keras.Variable]) -> None:
        """Create the momenta, and note for each variable its decay and its rate factor."""
        if self.built:
            return
        super().build(variables)
        if not self.momentum:  # Keras makes no momenta then; this optimiser always reads them
            self.momentums = self.add_optimizer_variables(variables, "momentum")
        kinds = [v.path.rsplit("/", 1)[-1] for v in variables]
        small = ("bias", *BATCH_NORM_VARIABLES)
        self._decays = [self.coupled_decay if self.decay_on == "all" or kind not in small else 0.0 for kind in kinds]
        self._rate_factors = [self.bias_rate_factor if kind == "bias" else 1.0 for kind in kinds]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable in place from its (already averaged) gradient."""
        index = self._get_variable_index(variable)
        velocity = self.momentums[index]
        rate = keras.ops.cast(learning_rate * self._rate_factors[index], variable.dtype)
        gradient = keras.ops.cast(gradient, variable.dtype) + self._decays[index] * variable
        if self.momentum_form == "tf1":
            self.assign(velocity, self.momentum * velocity + gradient)
            self.assign_sub(variable, rate * velocity)
        else:
            self.assign(velocity, self.momentum * velocity + rate * gradient)
            self.assign_sub(variable, velocity)


def build_optimiser(protocol: dict[str, Any], schedule: Any) -> keras.optimizers.Optimizer:
    """Return the optimiser of a protocol; under mixed_float16 its loss is scaled dynamically."""
    if protocol["optimiser"] == "adam":
        optimiser = keras.optimizers.Adam(schedule, beta_1=protocol["momentum"], name="adam")
    else:
        optimiser = CoupledSGD(
            schedule,
            momentum=protocol["momentum"],
            momentum_form=protocol["momentum_form"],
            coupled_decay=protocol["weight_decay"],
            decay_on=protocol["weight_decay_on"],
            bias_rate_factor=protocol["bias_rate_factor"],
        )
    if protocol["precision"] == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimiser)
    return optimiser
