"""The network of score matching over the latents of a sentence, a vector at each position or the energy of the whole.

As in Lee, Shu & Cho (EMNLP 2020), "Iterative Refinement in the Continuous Space for Non-Autoregressive Neural Machine
Translation".
"""
import keras
import tensorflow as tf

from tf_nar.layers import dense
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.ops import noise as noise_lib

KINDS = "score", "energy"


class Network(keras.layers.Layer):
  """s(z; x), a vector at each position, or E(z; x), of which it is the negative gradient."""

  def __init__(self, net: transformer.Config, dimensions: int, depth: int, kind: str):
    """Args:
      net: the sizes of its blocks.
      dimensions: Z.
      depth: number of blocks.
      kind: one of `KINDS`.
    """
    super().__init__(name="network", dtype=net.dtype, autocast=False)  # z stays float32.
    self.kind = kind
    with keras.name_scope("network"):
      self.vector = dense.Dense(net.width, name="vector", dtype=net.dtype)
      self.stack = transformer.Stack(net, depth, cross=True, name="stack")
      self.hidden = None
      if kind == "energy":
        self.hidden = dense.Dense(net.width, activation="softplus", name="hidden", dtype="float32")
        self.hidden.build((None, None, net.width))
        self.out = keras.layers.Dense(1, use_bias=False, name="out", dtype="float32")
      else:
        self.out = dense.Dense(dimensions, name="out", dtype="float32")
      self.vector.build((None, None, dimensions))
      self.out.build((None, None, net.width))
    self.built = True

  def project(self, memory: encoder_decoder.Memory) -> encoder_decoder.Memory:
    """Returns the memory with the keys and values of every block, to be computed once per sentence."""
    return memory._replace(states=self.stack.project(memory.states))

  def call(
      self, z: tf.Tensor, positions: tf.Tensor, inside: tf.Tensor, memory: encoder_decoder.Memory,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """Computes s at latents.

    Args:
      z: float32 [R, A, Z].
      positions: float [A, D], their embeddings.
      inside: float32 [R, A], 0 at padding.
      memory: an `encoder_decoder.Memory` of R sentences, or of R / K with K consecutive rows each.
      dropout: a `noise.Dropout`.

    Returns:
      float32 [R, A, Z], 0 at padding.
    """
    if self.kind == "score":
      return self.out(self._states(z, positions, inside, memory, dropout)) * inside[..., None]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(z)
      energy = tf.reduce_sum(self.energy(z, positions, inside, memory, dropout))
    return -tape.gradient(energy, z)

  def energy(
      self, z: tf.Tensor, positions: tf.Tensor, inside: tf.Tensor, memory: encoder_decoder.Memory,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """Returns E(z; x), float32 [R], for the arguments of `call`."""
    each = self.out(self.hidden(self._states(z, positions, inside, memory, dropout)))[..., 0]
    return tf.math.divide_no_nan(tf.reduce_sum(each * inside, -1), tf.reduce_sum(inside, -1))

  def _states(self, z, positions, inside, memory, dropout):
    x = self.vector(z) + positions
    return self.stack(x, (inside > 0)[:, None], memory.states, memory.mask, dropout=dropout)
