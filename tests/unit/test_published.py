"""The full scale is the published experiment, number by number: a table of keys, values and where they come from."""

from typing import Any

import pytest

from segrepro.config import Config, parse_config

FCN = "voc-fcn32s, 16s, 8s and 8s-atonce: solver.prototxt, train.prototxt"
DECONVNET = "DeconvNet release: solver and train prototxts of both stages"
DECONVNET_PAPER = "arXiv 1505.04366, sections 3 to 5"
REPORT2 = "report 2's code: TF1 DeepLabv3"
DEEPLABV3 = "arXiv 1706.05587, sections 3 and 4"
DEEPLAB_RELEASE = "TensorFlow models, research/deeplab: train.py, common.py, model.py, input_preprocess.py"
DEEPLABV3PLUS = "arXiv 1802.02611, sections 3 and 4"

# source -> path in the config -> value
PUBLISHED: dict[str, dict[str, Any]] = {
    FCN: {
        **{
            f"protocols.{name}.{key}": value
            for name in ("fcn32s", "fcn16s", "fcn8s", "fcn8s_at_once")
            for key, value in {
                **{"micro_batch": 1, "accumulation": 1, "crop": None, "flip": False, "scale_range": [1.0, 1.0]},
                **{"schedule": "fixed", "optimiser": "sgd", "momentum": 0.99, "momentum_form": "caffe"},
                **{"weight_decay": 5e-4, "weight_decay_on": "kernels", "bias_rate_factor": 2.0},
                **{"loss_normalisation": "none", "loss_at": "label"},
            }.items()
        },
        "protocols.fcn32s.learning_rate": 1e-10,
        "protocols.fcn16s.learning_rate": 1e-12,
        "protocols.fcn8s.learning_rate": 1e-14,
        "protocols.fcn8s_at_once.learning_rate": 1e-10,
        "protocols.fcn32s.steps": 100_000,
        "protocols.fcn16s.steps": 100_000,
        "protocols.fcn8s.steps": 100_000,
        "protocols.fcn8s_at_once.steps": 300_000,
        **{
            f"networks.{name}.{key}": value
            for name, stride in {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8, "fcn8s_at_once": 8}.items()
            for key, value in {
                **{"backbone": "vgg16", "skip_stride": stride, "fc_channels": 4096, "fc6_kernel": 7},
                **{"input_padding": 100, "dropout": 0.5, "upsampling": "bilinear", "batch_norm": "none"},
                **{"at_once": name == "fcn8s_at_once", "normalisation": "caffe_ilsvrc"},
            }.items()
        },
        **{f"models.{name}.dataset": "sbd_train" for name in ("fcn32s", "fcn16s", "fcn8s", "fcn8s_at_once")},
        "models.fcn32s.init.weights": "vgg16_imagenet",
        "models.fcn16s.init.model": "fcn32s",
        "models.fcn8s.init.model": "fcn16s",
        "models.fcn8s_at_once.init.weights": "vgg16_imagenet",
        "datasets.sbd_train.pictures": 8498,
    },
    "docs/protocols.md: FCN-32s's steps on means of ten pictures": {
        "protocols.fcn32s_normalised.learning_rate": 1.8e-3,
        "protocols.fcn32s_normalised.momentum": 0.9,
        "protocols.fcn32s_normalised.weight_decay": 2.8e-9,
        "protocols.fcn32s_normalised.steps": 10_000,
        "protocols.fcn32s_normalised.accumulation": 10,
        "protocols.fcn32s_normalised.crop": 500,
        "protocols.fcn32s_normalised.pad_picture": "mean",
        "protocols.fcn32s_normalised.loss_normalisation": "valid",
    },
    DECONVNET: {
        **{
            f"protocols.{name}.{key}": value
            for name in ("deconvnet_stage1", "deconvnet_stage2")
            for key, value in {
                **{"micro_batch": 8, "accumulation": 8, "box_size": 250, "crop": 224, "flip": True},
                **{"schedule": "step", "step_factor": 0.1, "learning_rate": 0.01, "momentum": 0.9},
                **{"momentum_form": "caffe", "weight_decay": 5e-4, "weight_decay_on": "all_but_biases"},
                **{"bias_rate_factor": 2.0, "batch_norm_passes": 501, "batch_norm_batch": 28},
                **{"loss_normalisation": "valid", "pad_picture": "zero"},
            }.items()
        },
        "protocols.deconvnet_stage1.steps": 20_000,
        "protocols.deconvnet_stage1.step_every": 9_000,
        "protocols.deconvnet_stage2.steps": 40_000,
        "protocols.deconvnet_stage2.step_every": 10_000,
        "networks.deconvnet.input_size": 224,
        "networks.deconvnet.fc_channels": 4096,
        "networks.deconvnet.initial_deviation": 0.01,
        "networks.deconvnet.batch_norm_epsilon": 1e-9,
        "networks.deconvnet.normalisation": "caffe_ilsvrc",
        "models.deconvnet_stage1.init.weights": "vgg16_imagenet",
        "models.deconvnet_stage2.init.model": "deconvnet_stage1",
        "systems.deconvnet_stage2.proposal_wise.count": 50,
        "systems.deconvnet_stage2.proposal_wise.min_side": 94,
        "systems.deconvnet_stage2.proposal_wise.enlarge": 1.2,
        "systems.deconvnet_stage2.proposal_wise.aggregate": "max",
        "systems.deconvnet_stage2.proposal_wise.of": "scores",
        "systems.deconvnet_stage2.proposal_wise.shrink": "antialias",
    },
    DECONVNET_PAPER: {
        "models.deconvnet_stage1.examples.kind": "objects",
        "models.deconvnet_stage1.examples.enlarge": 1.2,
        "models.deconvnet_stage1.examples.balance": True,
        "models.deconvnet_stage2.examples.kind": "proposals",
        "models.deconvnet_stage2.examples.proposals": "edge_boxes",
        "models.deconvnet_stage2.examples.enlarge": 1.2,
        "models.deconvnet_stage2.examples.balance": True,
        "proposals.edge_boxes.max_boxes": 2000,
        "protocols.deconvnet_stage1_paper.schedule": "plateau",
        "protocols.deconvnet_stage1_paper.steps": 20_000,
        "protocols.deconvnet_stage2_paper.schedule": "plateau",
        "protocols.deconvnet_stage2_paper.steps": 40_000,
        "systems.edeconvnet.fusion.kind": "mean",
        "systems.edeconvnet.fusion.members": ["deconvnet_stage2", "fcn8s"],
        "systems.edeconvnet_crf.crf.preset": "deconvnet",
    },
    REPORT2: {
        **{
            f"protocols.{name}.{key}": value
            for name in ("deeplabv3_report", "deeplabv3_coco20", "deeplabv3_coco90")
            for key, value in {
                **{"steps": 30_000, "micro_batch": 16, "accumulation": 1, "crop": 513, "flip": True},
                **{"scale_range": [0.5, 2.0], "scale_step": None, "rescale": "legacy", "pad_picture": "zero"},
                **{"schedule": "poly", "learning_rate": 7e-3, "end_learning_rate": 1e-6, "power": 0.9},
                **{"momentum": 0.9, "momentum_form": "tf1", "weight_decay": 1e-4, "weight_decay_on": "all"},
                **{"bias_rate_factor": 1.0, "loss_at": "label", "loss_normalisation": "valid"},
                **{"freeze_batch_norm": False, "batch_norm_passes": 0},
            }.items()
        },
        "networks.deeplabv3_r101.backbone": "resnet_v2_101",
        "networks.deeplabv3_r101.variant": "slim",
        "networks.deeplabv3_r101.output_stride": 16,
        "networks.deeplabv3_r101.multi_grid": [1, 1, 1],
        "networks.deeplabv3_r101.aspp_channels": 256,
        "networks.deeplabv3_r101.aspp_rates": [6, 12, 18],
        "networks.deeplabv3_r101.batch_norm_decay": 0.9997,
        "networks.deeplabv3_r101.batch_norm_epsilon": 1e-5,
        "networks.deeplabv3_r101.normalisation": "mean_rgb",
        "networks.deeplabv3_r101.dropout": 0.0,
        "networks.deeplabv3_r101.resize": "legacy",
        "models.deeplabv3_trainaug.init.weights": "resnet101v2_imagenet",
        "systems.stacking_vote.fusion.kind": "vote",
        "systems.stacking_vote.fusion.ties": "lowest",
        "systems.stacking_vote_crf.crf.preset": "report2",
    },
    DEEPLABV3: {
        "protocols.deeplabv3_phase2.freeze_batch_norm": True,
        "protocols.deeplabv3_phase2.learning_rate": 1e-3,
        "protocols.deeplabv3_phase2.steps": 30_000,
        "protocols.deeplabv3_phase2.micro_batch": 16,
        "protocols.deeplabv3_phase2.crop": 513,
        "networks.deeplabv3_r101_os8.output_stride": 8,
        "models.deeplabv3_phase2.network": "deeplabv3_r101_os8",
        "models.deeplabv3_phase2.dataset": "trainaug",
        "models.deeplabv3_phase2.init.model": "deeplabv3_trainaug",
        "systems.deeplabv3_phase2_ms_flip.prediction.scales": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75],
        "systems.deeplabv3_phase2_ms_flip.prediction.flip": True,
        "coco.min_pixels": 1000,
        "datasets.trainaug.pictures": 10_582,
        "datasets.voc_train.pictures": 1464,
        "datasets.voc_val.pictures": 1449,
    },
    DEEPLAB_RELEASE: {
        **{
            f"protocols.{name}.{key}": value
            for name in ("deeplabv3plus_trainaug", "deeplabv3plus_trainval")
            for key, value in {
                **{"steps": 30_000, "micro_batch": 16, "crop": 513, "flip": True, "pad_picture": "mean"},
                **{"scale_range": [0.5, 2.0], "scale_step": 0.25, "rescale": "align_corners"},
                **{"schedule": "poly", "power": 0.9, "bias_rate_factor": 2.0},
                **{"end_learning_rate": 0.0, "momentum": 0.9, "momentum_form": "tf1"},
                **{"weight_decay": 4e-5, "weight_decay_on": "full_kernels", "loss_at": "label"},
            }.items()
        },
        "networks.deeplabv3plus_x65.batch_norm_decay": 0.9997,
        "networks.deeplabv3plus_x65.batch_norm_epsilon": None,  # 1e-3 in Xception, 1e-5 in the head
        "networks.deeplabv3plus_x65.normalisation": "keras_tf",
        "networks.deeplabv3plus_x65.dropout": 0.1,
        "networks.deeplabv3plus_x65.multi_grid": [1, 1, 1],
        "networks.deeplabv3plus_x65.resize": "align_corners",
        "systems.deeplabv3plus_released_trainaug.prediction.pad_to": 513,
        "systems.deeplabv3plus_released_trainaug_ms_flip.prediction.output_stride": 8,
        "systems.deeplabv3plus_released_trainaug_ms_flip.prediction.scales": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75],
        "systems.deeplabv3plus_released_trainaug_ms_flip.prediction.flip": True,
        **{
            f"networks.{name}.{key}": value
            for name, width in {"deeplabv3_mnv2": 1.0, "deeplabv3_mnv2_dm05": 0.5}.items()
            for key, value in {
                **{"backbone": "mobilenet_v2", "variant": "released", "width": width, "output_stride": 16},
                **{"aspp_rates": [], "aspp_channels": 256, "normalisation": "keras_tf", "resize": "align_corners"},
                **{"batch_norm_epsilon": None, "dropout": 0.1},  # 1e-3 in MobileNetV2, 1e-5 in the head
            }.items()
        },
        "systems.deeplabv3_mnv2_released_trainaug.prediction.pad_to": 513,
        "systems.deeplabv3_mnv2_released_trainaug_ms_flip.prediction.output_stride": 8,
        "systems.deeplabv3_mnv2_released_trainaug_ms_flip.prediction.scales": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75],
        "systems.deeplabv3_mnv2_released_trainaug_ms_flip.prediction.flip": True,
        "systems.deeplabv3_mnv2_dm05_released_trainaug.prediction.pad_to": 513,
    },
    DEEPLABV3PLUS: {
        "protocols.deeplabv3plus_trainaug.learning_rate": 7e-3,
        "protocols.deeplabv3plus_trainval.learning_rate": 1e-4,
        "networks.deeplabv3plus_x65.backbone": "xception_65",
        "networks.deeplabv3plus_x65.output_stride": 16,
        "networks.deeplabv3plus_x65.aspp_channels": 256,
        "networks.deeplabv3plus_x65.aspp_rates": [6, 12, 18],
        "networks.deeplabv3plus_x65.low_level_channels": 48,
        "networks.deeplabv3plus_x65.decoder_channels": 256,
        "networks.deeplabv3plus_x65.separable": True,
        "models.deeplabv3plus_trainval.init.model": "deeplabv3plus_trainaug",
    },
}


