import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import glancing


@pytest.mark.parametrize("step, expected", [(0, 0.5), (50, 0.45), (100, 0.4), (200, 0.3), (201, 0.3), (10**9, 0.3)])
def test_ratio_falls_along_a_line_and_then_stays(step, expected):
  for given in (step, tf.constant(step, tf.int64)):
    found = glancing.ratio(given, 0.5, 0.3, 200)
    assert found.dtype == tf.float32 and found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
