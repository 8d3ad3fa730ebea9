"""The non-autoregressive student of Sun & Yang (ICML 2020), "An EM Approach to NAR Conditional Sequence Generation".

  p(y, T | x) = p(T | x) prod_i p(y_i | x, T)        T counts EOS, which is predicted as the last token

  in the paper's program                      here
  [LEN] slot: source shifted right by one     `EncoderDecoder.encode`: a zero vector before the source
  position_prediction_weights                 `EncoderDecoder.length`
  decoder input E[PAD] + P[i]                 `EncoderDecoder.mask_canvas`: the source enters by cross-attention alone
  num_decoder_layers + 1                      one block more than net.decoder_layers
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
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib

Search = one_pass.Search


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Label smoothing of token and length losses.
  length_factor: float = 0.1  # Weight of the length loss; in the score, log p of the length has weight 1.
  ngrams: int = 0  # n > 0: the loss of tokens is that of expected n-grams, as 2; see `losses/ngrams.py`.

  def __post_init__(self):
    ngrams.check(self.ngrams)


TRAITS = family.Traits(
  lambda config, source, target: one_pass.operations(config.net, config.net.decoder_layers + 1, source, target),
  offers=frozenset({"score_tokens", "align"}), one_pass=True, side_by_side=True, smoothed=True, shortlist=True,
  readings=one_pass.READINGS)


class Model(keras.Model):
  """See the module docstring. The interface of a family is `objective`, `score` and `translate`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="nat_em")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(
      config.net, decoder_layers=config.net.decoder_layers + 1, length="absolute")
    self.built = True

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """Label-smoothed cross-entropy per target token, plus `length_factor` times that of the length per sentence.

    With `ngrams`, in training, the loss of expected n-grams replaces the first.
    """
    dropout = noise_lib.Dropout(seed if training else None)
    memory = self.net.encode(batch.src, dropout)
    lengths = masking.lengths(batch.tgt)
    states = one_pass.decode(self.net, memory, lengths, tf.shape(batch.tgt)[1], dropout)
    length = self.net.length_term(
      memory, lengths, batch.weight, smoothing=self.config.smoothing, scale=self.config.length_factor)
    if training and self.config.ngrams:
      return types.Loss(one_pass.bag(self.net, states, batch, self.config.ngrams) | {"length": length})
    weight = tf.cast(masking.valid(batch.tgt), tf.float32) * batch.weight[:, None]
    token = self.net.token_term(states, batch.tgt, weight, smoothing=self.config.smoothing)
    return types.Loss({"token": token, "length": length})

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]."""
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
