"""What of a user's account reaches into results: nothing by way of Keras, and what is left to users is recorded."""

import json
import os
import subprocess
import sys

import pytest

from segrepro.environment import KERAS_HOME, chosen_settings, fix_environment

# What Keras computes with in a process that the command line has prepared.
PROBE = """
import sys
from segrepro.cli import main
main(["schema", "--out", sys.argv[1]])
import keras
print(keras.config.backend(), keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon())
print(keras.config.max_epochs(), keras.config.is_nnx_enabled())
print([name for name in ("sklearn", "matplotlib", "pandas") if name in sys.modules])
import sklearn, matplotlib, pandas
"""


def test_the_account_s_keras_settings_change_nothing(tmp_path):
    (tmp_path / ".keras").mkdir()
    account = {"floatx": "float16", "epsilon": 1e-3, "backend": "theano", "image_data_format": "channels_first"}
    (tmp_path / ".keras/keras.json").write_text(json.dumps(account))
    done = subprocess.run(
        [sys.executable, "-c", PROBE, tmp_path / "schema.json"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"HOME": str(tmp_path), "KERAS_HOME": str(tmp_path / ".keras"), "KERAS_BACKEND": "torch"}
        | {"KERAS_MAX_EPOCHS": "1", "KERAS_NNX_ENABLED": "true"},
    )
    settings = ["tensorflow", "float32", "channels_last", "1e-07", "None", "False"]
    assert done.stdout.split() == [*settings, "[]"], done.stderr
    assert done.returncode == 0, done.stderr  # what Keras does not import, others still can


def test_the_settings_that_keras_reads_come_with_the_package(monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "/elsewhere")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    fix_environment()
    assert os.environ["KERAS_HOME"] == str(KERAS_HOME)
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    settings = json.loads((KERAS_HOME / "keras.json").read_text())
    assert settings["backend"] == os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("ONEDNN_MAX_CPU_ISA", True),
        ("TF_ENABLE_ONEDNN_OPTS", True),
        ("NVIDIA_TF32_OVERRIDE", True),
        ("XLA_FLAGS", True),
        ("TF_CPP_MIN_LOG_LEVEL", False),
        ("TF_VAR_password", False),  # Terraform's
        ("OMP_NUM_THREADS", False),  # Snakemake sets it by a job's threads, which change no result
    ],
)
def test_what_chooses_kernels_is_recorded_and_nothing_else(monkeypatch, name, recorded):
    monkeypatch.delenv(name, raising=False)
    assert name not in chosen_settings()
    monkeypatch.setenv(name, "0")
    assert (chosen_settings().get(name) == "0") == recorded
