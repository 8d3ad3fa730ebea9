"""The two axes of the latents of `lanmt`: at the positions of the target, or at those of the source.

Each is a layer with prior, posterior and the projection of z to the decoder's width. R rows of a translation are N
candidates of each of B sentences, those of a sentence adjacent; A, the number of latents, is T or S.
"""
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_nar.layers import dense
from tf_nar.layers import encoder_decoder
from tf_nar.layers import latents
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.ops import copying
from tf_nar.ops import gaussian
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib


class Encoded(NamedTuple):
  """An encoded source."""

  tokens: tf.Tensor  # int32 [B, S].
  memory: encoder_decoder.Memory  # The encoder states.
  decoder: encoder_decoder.Memory  # The same for the decoder, and
  posterior: encoder_decoder.Memory  # for the posterior: projected when they serve several passes.


def rows(x: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
  """Repeats x [B, ...] to [count, ...], for a count that is a multiple of B."""
  return tf.repeat(x, count // tf.shape(x)[0], axis=0)


class TargetAxis(keras.layers.Layer):
  """A latent at each target position (Lee et al., EMNLP 2020). The length is predicted once, from the source."""

  def __init__(self, config: Any):
    super().__init__(name="latents", dtype=config.net.dtype)
    stack = lambda depth, name: latents.GaussianStack(
      config.net, depth or config.net.decoder_layers, config.latent.dimensions, name=name)
    self.prior_stack = stack(config.latent.prior_layers, "prior")
    self.posterior_stack = stack(config.latent.posterior_layers, "posterior")
    self.vector = dense.Dense(config.net.width, name="vector", dtype=config.net.dtype)
    self.vector.build((None, None, config.latent.dimensions))
    self.built = True

  def inside(self, source: Encoded, lengths: tf.Tensor, positions: int | tf.Tensor | None) -> tf.Tensor:
    """Returns bool [R, A], True at the latents of targets of `lengths` int32 [R]; A is `positions`."""
    return tf.sequence_mask(lengths, positions)

  def project(self, memory: encoder_decoder.Memory) -> encoder_decoder.Memory:
    """Returns the memory of the posterior, projected."""
    return self.posterior_stack.project(memory)

  def prior(
      self, net: encoder_decoder.EncoderDecoder, source: Encoded, lengths: tf.Tensor, positions: int | tf.Tensor | None,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> gaussian.Gaussian:
    """Returns p(z | x, T), a `Gaussian` of float32 [R, A, Z]: the queries are the positions alone."""
    shape = [tf.shape(lengths)[0], positions, net.config.width]
    queries = tf.broadcast_to(net.embed.positions(positions), shape)
    return self.prior_stack(queries, self.inside(source, lengths, positions), source.memory, dropout=dropout)

  def posterior(
      self, net: encoder_decoder.EncoderDecoder, source: Encoded, tokens: tf.Tensor, lengths: tf.Tensor,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> gaussian.Gaussian:
    """Returns q(z | x, y) of targets int32 [R, T], a `Gaussian` of float32 [R, A, Z]: the queries are the target."""
    inside = self.inside(source, lengths, tf.shape(tokens)[1])
    return self.posterior_stack(net.canvas(tokens), inside, source.posterior, dropout=dropout)

  def canvas(
      self, net: encoder_decoder.EncoderDecoder, source: Encoded, z: tf.Tensor, lengths: tf.Tensor,
      positions: int | tf.Tensor) -> tf.Tensor:
    """Returns the decoder's input, float [R, T, D].

    # Differs: the positions are added, as the first paper does; the second paper's decoder gets them from z alone.
    """
    return self.vector(z) + net.embed.positions(positions)

  def length_memory(self, source: Encoded, z: tf.Tensor) -> encoder_decoder.Memory:
    """Returns what the length head reads: the encoder states, of B rows, as the length does not depend on z."""
    return source.memory


class SourceAxis(keras.layers.Layer):
  """A latent at each source position (Shu et al., AAAI 2020), from which the length is predicted.

  The encoder states are the prior's; the posterior encodes the target and reads it from the source's positions.
  """

  no_decay = ("sigma",)  # A width, which decay would draw to 0.

  def __init__(self, config: Any):
    super().__init__(name="latents", dtype=config.net.dtype)
    net, latent = config.net, config.latent
    depth = latent.posterior_layers or net.decoder_layers
    self.prior_head = latents.GaussianHead(net.width, latent.dimensions, name="prior")
    self.target_stack = transformer.Stack(net, depth, name="posterior_target")
    self.posterior_stack = latents.GaussianStack(net, depth, latent.dimensions, name="posterior")
    self.vector = dense.Dense(net.width, name="vector", dtype=net.dtype)
    self.vector.build((None, None, latent.dimensions))
    normal = keras.initializers.RandomNormal(stddev=net.width**-0.5)
    self.length_table = self.add_weight(
      name="lengths", shape=(net.max_length + 1, net.width), initializer=normal, dtype="float32")
    self.sigma = self.add_weight(name="sigma", shape=(), initializer="ones", dtype="float32")
    self.built = True

  def inside(self, source: Encoded, lengths: tf.Tensor, positions: int | tf.Tensor | None) -> tf.Tensor:
    """Returns bool [R, A], True at the positions of the source."""
    return rows(masking.valid(source.tokens), tf.shape(lengths)[0])

  def project(self, memory: encoder_decoder.Memory) -> encoder_decoder.Memory:
    """The posterior's memory is the target, so there is nothing to project."""
    return memory

  def prior(
      self, net: encoder_decoder.EncoderDecoder, source: Encoded, lengths: tf.Tensor, positions: int | tf.Tensor | None,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> gaussian.Gaussian:
    """Returns p(z | x), a `Gaussian` of float32 [R, A, Z], for as many rows as `lengths` has."""
    return gaussian.Gaussian(*(rows(x, tf.shape(lengths)[0]) for x in self.prior_head(source.memory.states)))

  def posterior(
      self, net: encoder_decoder.EncoderDecoder, source: Encoded, tokens: tf.Tensor, lengths: tf.Tensor,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> gaussian.Gaussian:
    """Returns q(z | x, y) of targets int32 [R, T], a `Gaussian` of float32 [R, A, Z]: the queries are the source."""
    read = tf.sequence_mask(lengths, tf.shape(tokens)[1])[:, None]
    memory = encoder_decoder.Memory(self.target_stack(net.canvas(tokens), read, dropout=dropout), read)
    queries = rows(net.source_canvas(source.tokens), tf.shape(tokens)[0])
    return self.posterior_stack(queries, self.inside(source, lengths, None), memory, dropout=dropout)

  def canvas(
      self, net: encoder_decoder.EncoderDecoder, source: Encoded, z: tf.Tensor, lengths: tf.Tensor,
      positions: int | tf.Tensor) -> tf.Tensor:
    """Returns the decoder's input, float [R, T, D]: latents mixed by distance, positions and length.

    # Differs: the released program computes 2^(s - mu) for (s - mu)^2 in the weights.
    """
    v, sources = self.vector(z), rows(masking.lengths(source.tokens), tf.shape(lengths)[0])
    weights = copying.soft(
      sources, lengths, tf.shape(z)[1], positions, 2.0 * tf.convert_to_tensor(self.sigma)**2 + 1e-6, first=0)
    mixed = tf.matmul(tf.cast(weights, v.dtype), v) * 0.5**0.5
    known = tf.minimum(lengths, net.config.max_length)  # A candidate of the greatest length has an EOS more.
    length = tf.gather(tf.convert_to_tensor(self.length_table), known) * net.config.width**0.5
    return mixed + 0.5 * (net.embed.positions(positions) + tf.cast(length, v.dtype)[:, None])

  def length_memory(self, source: Encoded, z: tf.Tensor) -> encoder_decoder.Memory:
    """Returns what the length head reads: the encoder states plus the latents, of R rows."""
    count = tf.shape(z)[0]
    states, mask = (rows(x, count) for x in (source.memory.states, source.memory.mask))
    return encoder_decoder.Memory(states + self.vector(z), mask)
