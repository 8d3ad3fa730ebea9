import numpy as np
import tensorflow as tf

from tf_nar.layers import attention
from tf_nar.layers import positional
from tf_nar.layers import sine

WIDTH, HEADS = 8, 2


def normal(*shape, seed=0):
  return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def attend(layer, x, lengths):
  hidden = attention.penalty(tf.sequence_mask(lengths, x.shape[1])[:, None], tf.float32)
  return tf.reshape(layer(tf.reshape(x, [-1, WIDTH]), hidden, sentences=x.shape[0]), x.shape)


def built():
  layer = positional.PositionalAttention(WIDTH, HEADS)
  layer.build(None)
  return layer


def test_by_hand():
  layer, x, wide = built(), normal(1, 4, WIDTH), WIDTH // HEADS
  sines = sine.positions(4, WIDTH).numpy()
  query, key = np.split(sines @ layer.query_key.kernel.numpy(), 2, -1)
  value = x[0].numpy() @ layer.value.kernel.numpy()
  seen = np.zeros([4, WIDTH])
  for head in range(HEADS):
    at = slice(head * wide, (head + 1) * wide)
    scores = query[:3, at] @ key[:3, at].T / wide**0.5
    prob = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    seen[:3, at] = prob @ value[:3, at]
  np.testing.assert_allclose(attend(layer, x, [3])[0, :3], (seen @ layer.out.kernel.numpy())[:3], atol=1e-5)


def test_weights_depend_on_positions_alone():
  # So the layer is linear in the states.
  layer, x = built(), normal(2, 5, WIDTH)
  np.testing.assert_allclose(attend(layer, 3.0 * x, [5, 4]), 3.0 * attend(layer, x, [5, 4]), rtol=1e-4, atol=1e-5)
