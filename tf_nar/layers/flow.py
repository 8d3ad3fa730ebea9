"""Invertible layers over the latents of a sentence, and how they are put together: a conditional Glow.

  forward    z -> e        with log |det de/dz|; this is the direction of the density
  inverse    e -> z        the direction of sampling

After Kingma & Dhariwal (NeurIPS 2018, arXiv:1807.03039) and Ma et al. (EMNLP 2019, arXiv:1909.02480). A flow is a list
of layers with these two methods and `initialise`, and is one itself:

  ActNorm             e = exp(s) z + b                            s, b per channel
  InvertibleLinear    e = W z                                     one matrix for all groups of 32 channels
  AffineCoupling      e_1 = z_1,  e_2 = sigmoid(r + 2) z_2 + m    (m, r) = net(z_1, source)
  Chain               one layer after the other
  Halved              a flow over half of the channels, two positions being squeezed into one; the others stay

Everything is float32. Padding is 0 in all results, adds nothing to a determinant, and changes no other position.

# Differs: coupling nets have plain output layers, not weight-normalised ones; in all of them positions are added to
the input, whereas the original has nets that attend from positions to the input.
"""
import dataclasses
import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_nar.layers import attention
from tf_nar.layers import dense
from tf_nar.layers import sine
from tf_nar.layers import transformer

GROUPS = (32, 16, 8, 4, 2)  # Channels that one matrix maps: the first of these that divides their number.
SHIFT = 2.0  # The scale of a coupling is sigmoid(r + SHIFT), which begins at 0.88 since r begins at 0.
LEAST = 1e-6  # Added to standard deviations before the division by them.


class Given(NamedTuple):
  """What a flow is conditioned on."""

  mask: tf.Tensor  # bool [R, T], True at positions that are not padding. Each row has a multiple of `unit` of these.
  source: tf.Tensor  # float32 [B, S, D], the encoder states; the R / B rows of a sentence are adjacent.
  source_mask: tf.Tensor  # bool [B, 1, S], True at the source positions that may be attended to.

  @property
  def real(self) -> tf.Tensor:
    """float32 [R, T, 1], 1 at positions that are not padding."""
    return tf.cast(self.mask, tf.float32)[..., None]

  def halved(self) -> "Given":
    """Returns what holds for every second position."""
    return self._replace(mask=self.mask[:, ::2])


class Bijection(keras.layers.Layer):
  """A layer with an inverse, over latents z float32 [R, T, C] that are 0 at padding.

    forward(z, given)      -> e, of the same shape, and log |det de/dz| of each row, float32 [R]
    inverse(e, given)      -> z
    initialise(z, given)   -> e, after the initialisation by these latents, for layers that have one
  """

  def __init__(self, **kw: Any):
    super().__init__(dtype="float32", **kw)

  def initialise(self, z: tf.Tensor, given: Given) -> tf.Tensor:
    return self.forward(z, given)[0]


class ActNorm(Bijection):
  """A scale and a shift per channel; initialised such that results have mean 0 and variance 1 over real positions."""

  no_decay = ("log_scale", "shift")

  def __init__(self, channels: int, **kw: Any):
    super().__init__(**kw)
    self.channels = channels

  def build(self, _: tuple | None) -> None:
    self.log_scale, self.shift = (
      self.add_weight(name=name, shape=(self.channels,), initializer="zeros") for name in ("log_scale", "shift"))
    self.built = True

  def forward(self, z: tf.Tensor, given: Given) -> tuple[tf.Tensor, tf.Tensor]:
    log_scale, shift = (tf.convert_to_tensor(each) for each in (self.log_scale, self.shift))
    positions = tf.reduce_sum(given.real, [1, 2])
    return (tf.exp(log_scale) * z + shift) * given.real, positions * tf.reduce_sum(log_scale)

  def inverse(self, e: tf.Tensor, given: Given) -> tf.Tensor:
    log_scale, shift = (tf.convert_to_tensor(each) for each in (self.log_scale, self.shift))
    return (e - shift) * tf.exp(-log_scale) * given.real

  def initialise(self, z: tf.Tensor, given: Given) -> tf.Tensor:
    mean, variance = tf.nn.weighted_moments(z, [0, 1], given.real)
    log_scale = -tf.math.log(tf.sqrt(variance) + LEAST)
    self.log_scale.assign(log_scale)
    self.shift.assign(-mean * tf.exp(log_scale))
    return self.forward(z, given)[0]


