import numpy as np
import pytest
import tensorflow as tf

from tf_nar.layers import attention

WIDTH, HEADS = 8, 2


def built(**kw):
  layer = attention.Attention(WIDTH, HEADS, **kw)
  layer.build(None)
  return layer


def normal(*shape, seed=0):
  return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def attend(layer, x, *a, **kw):
  """x [B, T, D] -> the same shape; see `Attention.call`."""
  y, cache = layer(tf.reshape(x, [-1, WIDTH]), *a, sentences=x.shape[0], **kw)
  return tf.reshape(y, x.shape), cache


def by_hand(layer, x, mask):
  """Self-attention of one sentence [T, D], one head and one position at a time."""
  query, key, value = np.split(x @ layer.query_key_value.kernel.numpy(), 3, -1)
  seen, wide = np.zeros_like(x), WIDTH // HEADS
  for head in range(HEADS):
    at = slice(head * wide, (head + 1) * wide)
    for position in range(len(x)):
      scores = np.where(mask[position], key[:, at] @ query[position, at] / wide**0.5, -np.inf)
      prob = np.exp(scores - scores.max())
      seen[position, at] = prob / prob.sum() @ value[:, at]
  return seen @ layer.out.kernel.numpy()


def test_is_the_papers_attention():
  layer, x = built(), normal(2, 5, WIDTH)
  mask = np.random.default_rng(1).random((2, 5, 5)) < 0.5
  mask |= np.eye(5, dtype=bool)
  found, _ = attend(layer, x, attention.penalty(tf.constant(mask), tf.float32))
  for row in range(2):
    np.testing.assert_allclose(found[row], by_hand(layer, x[row].numpy(), mask[row]), rtol=1e-4, atol=1e-5)


def test_cache_holds_what_was_seen():
  layer, x = built(), normal(3, 4, WIDTH)
  whole, _ = attend(layer, x, attention.penalty(tf.constant(np.tri(4, dtype=bool)[None]), tf.float32))
  cache = (tf.zeros([3, HEADS, 4, WIDTH // HEADS]),) * 2
  for at in range(4):
    seen = attention.penalty((tf.range(4) <= at)[None, None], tf.float32)
    y, cache = attend(layer, x[:, at:at + 1], seen, cache=cache, at=at)
    np.testing.assert_allclose(y[:, 0], whole[:, at], rtol=1e-4, atol=1e-5)


def test_hidden_memory_has_no_influence():
  layer, x, memory = built(cross=True), normal(1, 2, WIDTH), normal(1, 4, WIDTH, seed=1)
  hidden = attention.penalty(tf.constant([[[True, True, False, False]]]), tf.float32)
  other = tf.concat([memory[:, :2], normal(1, 2, WIDTH, seed=2)], 1)
  one, two = (attend(layer, x, hidden, keys_values=layer.project(m))[0] for m in (memory, other))
  np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_maps_side_by_side_start_as_if_alone(parts):
  kernel = attention.glorot(parts)((100, parts * 100)).numpy()
  limit = (6 / 200) ** 0.5  # Glorot's for one projection of 100 x 100.
  assert 0.99 * limit < abs(kernel).max() <= limit


def test_width_that_heads_do_not_divide_is_refused():
  with pytest.raises(ValueError, match=r"net.width \(8\) must be a multiple of net.heads \(3\)"):
    attention.Attention(8, 3)
