"""The Glancing Transformer: Qian et al. (ACL 2021, arXiv:2008.07905), "Glancing Transformer for NAR MT".

  ŷ = argmax of a first pass over a blank canvas
  G = floor(λ d(ŷ, y)) places drawn from all            d: Hamming distance
  L = -sum_{i not in G} log p(y_i | y_G, x, T)          so with a poor ŷ the words are learned among shown ones

Translating is one pass over a blank canvas, as in `nat_em`.

  in the paper or its program                 here
  λ, 0.5 -> 0.3 over 300,000 updates          `Config.glance`
  one random seed before each of the passes   two `Noise` of one seed for the decoder; the encoder runs once

# Differs: the canvas copies nothing of the source; there is no BOS in it; the length's loss is `length_factor` a
sentence (0.05, times the share of hidden words), smoothed as the words'. The slot is `nat_em`'s: a zero vector with a
position that stays in the memory, where the source's EOS does not.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import family
from tf_nar import types
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.models import one_pass
from tf_nar.ops import glancing
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations

Search = one_pass.Search
_ENCODER, _DECODER, _GLANCE = range(3)  # Streams of a seed.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Of words and of lengths.
  length_factor: float = 0.1  # Weight of the length in the loss; it is 1 in the score.
  glance: glancing.Glance = glancing.Glance()  # Words shown for each word that the first pass gets wrong.


def _operations(config, source, target):
  one = one_pass.operations(config.net, config.net.decoder_layers, source, target)
  if not config.glance:
    return one
  glanced = one.learned - operations.encoder(config.net, source + 1)
  return one._replace(glanced=glanced, glanced_positions=target)


TRAITS = family.Traits(_operations, one_pass=True, side_by_side=True, smoothed=True, readings=one_pass.READINGS)


class Model(keras.Model):
  """See the module. The contract of a family is the three last methods."""

  traits = TRAITS

  def __init__(self, config):
    super().__init__(name="glat")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(config.net, decoder_layers=config.net.decoder_layers, length=True)
    self.built = True

  def objective(self, batch, *, seed, training, step=0):
    """Label-smoothed cross-entropy a hidden token, and 0.1 of that of the length a sentence.

    At rest nothing is shown: it is the loss of all words in the one pass of a translation.
    """
    inside, lengths = masking.valid(batch.tgt), masking.lengths(batch.tgt)
    stream = lambda n: noise_lib.stream(seed, n)
    dropout = lambda n: noise_lib.Dropout(stream(n) if training else None)
    memory = self.net.encode(batch.src, dropout(_ENCODER))

    def states(shown):
      canvas = self.net.canvas(tf.where(shown, batch.tgt, types.PAD))
      return self.net.decode(canvas, lengths, memory, dropout(_DECODER))

    shown = tf.zeros_like(inside)
    if training and self.config.glance:
      wrong = self.net.likeliest(tf.stop_gradient(states(shown))) != batch.tgt
      shown = glancing.shown(stream(_GLANCE), wrong, inside, self.config.glance.at(step))
    weight = tf.cast(inside & ~shown, tf.float32) * batch.weight[:, None]
    return types.Loss({
      "token": self.net.token_term(states(shown), batch.tgt, weight, smoothing=self.config.smoothing),
      "length": self.net.length_term(
        memory, lengths, batch.weight, smoothing=self.config.smoothing, scale=self.config.length_factor),
    })

  def score(self, src, tgt):
    """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]: nothing is shown."""
    return one_pass.score(self.net, src, tgt)

  def translate(self, src, search, rescore=None):
    """One pass for all length candidates at once; see `one_pass.translate`."""
    return one_pass.translate(self.net, src, search, rescore)
