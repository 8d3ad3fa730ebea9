"""Parts of models with Gaussian latents, p(y, z | x) = p(z | x) p(y | z, x), as in LaNMT and FlowSeq.

Prior and posterior are stacks of Transformer blocks with a head of means and standard deviations; the decoder is a
stack whose blocks add its input again.
"""
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import dense
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.ops import gaussian
from tf_nar.ops import noise as noise_lib

LEAST = 1e-4  # The smallest standard deviation. # Differs: in the programs of LaNMT there is none.


class InputSkip(transformer.Block):
  """A block that adds the stack's input h_0 again: h <- (h_0 + f(h)) / sqrt(2), as in Shu et al. (AAAI 2020)."""

  def leave(self, x: tf.Tensor, context: transformer.Context) -> tf.Tensor:
    """See `transformer.Block.leave`."""
    return (context.entered + x) * 0.5**0.5


class GaussianHead(keras.layers.Layer):
  """One Gaussian at each position: the mean, and softplus of a second output as the standard deviation.

  It is float32 under every dtype of the network.
  """

  def __init__(self, width: int, dimensions: int, **kw: Any):
    """Args: width: D, of the states that it reads; dimensions: Z."""
    super().__init__(dtype="float32", **kw)
    self.width = width
    self.out = dense.Dense(2 * dimensions, name="out", dtype="float32")
    self.build(None)

  def build(self, _: tuple | None) -> None:
    self.out.build((None, None, self.width))
    self.built = True

  def call(self, states: tf.Tensor) -> gaussian.Gaussian:
    """float [B, A, D] -> `gaussian.Gaussian` of float32 [B, A, Z]."""
    mean, raw = tf.split(self.out(states), 2, -1)
    return gaussian.Gaussian(mean, tf.nn.softplus(raw) + LEAST)


class GaussianStack(keras.layers.Layer):
  """A stack of blocks that reads one Gaussian at each position of its input, and attends to a memory."""

  def __init__(self, config: transformer.Config, depth: int, dimensions: int, *, name: str):
    """Args:
      config: a `transformer.Config`.
      depth: number of blocks.
      dimensions: Z.
      name: prefix of the paths of its weights.
    """
    with keras.name_scope(name):
      super().__init__(name=name, dtype=config.dtype)
      self.stack = transformer.Stack(config, depth, cross=True, name="stack")
      self.head = GaussianHead(config.width, dimensions, name="head")
    self.built = True

  def project(self, memory: encoder_decoder.Memory) -> encoder_decoder.Memory:
    """Returns an `encoder_decoder.Memory` with projected states, to be computed once per sentence."""
    return memory._replace(states=self.stack.project(memory.states))

  def call(
      self, x: tf.Tensor, mask: tf.Tensor, memory: encoder_decoder.Memory,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> gaussian.Gaussian:
    """Runs the stack.

    Args:
      x: float [R, A, D], embedded.
      mask: bool [R, A], True at positions that are not padding.
      memory: an `encoder_decoder.Memory` of R sentences, or of R / K with K consecutive rows each.
      dropout: a `noise.Dropout`.

    Returns:
      A `gaussian.Gaussian` of float32 [R, A, Z].
    """
    return self.head(self.stack(x, mask[:, None], *memory, dropout=dropout))
