"""Convolutions that halve and double the length of a sequence, for latents of 2^c positions (Kaiser et al., ICML 2018).

  level     x + conv(relu(conv(relu(conv(relu(LN x))))))        three convolutions over three positions
  halve     two neighbours -> Dense(D)                          double     Dense(2 D) -> two neighbours

Positions past a sentence's length are zero before every convolution, so that neither padding nor other sentences
change a result.

# Differs: the original's compressor has its c residual levels before the c halvings, each over the whole length; here
one is before each halving, which is cheaper. Attention to the source, optional there, is left out: Roy et al. found it
unnecessary for the codes of vector quantisation, and the decoder attends to the source itself.
"""
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import dense
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.ops import noise as noise_lib

WIDTH, CONVOLUTIONS = 3, 3  # Positions of a convolution; convolutions of a level.


def halved(lengths: int | tf.Tensor, times: int) -> int | tf.Tensor:
  """Returns the number of positions left of lengths int32 [...] after `times` halvings, rounded up."""
  return -(-lengths // (1 << times))


class Level(keras.layers.Layer):
  """A residual level, and a map between positions of D and of 2 D features."""

  def __init__(self, config: transformer.Config, wide: int, units: int, **kw: Any):
    """Args: wide: the features of the input of the map; units: those of its output."""
    super().__init__(dtype=config.dtype, **kw)
    self.config, self.wide = config, wide
    self.norm = transformer.norm(config, "norm")
    self.convolutions = [
      dense.Dense(config.width, name=f"convolution_{n}", dtype=config.dtype) for n in range(CONVOLUTIONS)]
    self.out = dense.Dense(units, name="out", dtype=config.dtype)

  def build(self, _: tuple | None) -> None:
    self.norm.build((None, self.config.width))
    for part in self.convolutions:
      part.build((None, WIDTH * self.config.width))
    self.out.build((None, self.wide))
    self.built = True

  def residual(self, x: tf.Tensor, lengths: tf.Tensor, dropout: noise_lib.Dropout) -> tf.Tensor:
    """float [B, T, D] -> float [B, T, D], zero past `lengths`, int32 [B]."""
    shape = tf.shape(x)
    real = tf.cast(tf.sequence_mask(lengths, shape[1]), x.dtype)[..., None]
    y = tf.reshape(self.norm(tf.reshape(x, [-1, self.config.width])), shape)
    for part in self.convolutions:
      y = part(_neighbours(tf.nn.relu(y) * real))
    return (x + dropout.drop(y, self.config.dropout)) * real


class Compressor(keras.layers.Layer):
  """[B, T, D] -> [B, M, D], M = T / 2^c rounded up."""

  def __init__(self, config: transformer.Config, times: int, **kw: Any):
    """Args: config: a `transformer.Config`; times: c, the number of halvings."""
    super().__init__(dtype=config.dtype, **kw)
    self.config, self.times = config, times
    self.levels = [Level(config, 2 * config.width, config.width, name=f"level_{n}") for n in range(times)]
    self.norm = transformer.norm(config, "norm")
    self.build(None)

  def build(self, _: tuple | None) -> None:
    for level in self.levels:
      level.build(None)
    self.norm.build((None, self.config.width))
    self.built = True

  def call(self, x: tf.Tensor, lengths: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """Compresses x float [B, T, D] of `lengths`, int32 [B]; values past the new lengths are arbitrary but finite."""
    width = self.config.width
    x = tf.pad(x, [[0, 0], [0, -tf.shape(x)[1] % (1 << self.times)], [0, 0]])
    x *= tf.cast(tf.sequence_mask(lengths, tf.shape(x)[1]), x.dtype)[..., None]
    for done, level in enumerate(self.levels):
      x = level.residual(x, halved(lengths, done), dropout)
      x = level.out(tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] // 2, 2 * width]))
    return tf.reshape(self.norm(tf.reshape(x, [-1, width])), tf.shape(x))


class Upsampler(keras.layers.Layer):
  """[B, M, D] -> [B, 2^c M, D]."""

  def __init__(self, config: transformer.Config, times: int, **kw: Any):
    """Args: as `Compressor`."""
    super().__init__(dtype=config.dtype, **kw)
    self.config, self.times = config, times
    self.levels = [Level(config, config.width, 2 * config.width, name=f"level_{n}") for n in range(times)]
    self.build(None)

  def build(self, _: tuple | None) -> None:
    for level in self.levels:
      level.build(None)
    self.built = True

  def call(self, x: tf.Tensor, lengths: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """Upsamples x float [B, M, D] for targets of `lengths`, int32 [B]; float [B, 2^c M, D]."""
    x = tf.cast(x, self.compute_dtype)
    for done, level in enumerate(self.levels):
      x = level.out(level.residual(x, halved(lengths, self.times - done), dropout))
      x = tf.reshape(x, [tf.shape(x)[0], 2 * tf.shape(x)[1], self.config.width])
    return x


def operations(config: transformer.Config, times: int, codes: int) -> int:
  """Returns the multiply-adds of compressing 2^c `codes` positions to `codes`, and upsampling them again."""
  level = CONVOLUTIONS * WIDTH * config.width**2
  down = sum(level * (codes << done) + 2 * config.width**2 * (codes << done - 1) for done in range(1, times + 1))
  up = sum((level + 2 * config.width**2) * (codes << done) for done in range(times))
  return down + up


def _neighbours(x):
  """Puts each position beside those before and after it, zeros outside: float [B, T, D] -> float [B, T, 3 D]."""
  wide = tf.pad(x, [[0, 0], [1, 1], [0, 0]])
  return tf.concat([wide[:, :-2], x, wide[:, 2:]], -1)
