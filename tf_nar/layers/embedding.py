"""Token and position embeddings, shared by source, target and output layer.

They are those of the original program, with sine positions as an option.
"""
import keras
import tensorflow as tf

from tf_nar.layers import sine
from tf_nar.losses import emissions
from tf_nar.ops import masking


class Embedding(keras.layers.Layer):
  """One token table E and one position table P for source, target and output layer: sqrt(D) E[x] + sqrt(D) P[i]."""

  no_decay = ("output_bias",)

  def __init__(self, config, **kw):
    super().__init__(dtype=config.dtype, **kw)
    self.config = config
    init = lambda: keras.initializers.RandomNormal(stddev=config.width**-0.5)
    self.tokens = keras.layers.ReversibleEmbedding(
      config.vocab, config.width, embeddings_initializer=init(), name="tokens", dtype=config.dtype)
    self.bias = self.add_weight(name="output_bias", shape=(config.vocab,), initializer="zeros", dtype="float32")
    if config.positions == "learned":
      self.position_table = self.add_weight(
        name="positions", shape=(config.max_length + 1, config.width), initializer=init())
    self.build(None)

  def build(self, _):
    self.tokens.build()

  @property
  def table(self):
    """float [V, D], the token embeddings, which are also the weights of the output layer."""
    return tf.convert_to_tensor(self.tokens.embeddings)

  def look_up(self, tokens):
    """int32 [B, T] -> float [B, T, D], the token embeddings scaled by sqrt(D)."""
    tokens = tf.gather(self.table, tokens)
    return tf.cast(tokens * self.config.width**0.5, self.compute_dtype)

  def at(self, positions, longest):
    """Returns the embeddings of positions int32 [B, T], all below `longest`: float [B, T, D]."""
    return tf.gather(self.positions(longest), positions)

  def positions(self, length):
    """Returns the embeddings of the first `length` positions, float [length, D]: sqrt(D) P, or unscaled sinusoids."""
    if self.config.positions == "learned":
      positions = tf.convert_to_tensor(self.position_table)[:length] * self.config.width**0.5
    else:
      positions = sine.positions(length, self.config.width)
    return tf.cast(positions, self.compute_dtype)

  def logits(self, states):
    """float [..., D] -> float32 [..., V]."""
    tokens = tf.cast(self.table, states.dtype)
    return tf.cast(tf.einsum("...d,vd->...v", states, tokens), tf.float32) + tf.convert_to_tensor(self.bias)

  def token_log_probs(self, states, labels):
    """Returns log p of each of the tokens int32 [B, T], given states [B, T, D]: float32 [B, T], 0 at PAD; no gradient.
    """
    each = emissions.label_log_probs(states, self.table, tf.convert_to_tensor(self.bias), labels)
    return tf.where(masking.valid(labels), each, 0.0)

  def log_prob(self, states, labels):
    """Returns Σ log p of the tokens int32 [B, T] without PAD, given states [B, T, D]: float32 [B]; no gradient."""
    return tf.reduce_sum(self.token_log_probs(states, labels), -1)
