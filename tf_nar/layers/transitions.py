"""Who follows whom among the vertices of a DA-Transformer (Huang et al., ICML 2022).

  E[i, j] = Σ_h gate_ih softmax_j(q_ih k_jh / sqrt(d)),   j > i        heads h of size d

q, k and gate read a vertex's state and its place, an embedding of this layer's own, as in the released program.
"""
import keras
import tensorflow as tf

from tf_nar.ops import dag


class Transitions(keras.layers.Layer):
  """See the module; all in float32, whatever the net is in."""

  def __init__(self, config, vertices, **kw):
    """Args: config: a `transformer.Config`; vertices: how many there are at most."""
    super().__init__(dtype="float32", **kw)  # Keras casts what comes in, too.
    self.config = config
    self.positions = self.add_weight(
      name="places", shape=(vertices, config.width),
      initializer=keras.initializers.RandomNormal(stddev=config.width**-0.5))
    dense = lambda units, name: keras.layers.Dense(units, name=name, dtype="float32")
    self.query, self.key = dense(config.width, "query"), dense(config.width, "key")
    self.gate = dense(config.heads, "gate")
    self.build(None)

  def build(self, _):
    for part in (self.query, self.key, self.gate):
      part.build((None, None, 2 * self.config.width))

  def call(self, states, vertices):
    """Returns log E.

    Args:
      states: float [B, L, D].
      vertices: int32 [B], how many of each row are real.

    Returns:
      float32 [B, L, L], from and to; `dag.IMPOSSIBLE` unless both are real and the second is the later.
    """
    shape = tf.shape(states)
    positions = tf.broadcast_to(tf.convert_to_tensor(self.positions)[:shape[1]], shape)
    x = tf.concat([states, positions], -1)
    heads = tf.concat([shape[:2], [self.config.heads, self.config.width // self.config.heads]], 0)
    split = lambda y: tf.transpose(tf.reshape(y, heads), [0, 2, 1, 3])  # [B, H, L, d]
    gate = tf.transpose(tf.nn.log_softmax(self.gate(x)), [0, 2, 1])[..., None]  # [B, H, L, 1]
    at = tf.range(shape[1])
    allowed = (at[:, None] < at) & (at < vertices[:, None])[:, None]  # [B, L, L]
    # Recomputed on the way back, or every head would keep several [L, L] tensors a sentence.
    mixed = tf.recompute_grad(lambda *heads: _mixed(*heads, allowed))
    return mixed(split(self.query(x)), split(self.key(x)), gate)


def _mixed(query, key, gate, allowed):
  """Heads are normalised first and mixed then, so every row is a distribution."""
  scores = tf.matmul(query * query.shape[-1] ** -0.5, key, transpose_b=True)  # [B, H, L, L]
  log_prob = tf.nn.log_softmax(tf.where(allowed[:, None], scores, dag.IMPOSSIBLE))
  return tf.where(allowed, tf.reduce_logsumexp(log_prob + gate, 1), dag.IMPOSSIBLE)
