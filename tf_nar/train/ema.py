"""The exponential moving average of the weights, which is validated and shipped in their place.

  e <- d e + (1 - d) w    after every update, with d = min(decay, (1 + n) / (10 + n)) after n updates,

so that the initial weights soon have no effect.
"""
import contextlib
from typing import Iterator

import tensorflow as tf


class Ema(tf.Module):
  """Averages of a model's trainable variables; made in the scope of their strategy."""

  def __init__(self, decay, variables):
    """Args: decay: in (0, 1); variables: Keras variables."""
    super().__init__()
    self._decay, self._variables = decay, list(variables)
    # By path, so that a checkpoint can be restored in whatever order a model makes its variables.
    self.means = {v.path: tf.Variable(v.numpy(), trainable=False) for v in self._variables}

  def update(self, updates: tf.Tensor) -> None:
    """Updates the averages with the weights after `updates` (int64 []) updates."""
    n = tf.cast(updates, tf.float32)
    decay = tf.minimum(self._decay, (1 + n) / (10 + n))
    for v in self._variables:
      mean = self.means[v.path]
      mean.assign(decay * mean + (1 - decay) * v.value)

  @contextlib.contextmanager
  def swapped_in(self) -> Iterator[None]:
    """Context manager in which the averages are swapped in as the model's weights."""
    own = [v.numpy() for v in self._variables]
    for v in self._variables:
      v.assign(self.means[v.path].numpy())
    try:
      yield
    finally:
      for v, value in zip(self._variables, own, strict=True):
        v.assign(value)