@pytest.fixture
def full(merged_config) -> Config:
    return parse_config(merged_config("full"))


def value_at(config: Config, path: str) -> Any:
    """What the config holds at a path of attributes and names."""
    section: Any = config
    for key in path.split("."):
        section = section[key] if isinstance(section, dict) else getattr(section, key)
    return section


@pytest.mark.parametrize("source", PUBLISHED)
def test_the_full_scale_is_the_published_experiment(full, source):
    found = {path: value_at(full, path) for path in PUBLISHED[source]}
    assert found == PUBLISHED[source]


def test_every_file_that_is_fetched_has_a_second_address(full):
    files = [entry for entry in vars(full.archives).values() if entry] + list(full.weights.values())
    files.append(full.proposals["edge_boxes"].model)
    assert len(files) > 10
    assert [entry.file for entry in files if len(set(entry.urls)) < 2] == []


def test_every_system_that_is_trained_has_its_numbers_in_the_table(full):
    """But for variants that no one published: those of the project, by docs/protocols.md."""
    paths = {path for table in PUBLISHED.values() for path in table}
    ours = {"deeplabv3_sharpness", "deeplabv3_finetune"}
    for protocol in {model.protocol for model in full.models.values() if model.train} - ours:
        for key in ("learning_rate", "steps"):
            assert f"protocols.{protocol}.{key}" in paths
