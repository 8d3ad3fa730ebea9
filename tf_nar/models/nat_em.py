"""The non-autoregressive student of Sun & Yang (ICML 2020), "An EM Approach to NAR Conditional Sequence Generation".

  p(y, T | x) = p(T | x) prod_i p(y_i | x, T)        T counts EOS, and EOS is said as the last word.

  in the paper's program                      here
  [LEN] slot: source shifted right by one     `encode`: a zero vector before the source
  position_prediction_weights                 `length`
  decoder input E[PAD] + P[i]                 `fill`: nothing of the source, attention brings it
  num_decoder_layers + 1                      one block more than net.decoder_layers
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import length_parallel
from tf_nar.layers import transformer
from tf_nar.layers.attention import QUIET
from tf_nar.losses import cross_entropy
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import odd
from tf_nar.ops import words


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Of words and of lengths.
  length_factor: float = 0.1  # Weight of the length in the loss; it is 1 in the score.


@dataclasses.dataclass(frozen=True)
class Search:
  odd: bool = True  # No word twice in a row, by the exact programme; else the best word at each place.
  lengths: int = 1  # Length candidates around the likeliest.
  alpha: float = 0.6  # Length penalty of rescoring, as in the teacher's beam.


class Model(keras.Model):
  """See the module. The contract of a family is the three last methods."""

  def __init__(self, config):
    super().__init__(name="nat_em")
    self.config = config
    net = config.net
    self.embed = transformer.Embedding(net, name="embed")
    self.source_bias = self.add_weight(name="source_bias", shape=(net.width,), initializer="zeros")
    self.length = self.add_weight(
      name="length", shape=(net.max_length + 1, net.width), initializer=keras.initializers.RandomNormal(
        stddev=net.width**-0.5))
    self.encoder = transformer.Stack(net, net.encoder_layers, name="encoder")
    self.decoder = transformer.Stack(net, net.decoder_layers + 1, cross=True, name="decoder")
    self.built = True

  def encode(self, src, noise=QUIET):
    """int32 [B, S] -> float [B, 1 + S, D], the [LEN] slot first.

    # Differs: the original let the last padded place fall off; a source of full length lost its EOS.
    """
    x = tf.pad(self.embed.look_up(src), [[0, 0], [1, 0], [0, 0]]) + self.embed.positions(1 + tf.shape(src)[1])
    x += tf.cast(tf.convert_to_tensor(self.source_bias), x.dtype)
    return self.encoder(x, self._slots(src), noise=noise)

  def length_logits(self, memory):
    """float [B, 1 + S, D] -> float32 [B, max_length + 1]: the class is the target's length."""
    return tf.matmul(tf.cast(memory[:, 0], tf.float32), tf.convert_to_tensor(self.length), transpose_b=True)

  def fill(self, memory, memory_mask, lengths, places, noise=QUIET):
    """Says what stands at each of `places` places of targets of `lengths` [B]: states float [B, T, D]."""
    blank = self.embed.look_up([[types.PAD]]) + self.embed.positions(places)  # [1, T, D]
    x = tf.tile(blank, [tf.shape(lengths)[0], 1, 1])
    mask = tf.sequence_mask(lengths, places)[:, None]
    return self.decoder(x, mask, memory, memory_mask, noise=noise)

  def objective(self, batch, *, seed, training, step=0):
    """Label-smoothed cross-entropy a target token, and 0.1 of that of the length a sentence."""
    noise = noise_lib.Noise(seed if training else None)
    memory = self.encode(batch.src, noise)
    lengths = masking.lengths(batch.tgt)
    states = self.fill(memory, self._words(batch.src), lengths, tf.shape(batch.tgt)[1], noise)
    weight = tf.cast(masking.valid(batch.tgt), tf.float32) * batch.weight[:, None]
    token = cross_entropy.tied_cross_entropy(
      states, self.embed.table, self.embed.bias, batch.tgt, weight, self.config.smoothing)
    weight_length = batch.weight * tf.cast(lengths > 0, tf.float32)
    length = cross_entropy.cross_entropy(
      self.length_logits(memory), lengths, weight_length, self.config.smoothing)
    return {
      "token": types.Term(token, tf.reduce_sum(weight)),
      "length": types.Term(length, tf.reduce_sum(weight_length), self.config.length_factor),
    }

  def score(self, src, tgt):
    """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]."""
    memory, lengths = self.encode(src), masking.lengths(tgt)
    logits = self.embed.logits(self.fill(memory, self._words(src), lengths, tf.shape(tgt)[1]))
    said = cross_entropy.of_rows(logits, tgt, tf.cast(masking.valid(tgt), tf.float32))
    length = cross_entropy.of_rows(self.length_logits(memory)[:, None], lengths[:, None], tf.ones_like(said)[:, None])
    return -said - length

  def translate(self, src, search, rescore=None):
    """One pass for all length candidates at once.

    Args:
      src: int32 [B, S].
      search: a `Search`.
      rescore: maps tokens int32 [B, N, T] to log p float32 [B, N]; ranks the length candidates.
    """
    memory = self.encode(src)
    lengths = length_parallel.candidates(self.length_logits(memory), search.lengths, self.config.net.max_length)
    lengths = tf.where(masking.valid(src)[:, :1], lengths, 0)  # Blank rows stay blank.
    places = tf.maximum(tf.reduce_max(lengths), 1)  # A batch of blank rows has none, and a scan needs one.
    projected, mask = self.decoder.project(memory), self._words(src)

    def fill(flat):  # [B N]: the rows of a sentence look at its one memory together.
      logits = self.embed.logits(self.fill(projected, mask, flat, places))
      # Differs: the original may say PAD or BOS, and not only as its last words.
      say = odd.odd if search.odd else argmax.argmax
      return say(logits, flat, forbid=words.UNSAYABLE)

    return length_parallel.length_parallel(fill, lengths, rescore, alpha=search.alpha)

  def _slots(self, src):
    """bool [B, 1, 1 + S], what the encoder sees: the [LEN] slot, the words and EOS."""
    return tf.pad(masking.valid(src), [[0, 0], [1, 0]], constant_values=True)[:, None]

  def _words(self, src):
    """bool [B, 1, 1 + S], what the decoder sees: the [LEN] slot and the words but not the source's EOS."""
    return tf.sequence_mask(masking.lengths(src), 1 + tf.shape(src)[1])[:, None]
