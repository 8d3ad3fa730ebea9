"""The Glancing Transformer: Qian et al. (ACL 2021, arXiv:2008.07905), "Glancing Transformer for NAR MT".

  ŷ = argmax of a first pass over a canvas of PAD
  G = floor(λ d(ŷ, y)) positions drawn from all         d: Hamming distance
  L = -sum_{i not in G} log p(y_i | y_G, x, T)          the worse ŷ is, the more tokens are revealed

Translation is one pass over a canvas of PAD, as in `nat_em`.

  in the paper or its program                 here
  λ, 0.5 -> 0.3 over 300,000 updates          `Config.glance`
  one random seed before each of the passes   two `Dropout` of one seed for the decoder; the encoder runs once

# Differs: the canvas contains no copy of the source and no BOS; the length loss is a mean over sentences times
`length_factor` (in the program 0.05, times the share of hidden tokens), with the same label smoothing as the token
loss. The slot is that of `nat_em`: a zero vector with a position, which the decoder attends to, while it does not
attend to the source's EOS.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import family
from tf_nar import types
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.losses import ngrams
from tf_nar.models import one_pass
from tf_nar.ops import glancing
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations

Search = one_pass.Search
_ENCODER, _DECODER, _GLANCE = range(3)  # Numbers of the random streams.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Label smoothing of token and length losses.
  length_factor: float = 0.1  # Weight of the length loss; in the score, log p of the length has weight 1.
  glance: glancing.Glance = glancing.Glance()  # λ, the tokens revealed per wrong token of the first pass.
  ngrams: int = 0  # n > 0: the loss of tokens is that of expected n-grams, as 2; see `losses/ngrams.py`. Nothing is
  # revealed then.

  def __post_init__(self):
    ngrams.check(self.ngrams)


def _operations(config, source, target):
  one = one_pass.operations(config.net, config.net.decoder_layers, source, target)
  if not config.glance or config.ngrams:
    return one
  glanced = one.learned - operations.encoder(config.net, source + 1)
  return one._replace(glanced=glanced, glanced_positions=target)


TRAITS = family.Traits(
  _operations, offers=frozenset({"score_tokens", "align"}), one_pass=True, side_by_side=True, smoothed=True,
  shortlist=True, readings=one_pass.READINGS, proxy=lambda config: glancing.PROXY if config.glance else "none")


class Model(keras.Model):
  """See the module docstring. The interface of a family is `objective`, `score` and `translate`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="glat")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(config.net, decoder_layers=config.net.decoder_layers, length="absolute")
    self.built = True

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """Label-smoothed cross-entropy per hidden token, plus `length_factor` times that of the length per sentence.

    If not `training`, nothing is revealed, so that it is the loss of all tokens in the one pass of a translation. With
    `ngrams`, in training, the loss of expected n-grams of that pass replaces the first.
    """
    inside, lengths = masking.valid(batch.tgt), masking.lengths(batch.tgt)
    stream = lambda n: noise_lib.stream(seed, n)
    dropout = lambda n: noise_lib.Dropout(stream(n) if training else None)
    memory = self.net.encode(batch.src, dropout(_ENCODER))

    def states(shown):
      canvas = self.net.canvas(tf.where(shown, batch.tgt, types.PAD))
      return self.net.decode(canvas, lengths, memory, dropout(_DECODER))

    length = self.net.length_term(
      memory, lengths, batch.weight, smoothing=self.config.smoothing, scale=self.config.length_factor)
    shown = tf.zeros_like(inside)
    if training and self.config.ngrams:
      return types.Loss(one_pass.bag(self.net, states(shown), batch, self.config.ngrams) | {"length": length})
    if training and self.config.glance:
      wrong = self.net.likeliest(tf.stop_gradient(states(shown))) != batch.tgt
      shown = glancing.shown(stream(_GLANCE), wrong, inside, self.config.glance.at(step))
    weight = tf.cast(inside & ~shown, tf.float32) * batch.weight[:, None]
    token = self.net.token_term(states(shown), batch.tgt, weight, smoothing=self.config.smoothing)
    return types.Loss({"token": token, "length": length})

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]; no token is revealed."""
    return one_pass.score(self.net, src, tgt)

  def score_tokens(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(y_i | x, T) of each token, float32 [B, T]."""
    return one_pass.score_tokens(self.net, src, tgt)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention, float32 [B, T, S]."""
    return one_pass.align(self.net, src, tgt)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Decodes all length candidates in one pass; see `one_pass.translate`."""
    return one_pass.translate(self.net, src, search, rescore)
