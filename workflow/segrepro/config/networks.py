"""The config's networks: each architecture is a section with its hyper-parameters."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segrepro.geometry import FCN_COARSEST_STRIDE, least_input_padding
from segrepro.schema import Count, Fraction, Positive, PositiveFloat, Section

Normalisation = Literal["mean_rgb", "caffe", "caffe_ilsvrc", "bgr_unit", "keras_tf"]
Resize = Literal["legacy", "half_pixel", "align_corners"]
NORMALISATION = Field(
    description="of the input: RGB minus mean; BGR minus Keras' or Caffe's mean; BGR / 255 (report 1); scaled to "
    "[-1, 1]"
)
RESIZE = Field(
    description="how logits are scaled to the picture, bilinearly: as TensorFlow 1, as TensorFlow 2, or with "
    "aligned corners"
)
Dropped = Annotated[float, Field(ge=0, lt=1)]
Vgg = Literal["vgg16", "vgg_tiny"]
# Family of backbones -> whose graphs of it there are; `segrepro.models.build` builds them.
VARIANTS = {
    "resnet_v2": ("slim", "keras"),
    "resnet_v1": ("keras",),
    "xception": ("released",),
    "mobilenet": ("keras", "released"),
}


class DeepLab(Section):
    """What DeepLabv3 and DeepLabv3+ share."""

    backbone: Literal[
        *("resnet_v2_152", "resnet_v2_101", "resnet_v2_50", "resnet_v2_tiny"),
        *("resnet_v1_152", "resnet_v1_101", "resnet_v1_50", "resnet_v1_tiny"),
        *("xception_65", "xception_tiny", "mobilenet_v2"),
    ]
    variant: Literal["slim", "keras", "released"] = Field(
        description="whose graph: TF-slim's ResNet-v2 (report 2), keras.applications', or the DeepLab release's"
    )
    width: PositiveFloat = Field(1.0, description="factor of all channels of MobileNetV2")
    features: Literal["post_norm", "raw_sum"] | None = Field(
        None, description="what the head reads: after the last batch norm, or the sum before it; null: the variant's"
    )
    output_stride: Literal[8, 16, 32] = Field(description="input pixels per feature along one side")
    multi_grid: Annotated[list[Positive], Field(min_length=3, max_length=3)] = Field(
        description="factors of block4's rates: (1,2,4) in the paper, (1,1,1) as report 2's code acts, and for "
        "MobileNetV2"
    )
    aspp_channels: Positive = Field(description="channels of each ASPP branch (paper: 256)")
    aspp_rates: list[Positive] = Field(
        description="at output stride 16; doubled at 8 (paper: 6, 12, 18); [] leaves out these branches of ASPP, as "
        "released on MobileNetV2"
    )
    batch_norm_decay: Fraction = Field(description="decay of the moving averages")
    batch_norm_epsilon: PositiveFloat | None = Field(
        None, description="epsilon of all batch norms; null: the variant's in the backbone, 1e-5 in the head"
    )
    dropout: Dropped = Field(0.0, description="dropout of the projected ASPP features (DeepLabv3+ release: 0.1)")
    normalisation: Normalisation = NORMALISATION
    resize: Resize = RESIZE

    @model_validator(mode="after")
    def _of_the_backbone(self) -> "DeepLab":
        family = self.backbone.rpartition("_")[0]
        if self.variant not in VARIANTS[family]:
            raise ValueError(
                f"variant: of {self.backbone} there is no '{self.variant}'; use {' or '.join(VARIANTS[family])}"
            )
        if self.features and family != "resnet_v2":
            raise ValueError(f"features: has no meaning for {self.backbone}; remove it")
        if self.width != 1 and family != "mobilenet":
            raise ValueError(f"width: has no meaning for {self.backbone}; remove it")
        if self.multi_grid != [1, 1, 1] and family == "mobilenet":
            raise ValueError(f"multi_grid: has no meaning for {self.backbone}; write [1, 1, 1]")
        return self


class DeepLabV3(DeepLab):
    """DeepLabv3 (arXiv 1706.05587)."""

    architecture: Literal["deeplabv3"]


class DeepLabV3Plus(DeepLab):
    """DeepLabv3+ (arXiv 1802.02611)."""

    architecture: Literal["deeplabv3plus"]
    low_level_channels: Positive = Field(
        description="channels that a 1x1 convolution reduces the low level to (paper: 48)"
    )
    decoder_channels: Positive = Field(description="channels of the decoder's 3x3 convolutions (paper: 256)")
    separable: bool = Field(description="use separable convolutions in ASPP and decoder")


class Fcn(Section):
    """FCN (Long et al. 2015): VGG16 with skips."""

    architecture: Literal["fcn"]
    backbone: Vgg = "vgg16"
    skip_stride: Literal[32, 16, 8] = Field(description="stride of the finest map that is scored: FCN-32s, 16s, 8s")
    fc_channels: Positive = Field(4096, description="channels of fc6 and fc7 (report 1's code: 512)")
    fc6_kernel: Positive = Field(7, description="side of fc6's kernel in features; odd")
    input_padding: Count = Field(
        100, description="zeros around the picture, pixels; 0: all convolutions keep their map's size"
    )
    dropout: Dropped = Field(0.5, description="dropout of fc6 and fc7")
    upsampling: Literal["bilinear", "learned_between", "learned"] = Field(
        "bilinear",
        description="kernels of the upsampling: fixed (release), learned but for the last one (paper), or all learned;"
        " all start bilinear",
    )
    at_once: bool = Field(
        False, description="scale the scores of pool4 and pool3 by 0.01 and 0.0001 (FCN-8s trained at once)"
    )
    batch_norm: Literal["none", "head", "all"] = Field(
        "none",
        description="where there is batch norm: none (published); head: after fc6 and fc7; all: after every "
        "convolution but the scores",
    )
    batch_norm_decay: Fraction = Field(0.9, description="decay of the moving averages")
    batch_norm_epsilon: PositiveFloat = 1e-5
    normalisation: Normalisation = NORMALISATION
    resize: Resize = RESIZE

    @model_validator(mode="after")
    def _combinations(self) -> "Fcn":
        if self.fc6_kernel % 2 == 0:
            raise ValueError(f"fc6_kernel: is {self.fc6_kernel}; give an odd number, so that features keep their place")
        least = least_input_padding(self.fc6_kernel)
        if 0 < self.input_padding < least:
            raise ValueError(
                f"input_padding: is {self.input_padding}, but an fc6_kernel of {self.fc6_kernel} needs {least} pixels "
                "at least, or 0 (fc6 then pads by itself)"
            )
        if self.at_once and self.skip_stride == FCN_COARSEST_STRIDE:
            raise ValueError(f"at_once: has no meaning for skip_stride {self.skip_stride}; remove it")
        return self


class DeconvNet(Section):
    """DeconvNet (arXiv 1505.04366): VGG16 and its mirror, with unpooling."""

    architecture: Literal["deconvnet"]
    backbone: Vgg = "vgg16"
    input_size: Annotated[int, Field(gt=0, multiple_of=32)] = Field(
        224, description="side in pixels of the crops that it is made for; fc6's kernel is a 32nd of it"
    )
    fc_channels: Positive = Field(4096, description="channels of fc6 and fc7 (report 1's code: 512)")
    initial_deviation: PositiveFloat = Field(
        0.01, description="standard deviation of the deconvolutions' first kernels (release: 0.01)"
    )
    batch_norm_decay: Fraction = Field(0.9, description="decay of the moving averages")
    batch_norm_epsilon: PositiveFloat = Field(1e-9, description="DeconvNet release: 1e-9")
    normalisation: Normalisation = NORMALISATION
    resize: Resize = RESIZE


Network = Annotated[DeepLabV3 | DeepLabV3Plus | Fcn | DeconvNet, Field(discriminator="architecture")]
