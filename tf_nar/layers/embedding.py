"""Words and places: one table each for source, target and output (the original program's, and sine positions)."""
import keras
import keras_nlp
import tensorflow as tf

from tf_nar.losses import emissions
from tf_nar.ops import masking


class Embedding(keras.layers.Layer):
  """Words and places, one table each for source, target and output: sqrt(D) E[x] + sqrt(D) P[i]."""

  no_decay = ("output_bias",)

  def __init__(self, config, **kw):
    super().__init__(dtype=config.dtype, **kw)
    self.config = config
    init = lambda: keras.initializers.RandomNormal(stddev=config.width**-0.5)
    self.tokens = keras_nlp.layers.ReversibleEmbedding(
      config.vocab, config.width, embeddings_initializer=init(), name="tokens", dtype=config.dtype)
    self.bias = self.add_weight(name="output_bias", shape=(config.vocab,), initializer="zeros", dtype="float32")
    if config.positions == "learned":
      self.position_table = self.add_weight(
        name="positions", shape=(config.max_length + 1, config.width), initializer=init())
    else:
      self.sine = keras_nlp.layers.SinePositionEncoding()
    self.build(None)

  def build(self, _):
    self.tokens.build()

  @property
  def table(self):
    """float [V, D], the output layer's weights as well."""
    return tf.convert_to_tensor(self.tokens.embeddings)

  def look_up(self, tokens):
    """int32 [B, T] -> float [B, T, D], scaled."""
    tokens = tf.gather(self.table, tokens)
    return tf.cast(tokens * self.config.width**0.5, self.compute_dtype)

  def at(self, positions, longest):
    """Returns what stands for int32 [B, T] positions below `longest`, float [B, T, D]."""
    return tf.gather(self.positions(longest), positions)

  def positions(self, length):
    """Returns float [length, D]: sqrt(D) P, or sines and cosines as they are."""
    if self.config.positions == "learned":
      positions = tf.convert_to_tensor(self.position_table)[:length] * self.config.width**0.5
    else:
      positions = self.sine(tf.zeros([1, length, self.config.width]))[0]
    return tf.cast(positions, self.compute_dtype)

  def logits(self, states):
    """float [..., D] -> float32 [..., V]."""
    tokens = tf.cast(self.table, states.dtype)
    return tf.cast(tf.einsum("...d,vd->...v", states, tokens), tf.float32) + tf.convert_to_tensor(self.bias)

  def log_prob(self, states, labels):
    """Returns Σ log p of the words int32 [B, T], PAD left out, at states [B, T, D]: float32 [B]; no gradient."""
    each = emissions.label_log_probs(states, self.table, tf.convert_to_tensor(self.bias), labels)
    return tf.reduce_sum(tf.where(masking.valid(labels), each, 0.0), -1)
