"""The config's protocols: how a network is trained."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segrepro.schema import Count, Fraction, NotNegative, Positive, PositiveFloat, Section, Share


class Protocol(Section):
    """How a network is trained."""

    steps: Positive = Field(description="optimiser updates")
    micro_batch: Positive = Field(description="examples per forward pass; batch norm sees this many")
    accumulation: Positive = Field(1, description="micro-batches per step: the batch is micro_batch x accumulation")
    crop: Positive | None = Field(
        None, description="side of the square training crop, pixels; null: whole pictures, one at a time (FCN)"
    )
    box_size: Positive | None = Field(
        None, description="side in pixels that boxes are resized to before the crop (DeconvNet: 250); null: no boxes"
    )
    scale_range: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(
        [1.0, 1.0], description="smallest and largest random scale of the picture"
    )
    scale_step: PositiveFloat | None = Field(None, description="draw scales from a grid of this step; null: uniformly")
    rescale: Literal["half_pixel", "legacy", "align_corners"] = Field(
        "half_pixel",
        description="how picture and labels are scaled: TensorFlow 2's pixel centres, TensorFlow 1's default "
        "(report 2's code), or corners on corners (DeepLab release, randomly_scale_image_and_label)",
    )
    flip: bool = Field(description="mirror horizontally with probability 0.5")
    sharpen_share: Share = Field(0.0, description="share of the crops that are sharpened (unsharp mask)")
    blur_share: Share = Field(0.0, description="share of the crops that are blurred (Gaussian, 0.5 to 1.5 pixels)")
    pad_picture: Literal["zero", "mean"] = Field(
        "zero",
        description="what fills a crop outside of the picture; mean: the pixel that normalisation turns into zeros",
    )
    schedule: Literal["poly", "step", "fixed", "plateau"] = Field(
        description="schedule of the learning rate; plateau: reduced when accuracy on held-out pictures stops rising"
    )
    learning_rate: PositiveFloat = Field(description="learning rate at step 0")
    end_learning_rate: NotNegative = Field(0.0, description="poly: learning rate at the last step")
    power: PositiveFloat = Field(0.9, description="poly: exponent")
    step_every: Positive | None = Field(None, description="step: steps between two reductions")
    step_factor: Fraction = Field(0.1, description="step, plateau: what a reduction multiplies the rate by")
    plateau_every: Positive | None = Field(
        None, description="plateau: steps between two validations on held-out pictures"
    )
    plateau_patience: Positive = Field(
        1, description="plateau: validations without a better accuracy before a reduction"
    )
    validation_pictures: Positive | None = Field(
        None, description="plateau: number of pictures of the training set that are held out"
    )
    optimiser: Literal["sgd", "adam"] = Field("sgd", description="adam (report 1's code) takes no weight decay")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(description="momentum of sgd; beta_1 of adam")
    momentum_form: Literal["tf1", "caffe"] = Field(
        "tf1", description="v <- m v + g, w <- w - lr v (tf1) or v <- m v + lr g, w <- w - v (caffe)"
    )
    weight_decay: NotNegative = Field(description="coupled L2: weight_decay x weight is added to the gradient")
    weight_decay_on: Literal["all", "all_but_biases", "kernels", "full_kernels"] = Field(
        description="all: all trainable variables (report 2's code); all_but_biases: all but the convolutions' biases "
        "(DeconvNet release); kernels: neither biases nor batch norm (FCN release); full_kernels: nor depthwise "
        "kernels (DeepLab release)"
    )
    bias_rate_factor: PositiveFloat = Field(
        1.0,
        description="factor of the learning rate for biases, but not for batch norm's shift: 2 in the FCN and "
        "DeconvNet releases (Caffe's lr_mult) and in DeepLab's (get_model_gradient_multipliers, of gradients, which is"
        " the same)",
    )
    freeze_batch_norm: bool = Field(
        False,
        description="keep statistics, scale and shift of the initial model's batch norms (DeepLabv3's second phase)",
    )
    frozen_layers: list[str] = Field(
        [], description="layers whose names start with one of these are not trained, e.g. block1_"
    )
    batch_norm_passes: Count = Field(
        0, description="forward passes that estimate batch-norm statistics again after training (DeconvNet: 501)"
    )
    batch_norm_batch: Positive = Field(28, description="examples per such pass (DeconvNet release: 28)")
    loss_at: Literal["label", "stride"] = Field(
        "label",
        description="upsample logits to the labels (DeepLabv3 paper: 77.21 mIoU) or downsample the labels (75.94)",
    )
    loss_normalisation: Literal["valid", "none"] = Field(
        "valid", description="valid: mean over the pixels that are not void; none: their sum (FCN release)"
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    remat: bool = Field(
        False,
        description="compute activations again in the backward pass: takes some 30 % more time and a fraction of the "
        "memory (docs/cost.md), and is equal up to rounding",
    )
    tf32: bool = Field(
        False, description="let GPUs from Ampere on round the factors of float32 products to 10 bits of mantissa"
    )
    log_every: Positive = Field(description="steps per row of history.csv")

    @model_validator(mode="after")
    def _combinations(self) -> "Protocol":
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError(f"scale_range: {low}..{high} is no range; give [smallest, largest], both above 0")
        if self.sharpen_share + self.blur_share > 1:
            raise ValueError("blur_share: with sharpen_share it exceeds 1; a crop is sharpened, blurred or neither")
        if self.optimiser == "adam" and self.weight_decay:
            raise ValueError("weight_decay: must be 0.0 for 'optimiser: adam', which has none here")
        self._check_schedule()
        self._check_sizes()
        return self

    def _check_schedule(self) -> None:
        for key, schedule in (
            ("step_every", "step"),
            ("plateau_every", "plateau"),
            ("validation_pictures", "plateau"),
        ):
            given = getattr(self, key) is not None
            if given and self.schedule != schedule:
                raise ValueError(f"{key}: has no meaning for 'schedule: {self.schedule}'; remove it")
            if not given and self.schedule == schedule:
                raise ValueError(f"{key}: must be set for 'schedule: {schedule}'")

    def _check_sizes(self) -> None:
        if self.crop is None and (self.micro_batch, self.accumulation) != (1, 1):
            raise ValueError("crop: whole pictures differ in size: set micro_batch and accumulation to 1, or a crop")
        if self.box_size is not None:
            if self.crop is None or self.crop > self.box_size:
                raise ValueError(f"crop: must be given, and at most box_size ({self.box_size})")
            if self.scale_range != [1.0, 1.0]:
                raise ValueError("scale_range: has no meaning beside box_size, which sets the scale; remove it")
