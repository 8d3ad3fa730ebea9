"""Products with a table, on processors with and without bfloat16."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import processor
from tf_nar.ops import noise
from tf_nar.ops import products

draw = lambda *shape: noise.normal(shape, tf.constant([1, len(shape)]))


@pytest.mark.parametrize("states, table", [((2, 3, 8), (7, 8)), ((3, 8), (7, 8)), ((2, 3, 8), (2, 7, 8))])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lacks", [False, True])
def test_products_are_the_same_with_and_without_instructions(monkeypatch, states, table, dtype, lacks):
  monkeypatch.setattr(processor, "lacks_bfloat16", lambda: lacks)
  states, table = tf.cast(draw(*states), dtype), tf.cast(draw(*table), dtype)
  made = tf.function(products.by_rows, autograph=False)(states, table)
  whole = np.asarray(states, np.float32) @ np.swapaxes(np.asarray(table, np.float32), -1, -2)
  assert made.dtype == states.dtype and made.shape == whole.shape
  np.testing.assert_allclose(tf.cast(made, tf.float32), whole, rtol=2e-2, atol=2e-2)


def test_what_a_processor_has():
  assert processor.bfloat16("flags : avx avx512_bf16 amx_bf16") == ["amx_bf16", "avx512_bf16"]
  assert processor.bfloat16("Features : fp bf16") == ["bf16"] and processor.bfloat16("flags : avx2") == []
