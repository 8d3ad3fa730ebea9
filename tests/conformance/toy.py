"""A complete new family as in docs/adding.md, except for a line in `FAMILIES`, one in `families.TINY`, and a config.

It is `nat_em` with an additional state: a running mean of the source embeddings, which has no gradient and is added at
every decoder position.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import family
from tf_nar import types
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.models import one_pass
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib

Search = one_pass.Search
KEPT = 0.9


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()


TRAITS = family.Traits(
  lambda config, source, target: one_pass.operations(config.net, config.net.decoder_layers, source, target),
  offers=frozenset({"absorb", "initialise"}), one_pass=True, side_by_side=True, readings=one_pass.READINGS)


class Model(keras.Model):
  """See the module docstring."""

  traits = TRAITS

  def __init__(self, config):
    super().__init__(name="toy")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(config.net, decoder_layers=config.net.decoder_layers, length="absolute")
    self.mean = self.add_weight(name="mean", shape=(config.net.width,), initializer="zeros", trainable=False)
    self.updates = self.add_weight(name="updates", shape=(), initializer="zeros", dtype="int32", trainable=False)
    self.built = True

  def states(self, memory, lengths, positions, dropout):
    """Returns decoder states, float [B, T, D], with the running mean at every position."""
    canvas = self.net.mask_canvas(tf.shape(lengths)[0], positions)
    return self.net.decode(canvas + tf.cast(tf.convert_to_tensor(self.mean), canvas.dtype), lengths, memory, dropout)

  def objective(self, batch, *, seed, training, step=0):
    """Cross-entropy per target token, and that of the length; the statistics are sums over source tokens."""
    dropout = noise_lib.Dropout(seed if training else None)
    memory, lengths = self.net.encode(batch.src, dropout), masking.lengths(batch.tgt)
    states = self.states(memory, lengths, tf.shape(batch.tgt)[1], dropout)
    weight = tf.cast(masking.valid(batch.tgt), tf.float32) * batch.weight[:, None]
    terms = {"token": self.net.token_term(states, batch.tgt, weight),
             "length": self.net.length_term(memory, lengths, batch.weight, scale=0.1)}
    real = tf.cast(masking.valid(batch.src), tf.float32)
    embedded = tf.cast(tf.stop_gradient(self.net.embed.look_up(batch.src)), tf.float32)
    return types.Loss(terms, {"sum": tf.einsum("bs,bsd->d", real, embedded), "count": tf.reduce_sum(real)})

  def absorb(self, statistics):
    """m <- 0.9 m + 0.1 mean of the update's source tokens."""
    mean = tf.math.divide_no_nan(statistics["sum"], statistics["count"])
    self.mean.assign(KEPT * self.mean + (1 - KEPT) * mean)
    self.updates.assign_add(1)

  def initialise(self, batch, *, seed):
    """Initialises the mean with that of the first batch."""
    real = tf.cast(masking.valid(batch.src), tf.float32)
    self.mean.assign(tf.einsum("bs,bsd->d", real, self.net.embed.look_up(batch.src)) / tf.reduce_sum(real))

  def score(self, src, tgt):
    """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]."""
    memory, lengths = self.net.encode(src), masking.lengths(tgt)
    states = self.states(memory, lengths, tf.shape(tgt)[1], noise_lib.Dropout(None))
    return self.net.length_log_prob(memory, lengths) + self.net.embed.log_prob(states, tgt)

  def translate(self, src, search, rescore=None):
    """Decodes all length candidates in one pass."""
    return one_pass.translate(
      self.net, src, search, rescore,
      decoder=lambda memory, lengths, positions: self.states(memory, lengths, positions, noise_lib.Dropout(None)))