class InvertibleLinear(Bijection):
  """One matrix for every group of channels: groups of neighbours, or with `strided` of channels far apart."""

  no_decay = ("kernel",)

  def __init__(self, channels: int, strided: bool, **kw: Any):
    super().__init__(**kw)
    self.channels, self.strided, self.group = channels, strided, group(channels)

  def build(self, _: tuple | None) -> None:
    self.kernel = self.add_weight(name="kernel", shape=(self.group,) * 2, initializer="orthogonal")
    self.built = True

  def forward(self, z: tf.Tensor, given: Given) -> tuple[tf.Tensor, tf.Tensor]:
    kernel = tf.convert_to_tensor(self.kernel)
    times = tf.reduce_sum(given.real, [1, 2]) * (self.channels // self.group)
    return self._mapped(z, kernel), times * log_abs_det(kernel)

  def inverse(self, e: tf.Tensor, given: Given) -> tf.Tensor:
    return self._mapped(e, tf.linalg.inv(tf.convert_to_tensor(self.kernel)))

  def _mapped(self, z, kernel):
    shape, groups = tf.shape(z), self.channels // self.group
    if not self.strided:
      return tf.reshape(tf.matmul(tf.reshape(z, [-1, self.group]), kernel), shape)
    apart = tf.transpose(tf.reshape(z, [-1, self.group, groups]), [0, 2, 1])
    mapped = tf.reshape(tf.matmul(tf.reshape(apart, [-1, self.group]), kernel), [-1, groups, self.group])
    return tf.reshape(tf.transpose(mapped, [0, 2, 1]), shape)


class AffineCoupling(Bijection):
  """Scales and shifts one half of the latents by what a Transformer block reads in the other half and the source."""

  def __init__(self, channels: int, split: str, up: bool, net: transformer.Config, **kw: Any):
    """Args:
      channels: C.
      split: what the halves are: "half", the first and the last channels; "alternate", every second channel; "time",
        every second position.
      up: whether the first half determines what is done to the second one; False: the reverse.
      net: a `transformer.Config`, whose `width` is that of the source; the block has the width of a half.
    """
    super().__init__(**kw)
    self.split, self.up = split, up
    self.inner, self.source_width = inner(channels, split), net.width
    self.source = dense.Dense(self.inner, name="source", dtype="float32")
    self.block = transformer.Block(block(net, self.inner), cross=True, name="block")
    self.out = dense.Dense(2 * self.inner, kernel_initializer="zeros", name="out", dtype="float32")

  def build(self, _: tuple | None) -> None:
    self.source.build((None, None, self.source_width))
    self.block.build((None, None, self.inner))
    self.out.build((None, self.inner))
    self.built = True

  def forward(self, z: tf.Tensor, given: Given) -> tuple[tf.Tensor, tf.Tensor]:
    seen, changed = self._halves(z)
    shift, raw, real = self._net(seen, given)
    log_det = tf.reduce_sum(tf.math.log_sigmoid(raw + SHIFT) * real, [1, 2])
    return self._whole(seen, (tf.sigmoid(raw + SHIFT) * changed + shift) * real, tf.shape(z)), log_det

  def inverse(self, e: tf.Tensor, given: Given) -> tf.Tensor:
    seen, changed = self._halves(e)
    shift, raw, real = self._net(seen, given)
    return self._whole(seen, (changed - shift) / tf.sigmoid(raw + SHIFT) * real, tf.shape(e))

  def _net(self, seen, given):
    """Returns m and r, float32 [R, T', C'], for the half [R, T', C'] that is seen, and its `Given.real`."""
    given = given.halved() if self.split == "time" else given
    rows, positions = tf.unstack(tf.shape(seen)[:2])
    x = seen + sine.positions(positions, self.inner)
    memory = self.block.project(self.source(given.source))
    x, _ = self.block(
      tf.reshape(x, [-1, self.inner]), attention.penalty(given.mask[:, None], tf.float32), memory,
      attention.penalty(given.source_mask, tf.float32), sentences=rows)
    out = tf.reshape(self.out(x), [rows, positions, 2 * self.inner])
    return *tf.split(out, 2, -1), given.real

  def _halves(self, z):
    """Returns the half that is seen and the half that is changed."""
    rows, positions, channels = tf.shape(z)[0], tf.shape(z)[1], z.shape[-1]
    shape = {"half": [rows, positions, 2, channels // 2], "alternate": [rows, positions, channels // 2, 2],
             "time": [rows, positions // 2, 2, channels]}[self.split]
    first, second = tf.unstack(tf.reshape(z, shape), axis=self._axis)
    return (first, second) if self.up else (second, first)

  def _whole(self, seen, changed, shape):
    halves = (seen, changed) if self.up else (changed, seen)
    return tf.reshape(tf.stack(halves, self._axis), shape)

  @property
  def _axis(self):
    return 3 if self.split == "alternate" else 2


class Chain(Bijection):
  """One flow after the other."""

  def __init__(self, parts: list[Bijection], **kw: Any):
    super().__init__(**kw)
    self.parts = parts

  def build(self, _: tuple | None) -> None:
    for part in self.parts:
      part.build(None)
    self.built = True

  def forward(self, z: tf.Tensor, given: Given) -> tuple[tf.Tensor, tf.Tensor]:
    total = tf.zeros(tf.shape(z)[:1])
    for part in self.parts:
      z, log_det = part.forward(z, given)
      total += log_det
    return z, total

  def inverse(self, e: tf.Tensor, given: Given) -> tf.Tensor:
    for part in reversed(self.parts):
      e = part.inverse(e, given)
    return e

  def initialise(self, z: tf.Tensor, given: Given) -> tf.Tensor:
    for part in self.parts:
      z = part.initialise(z, given)
    return z


class Halved(Bijection):
  """A flow over the first half of the channels, in which two neighbouring positions become one of C channels."""

  def __init__(self, inside: Bijection, **kw: Any):
    super().__init__(**kw)
    self.inside = inside

  def build(self, _: tuple | None) -> None:
    self.inside.build(None)
    self.built = True

  def forward(self, z: tf.Tensor, given: Given) -> tuple[tf.Tensor, tf.Tensor]:
    going, staying = _squeezed(z)
    going, log_det = self.inside.forward(going, given.halved())
    return _unsqueezed(going, staying), log_det

  def inverse(self, e: tf.Tensor, given: Given) -> tf.Tensor:
    going, staying = _squeezed(e)
    return _unsqueezed(self.inside.inverse(going, given.halved()), staying)

  def initialise(self, z: tf.Tensor, given: Given) -> tf.Tensor:
    going, staying = _squeezed(z)
    return _unsqueezed(self.inside.initialise(going, given.halved()), staying)


def _squeezed(z):
  """float [R, T, C] -> the first half of the channels as [R, T / 2, C], and the second half [R, T, C / 2]."""
  going, staying = tf.split(z, 2, -1)
  return tf.reshape(going, [tf.shape(z)[0], tf.shape(z)[1] // 2, z.shape[-1]]), staying


def _unsqueezed(going, staying):
  return tf.concat([tf.reshape(going, tf.shape(staying)), staying], -1)


@tf.custom_gradient
def log_abs_det(matrix: tf.Tensor) -> tf.Tensor:
  """Returns log |det| of float32 [n, n] by a QR decomposition, since XLA has no determinant."""
  upper = tf.linalg.qr(matrix)[1]
  log_det = tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(upper))))
  return log_det, lambda up: up * tf.transpose(tf.linalg.inv(matrix))


def group(channels: int) -> int:
  """Returns the number of channels that one matrix of an `InvertibleLinear` maps."""
  return next(size for size in GROUPS if channels % size == 0)


def inner(channels: int, split: str) -> int:
  """Returns the width of a coupling's block."""
  return channels if split == "time" else channels // 2


def block(net: transformer.Config, width: int) -> transformer.Config:
  """Returns the `transformer.Config` of a coupling's block: without dropout and in float32."""
  return dataclasses.replace(net, width=width, dropout=0.0, attention_dropout=0.0, relu_dropout=0.0, dtype="float32")


def log_normal(e: tf.Tensor, given: Given) -> tf.Tensor:
  """Returns the log density of standard normal e float32 [R, T, C] over real positions, float32 [R]."""
  return -0.5 * tf.reduce_sum((e**2 + math.log(2 * math.pi)) * given.real, [1, 2])
