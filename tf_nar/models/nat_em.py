"""The non-autoregressive student of Sun & Yang (ICML 2020), "An EM Approach to NAR Conditional Sequence Generation".

  p(y, T | x) = p(T | x) prod_i p(y_i | x, T)        T counts EOS, and EOS is said as the last word.

  in the paper's program                      here
  [LEN] slot: source shifted right by one     `Net.encode`: a zero vector before the source
  position_prediction_weights                 `Net.length`
  decoder input E[PAD] + P[i]                 `Net.blank`: nothing of the source, attention brings it
  num_decoder_layers + 1                      one block more than net.decoder_layers
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar.decode import argmax
from tf_nar.decode import length_parallel
from tf_nar.layers import parallel
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
    self.net = parallel.Net(config.net, decoder_layers=config.net.decoder_layers + 1, length=True)
    self.built = True

  def fill(self, memory, lengths, places, noise=QUIET):
    """Says what stands at each of `places` places of targets of `lengths` [B]: states float [B, T, D]."""
    return self.net.fill(self.net.blank(tf.shape(lengths)[0], places), lengths, memory, noise)

  def objective(self, batch, *, seed, training, step=0):
    """Label-smoothed cross-entropy a target token, and 0.1 of that of the length a sentence."""
    noise = noise_lib.Noise(seed if training else None)
    memory = self.net.encode(batch.src, noise)
    lengths = masking.lengths(batch.tgt)
    states = self.fill(memory, lengths, tf.shape(batch.tgt)[1], noise)
    weight = tf.cast(masking.valid(batch.tgt), tf.float32) * batch.weight[:, None]
    return {
      "token": self.net.word_term(states, batch.tgt, weight, smoothing=self.config.smoothing),
      "length": self.net.length_term(
        memory, lengths, batch.weight, smoothing=self.config.smoothing, scale=self.config.length_factor),
    }

  def score(self, src, tgt):
    """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]."""
    memory, lengths = self.net.encode(src), masking.lengths(tgt)
    logits = self.net.logits(self.fill(memory, lengths, tf.shape(tgt)[1]))
    said = cross_entropy.of_rows(logits, tgt, tf.cast(masking.valid(tgt), tf.float32))
    return self.net.length_log_prob(memory, lengths) - said

  def translate(self, src, search, rescore=None):
    """One pass for all length candidates at once.

    Args:
      src: int32 [B, S].
      search: a `Search`.
      rescore: maps tokens int32 [B, N, T] to log p float32 [B, N]; ranks the length candidates.
    """
    memory = self.net.encode(src)
    lengths = length_parallel.candidates(self.net.length_logits(memory), search.lengths, self.config.net.max_length)
    lengths = tf.where(masking.valid(src)[:, :1], lengths, 0)  # Blank rows stay blank.
    places = tf.maximum(tf.reduce_max(lengths), 1)  # A batch of blank rows has none, and a scan needs one.
    memory = self.net.project(memory)

    def fill(flat):  # [B N]: the rows of a sentence look at its one memory together.
      logits = self.net.logits(self.fill(memory, flat, places))
      # Differs: the original may say PAD or BOS, and not only as its last words.
      say = odd.odd if search.odd else argmax.argmax
      return say(logits, flat, forbid=words.UNSAYABLE)

    return length_parallel.length_parallel(fill, lengths, rescore, alpha=search.alpha)
