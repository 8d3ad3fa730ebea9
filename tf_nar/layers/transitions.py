"""The transition probabilities between the vertices of a DA-Transformer (Huang et al., ICML 2022).

  E[i, j] = Σ_h gate_ih softmax_j(q_ih k_jh / sqrt(d)),   j > i        heads h of size d

q, k and gate are computed from a vertex's state and its position embedding, which belongs to this layer, as in the
released program.
"""
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import transformer
from tf_nar.ops import dag


class Transitions(keras.layers.Layer):
  """See the module docstring. Computed in float32, whatever the dtype of the encoder-decoder."""

  def __init__(self, config: transformer.Config, vertices: int, **kw: Any):
    """Args: config: a `transformer.Config`; vertices: their greatest number."""
    super().__init__(dtype="float32", **kw)  # Keras casts the inputs, too.
    self.config = config
    self.positions = self.add_weight(
      name="positions", shape=(vertices, config.width),
      initializer=keras.initializers.RandomNormal(stddev=config.width**-0.5))
    dense = lambda units, name: keras.layers.Dense(units, name=name, dtype="float32")
    self.query, self.key = dense(config.width, "query"), dense(config.width, "key")
    self.gate = dense(config.heads, "gate")
    self.build(None)

  def build(self, _: tuple | None) -> None:
    for part in (self.query, self.key, self.gate):
      part.build((None, None, 2 * self.config.width))

  def call(self, states: tf.Tensor, vertices: tf.Tensor) -> tf.Tensor:
    """Returns log E.

    Args:
      states: float [B, L, D].
      vertices: int32 [B], the number of vertices of each sentence; the rest of the L are padding.

    Returns:
      float32 [B, L, L], log E[from, to]; `dag.IMPOSSIBLE` where `to` is padding or not after `from`.
    """
    shape = tf.shape(states)
    positions = tf.broadcast_to(tf.convert_to_tensor(self.positions)[:shape[1]], shape)
    x = tf.concat([states, positions], -1)
    heads = tf.concat([shape[:2], [self.config.heads, self.config.width // self.config.heads]], 0)
    split = lambda y: tf.transpose(tf.reshape(y, heads), [0, 2, 1, 3])  # [B, H, L, d]
    gate = tf.transpose(tf.nn.log_softmax(self.gate(x)), [0, 2, 1])[..., None]  # [B, H, L, 1]
    at = tf.range(shape[1])
    allowed = (at[:, None] < at) & (at < vertices[:, None])[:, None]  # [B, L, L]
    # Recomputed in the backward pass; else every head would keep several [L, L] tensors per sentence.
    mixed = tf.recompute_grad(lambda *heads: _mixed(*heads, allowed))
    return mixed(split(self.query(x)), split(self.key(x)), gate)


def _mixed(query, key, gate, allowed):
  """Normalises each head and then mixes the heads, so that every row is a distribution."""
  scores = tf.matmul(query * query.shape[-1] ** -0.5, key, transpose_b=True)  # [B, H, L, L]
  log_prob = tf.nn.log_softmax(tf.where(allowed[:, None], scores, dag.IMPOSSIBLE))
  return tf.where(allowed, tf.reduce_logsumexp(log_prob + gate, 1), dag.IMPOSSIBLE)
