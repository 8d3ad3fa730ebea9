"""Multi-head attention with an arbitrary boolean mask (Vaswani et al., 2017, §3.2).

keras.layers.MultiHeadAttention is not used for two reasons. It keeps the random state of dropout in the layer, which
is an argument here. And here queries, keys and values come from one matrix product, which saves a good part of a small
model's step time.
"""
import contextlib
import contextvars
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import dense as dense_lib
from tf_nar.ops import alignment
from tf_nar.ops import noise as noise_lib

NO_DROPOUT = noise_lib.Dropout(None)
HIDDEN = 1e9  # Subtracted from the attention score of a masked position.
_TRANSPOSED = contextvars.ContextVar("transposed", default=False)


def glorot(parts: int = 1) -> keras.initializers.Initializer:
  """Returns a Glorot-uniform initialiser for `parts` square projections stored side by side in one kernel."""
  return keras.initializers.VarianceScaling((1 + parts) / 2, "fan_avg", "uniform")


def penalty(mask: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  """Turns a boolean mask [B, T, S] (True: may attend) into what is subtracted from the scores, [B, 1, T, S]."""
  return tf.cast(tf.where(mask, 0.0, HIDDEN), dtype)[:, None]


@contextlib.contextmanager
def transposed() -> Iterator[None]:
  """Within it translation, too, separates heads by a transposition: OpenVINO has no splits of unknown shape."""
  before = _TRANSPOSED.set(True)
  try:
    yield
  finally:
    _TRANSPOSED.reset(before)


class Seen:
  """The attention weights, [B, H, T, S], of all layers that were called with it; not a list, which Keras would copy."""

  def __init__(self):
    self.weights = []


def alignment_of(
    decode: Callable[["Seen"], Any], src: tf.Tensor, tgt: tf.Tensor, first: int | tf.Tensor = 0) -> tf.Tensor:
  """Returns the mean cross-attention of a call of a decoder, float32 [B, T, S]; see `ops/alignment.py`, `attended`.

  `decode` calls the decoder and passes the `Seen` that it is given on to it.
  """
  seen = Seen()
  decode(seen)
  return alignment.attended(seen.weights, src, tgt, first)


class Attention(keras.layers.Layer):
  """Self-attention, or cross-attention if `cross`."""

  def __init__(self, width: int, heads: int, dropout: float = 0.0, cross: bool = False, shards: int = 1, **kw: Any):
    """Args:
      width: D, the number of features.
      heads: H, of all shards together.
      dropout: rate of dropout on the attention weights.
      cross: whether keys and values come from another sequence, the memory.
      shards: this layer has heads / shards of the heads; the full output is the sum over all shards.
    """
    super().__init__(**kw)
    if width % heads:
      raise ValueError(f"net.width ({width}) must be a multiple of net.heads ({heads}).")
    self.width, self.rate, self.cross = width, dropout, cross
    self.heads, self.inner = heads // shards, width // shards
    dense = lambda parts, name: dense_lib.Dense(
      parts * self.inner, projections=parts, kernel_initializer=glorot(parts), name=name, dtype=self.dtype_policy)
    if cross:
      self.query, self.key_value = dense(1, "query"), dense(2, "key_value")
    else:
      self.query_key_value = dense(3, "query_key_value")
    self.out = dense_lib.Dense(width, kernel_initializer=glorot(), name="out", dtype=self.dtype_policy)

  def build(self, _: tuple | None) -> None:
    shape = (None, None, self.width)
    for part in [self.query, self.key_value] if self.cross else [self.query_key_value]:
      part.build(shape)
    self.out.build((None, None, self.inner))
    self.built = True

  def project(self, memory: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT) -> list[tf.Tensor]:
    """Returns keys and values, each [B, H, S, d] with d = D / H, of a memory [B, S, D]; only if `cross`."""
    return self._heads(self.key_value(memory), tf.shape(memory)[0], 2, dropout)

  def call(
      self, x: tf.Tensor, penalty: tf.Tensor, *, sentences: int | tf.Tensor, keys_values: list[tf.Tensor] | None = None,
      dropout: noise_lib.Dropout = NO_DROPOUT, cache: tuple | None = None, at: tf.Tensor | None = None,
      seen: Seen | None = None) -> tuple[tf.Tensor, tuple | None]:
    """Computes attention.

    Args:
      x: float [B·T, D], the positions of all sentences, one sentence after the other.
      penalty: [B or 1, 1, T or 1, S], subtracted from the scores.
      sentences: B, the number of sentences in `x`.
      keys_values: `project(memory)` if `cross`. If `x` has K·B rows for a memory of B sentences, the K rows of a
        sentence follow each other and are treated as one long sequence of queries over its memory.
      dropout: a `noise.Dropout`.
      cache: keys and values of earlier positions, float [B, H, S, d] each.
      at: int32 [], the position in the cache to write, of which `x` then is, or the first of `x`: others attend, but
        their own keys and values are not kept. None: `x` attends to the cache and to itself, S + T positions, and the
        cache is not written.
      seen: a `Seen` to which the attention weights are appended; None: they are not kept.

    Returns:
      float [B·T, D], and the cache with this position in it; without `at`, the keys and values of `x`; None if there
      was no cache.
    """
    if self.cross:
      key, value = keys_values
      query, = self._heads(self.query(x), tf.shape(key)[0], 1, dropout)
    else:
      query, key, value = self._heads(self.query_key_value(x), sentences, 3, dropout)
    if cache is not None and at is not None:
      cache = key, value = _put(cache[0], key[:, :, :1], at), _put(cache[1], value[:, :, :1], at)
    elif cache is not None:
      new = key, value
      key, value = (tf.concat(both, 2) for both in zip(cache, new, strict=True))
      cache = new
    scores = tf.matmul(query * (self.inner // self.heads) ** -0.5, key, transpose_b=True)  # [B, H, T, S]
    # The penalty is subtracted, not added: TensorFlow fuses a matrix product and an addition into one kernel, which
    # is slow on a CPU in bfloat16.
    weights = dropout.drop(tf.nn.softmax(scores - penalty), self.rate)
    if seen is not None:
      seen.weights.append(weights)
    return self.out(self._rows(tf.matmul(weights, value), dropout)), cache

  # Heads are separated by splits when dropout is off and by a transposition in training. In translation there are few
  # rows, and a transposition spends longer waiting for threads than working; in training there are thousands.

  def _heads(self, x, sentences, parts, dropout):
    """float [..., parts·D] -> `parts` tensors [B, H, T, d]."""
    if _by_transposition(dropout):
      shape = [sentences, -1, parts, self.heads, self.inner // self.heads]
      return tf.unstack(tf.transpose(tf.reshape(x, shape), [2, 0, 3, 1, 4]))
    slices = tf.split(tf.reshape(x, [sentences, -1, parts * self.inner]), parts * self.heads, -1)
    return [tf.stack(slices[i:i + self.heads], 1) for i in range(0, len(slices), self.heads)]

  def _rows(self, x, dropout):
    """float [B, H, T, d] -> [B·T, inner]."""
    x = tf.transpose(x, [0, 2, 1, 3]) if _by_transposition(dropout) else tf.concat(tf.unstack(x, self.heads, 1), -1)
    return tf.reshape(x, [-1, self.inner])


def _by_transposition(dropout):
  return not dropout.deterministic or _TRANSPOSED.get()


def _put(cache, new, at):
  """Writes new [B, H, 1, d] at position `at` of cache [B, H, S, d], by a scatter, which can update in place."""
  shape, width = tf.shape(cache), cache.shape[-1]
  rows = tf.range(shape[0] * shape[1])
  positions = tf.stack([rows, tf.fill(tf.shape(rows), at)], 1)
  flat = tf.reshape(cache, [-1, shape[2], width])
  return tf.reshape(tf.tensor_scatter_nd_update(flat, positions, tf.reshape(new, [-1, width])), shape)
