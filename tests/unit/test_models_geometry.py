import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segrepro.geometry import aspp_rates_at, feature_size, is_crop_allowed


@given(size=st.integers(1, 5000), halvings=st.integers(0, 5))
def test_feature_size_is_that_of_repeated_halving(size, halvings):
    extent = size
    for _ in range(halvings):
        extent = (extent + 1) // 2
    assert feature_size(size, 2**halvings) == extent


@pytest.mark.parametrize(
    ("crop", "output_stride", "allowed"),
    [
        (513, 16, True),
        (513, 8, True),
        (321, 16, True),
        (97, 16, True),
        (512, 16, False),
        (500, 8, False),
        (1, 16, False),
    ],
)
def test_crops_of_deeplab_are_allowed_and_others_are_not(crop, output_stride, allowed):
    assert is_crop_allowed(crop, output_stride) is allowed


@pytest.mark.parametrize(("output_stride", "rates"), [(16, (6, 12, 18)), (8, (12, 24, 36)), (32, (3, 6, 9))])
def test_aspp_rates_keep_their_field_of_view(output_stride, rates):
    assert aspp_rates_at((6, 12, 18), output_stride) == rates


def test_aspp_rates_never_fall_below_one():
    assert aspp_rates_at((1, 3), 32) == (1, 2)


def test_geometry_imports_no_tensorflow():
    code = "import sys, segrepro.geometry; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
