"""Multi-head attention with a boolean mask, for every pattern of who sees whom (Vaswani et al., 2017, §3.2).

keras.layers.MultiHeadAttention is not used: its dropout noise is state of the layer, ours is an argument;
and one product makes queries, keys and values here, which is what a small model's step is spent on.
"""
import keras
import tensorflow as tf

from tf_nar.layers import dense as dense_lib
from tf_nar.ops import noise as noise_lib

QUIET = noise_lib.Noise(None)
HIDDEN = 1e9  # What is taken from the score of a place that may not be seen.


def glorot(parts=1):
  """Glorot-uniform for `parts` square maps held side by side in one kernel."""
  return keras.initializers.VarianceScaling((1 + parts) / 2, "fan_avg", "uniform")


def penalty(mask, dtype):
  """Turns a boolean mask [B, T, S] (True: may attend) into what attention subtracts, [B, 1, T, S]."""
  return tf.cast(tf.where(mask, 0.0, HIDDEN), dtype)[:, None]


class Attention(keras.layers.Layer):
  """Queries of one sequence over keys and values of another, or of the same."""

  def __init__(self, width, heads, dropout=0.0, cross=False, **kw):
    """Args: cross: whether the memory is another sequence than the query."""
    super().__init__(**kw)
    if width % heads:
      raise ValueError(f"net.width ({width}) must be a multiple of net.heads ({heads}).")
    self.width, self.heads, self.rate, self.cross = width, heads, dropout, cross
    dense = lambda parts, name: dense_lib.Dense(
      parts * width, kernel_initializer=glorot(parts), name=name, dtype=self.dtype_policy)
    if cross:
      self.query, self.key_value = dense(1, "query"), dense(2, "key_value")
    else:
      self.query_key_value = dense(3, "query_key_value")
    self.out = dense(1, "out")

  def build(self, _):
    shape = (None, None, self.width)
    for part in [self.query, self.key_value] if self.cross else [self.query_key_value]:
      part.build(shape)
    self.out.build(shape)
    self.built = True

  def project(self, memory):
    """Returns keys and values, each [B, H, S, d], of a memory [B, S, D]; only if `cross`."""
    return self._split(self.key_value(memory), 2)

  def call(self, x, penalty, keys_values=None, noise=QUIET, cache=None, at=None):
    """Attends.

    Args:
      x: float [B, T, D].
      penalty: [B or 1, 1, T or 1, S], taken from the scores.
      keys_values: `project(memory)` if `cross`.
      noise: where dropout comes from.
      cache: keys and values of earlier places, float [B, H, S, d] each; `x` is the place `at` alone.

    Returns:
      float [B, T, D], and the cache with this place in it if there was one.
    """
    if self.cross:
      (query,), (key, value) = self._split(self.query(x), 1), keys_values
    else:
      query, key, value = self._split(self.query_key_value(x), 3)
    if cache is not None:
      cache = key, value = _put(cache[0], key, at), _put(cache[1], value, at)
    scores = tf.matmul(query * (self.width // self.heads) ** -0.5, key, transpose_b=True)  # [B, H, T, S]
    # Subtracted, not added: TensorFlow fuses a product and an addition into one kernel, which on a CPU, in
    # bfloat16, took four fifths of a forward pass.
    weights = noise.drop(tf.nn.softmax(scores - penalty), self.rate)
    seen = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])  # [B, T, H, d]
    y = self.out(tf.reshape(seen, tf.concat([tf.shape(x)[:2], [self.width]], 0)))
    return y if cache is None else (y, cache)

  def _split(self, x, parts):
    """float [B, T, parts D] -> `parts` times [B, H, T, d]."""
    shape = tf.concat([tf.shape(x)[:2], [parts, self.heads, self.width // self.heads]], 0)
    return tf.unstack(tf.transpose(tf.reshape(x, shape), [2, 0, 3, 1, 4]))


def _put(cache, new, at):
  """Writes new [B, H, 1, d] at place `at` of cache [B, H, S, d]; a scatter, for it can write in place."""
  shape, width = tf.shape(cache), cache.shape[-1]
  rows = tf.range(shape[0] * shape[1])
  places = tf.stack([rows, tf.fill(tf.shape(rows), at)], 1)
  flat = tf.reshape(cache, [-1, shape[2], width])
  return tf.reshape(tf.tensor_scatter_nd_update(flat, places, tf.reshape(new, [-1, width])), shape)
