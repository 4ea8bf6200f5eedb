"""SGD with momentum and coupled L2, as Caffe and TensorFlow 1 trained the papers' networks; and report 1's Adam."""

from collections.abc import Collection
from typing import Any

import keras

from segrepro.config.protocols import Protocol

BATCH_NORM_VARIABLES = ("gamma", "beta")


def depthwise_kernels(model: keras.Model) -> set[str]:
    """Return the paths of the kernels of ``DepthwiseConv2D``, which Keras calls ``kernel`` as it does full ones."""
    return {layer.kernel.path for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)}


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
        decay_on: ``"all"`` trainables; ``"all_but_biases"``: no bias of a convolution, but batch norm's scale and shift
            (Caffe layers without multipliers: the DeconvNet release); ``"kernels"``: no bias, no batch-norm scale and
            shift; ``"full_kernels"``: no depthwise kernels either (DeepLab release, ``regularize_depthwise=False``).
        bias_rate_factor: factor of the learning rate of biases (Caffe ``lr_mult``); batch norm's shift is none. A
            factor of their gradients is the same, since each step is proportional to both (DeepLab release).
        depthwise: paths of the depthwise kernels, see `depthwise_kernels`; read for ``"full_kernels"`` only.
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
        depthwise: Collection[str] = (),
    ):
        super().__init__(learning_rate=learning_rate, momentum=momentum, name="coupled_sgd")
        self.momentum_form = momentum_form
        self.coupled_decay = coupled_decay
        self.decay_on = decay_on
        self.bias_rate_factor = bias_rate_factor
        self.depthwise = frozenset(depthwise)

    def build(self, variables: list[keras.Variable]) -> None:
        """Create the momenta, and note for each variable its decay and its rate factor."""
        if self.built:
            return
        super().build(variables)
        if not self.momentum:  # Keras makes no momenta then; this optimiser always reads them
            self.momentums = self.add_optimizer_variables(variables, "momentum")
        self._decays = [self.coupled_decay if self._decayed(v) else 0.0 for v in variables]
        self._rate_factors = [self.bias_rate_factor if _kind(v) == "bias" else 1.0 for v in variables]

    def _decayed(self, variable: keras.Variable) -> bool:
        if self.decay_on == "all":
            return True
        if self.decay_on == "all_but_biases":
            return _kind(variable) != "bias"
        if _kind(variable) in ("bias", *BATCH_NORM_VARIABLES):
            return False
        return self.decay_on == "kernels" or variable.path not in self.depthwise

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


def _kind(variable: keras.Variable) -> str:
    return variable.path.rsplit("/", 1)[-1]


def build_optimiser(protocol: Protocol, schedule: Any, model: keras.Model) -> keras.optimizers.Optimizer:
    """Return the optimiser of a protocol for a model; under mixed_float16 its loss is scaled dynamically."""
    if protocol.optimiser == "adam":
        optimiser = keras.optimizers.Adam(schedule, beta_1=protocol.momentum, name="adam")
    else:
        optimiser = CoupledSGD(
            schedule,
            momentum=protocol.momentum,
            momentum_form=protocol.momentum_form,
            coupled_decay=protocol.weight_decay,
            decay_on=protocol.weight_decay_on,
            bias_rate_factor=protocol.bias_rate_factor,
            depthwise=depthwise_kernels(model),
        )
    if protocol.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimiser)
    return optimiser
