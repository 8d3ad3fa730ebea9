"""Adam, its learning rate schedules, and gradient clipping.

  m <- b1 m + (1 - b1) g        v <- b2 v + (1 - b2) g^2
  w <- w - lr (m / (sqrt(v) + eps) + decay w)          (m and v divided by 1 - b^t with bias_correction)

keras.optimizers is not used, as it has no Adam without bias correction, which the original program needs, and it clips
each replica's gradient before the reduction.

Weight decay does not apply to the weights that a layer lists in `no_decay`: layer norms, the source bias and the output
bias. Biases of linear layers do decay, as in the original, whose rule did not match their names.

# Differs: the original clips the gradient of every micro-batch; here the gradient of the whole update is clipped once.
"""
import math
from typing import Any, Iterable

import tensorflow as tf

from tf_nar.layers import owners


def learning_rate(config: Any, step: tf.Tensor | int, steps: int | None = None) -> tf.Tensor:
  """Returns the learning rate of update `step` (from 0), float32 [].

  inverse_sqrt: rises linearly to the peak in `warmup` updates, then falls with 1 / sqrt(step).
  cosine: rises alike, then falls as half a wave of a cosine, from the peak towards 0 at the end of all `steps` updates.
  nat_em: lr0 10 256^-0.5 min((s+1) w^-1.5, (s+1)^-0.5, 4000^-0.5), the original's, for every model width.

  In the last `cooldown` of all `steps` updates, it is multiplied by a factor that falls linearly from 1 towards 0.

  Raises:
    ValueError: for a cosine without `steps`.
  """
  n = tf.cast(step, tf.float32) + 1
  warmup = float(max(config.warmup, 1))
  if config.schedule == "nat_em":
    scale = config.learning_rate * 10 * 256**-0.5
    rate = scale * tf.minimum(tf.minimum(n * warmup**-1.5, n**-0.5), 4000**-0.5)
  elif config.schedule == "cosine":
    if not steps:
      raise ValueError("A cosine schedule ends with the training; give the number of all updates as steps.")
    done = tf.clip_by_value((n - warmup) / max(steps + 1 - warmup, 1.0), 0.0, 1.0)
    rate = config.learning_rate * tf.minimum(n / warmup, 0.5 + 0.5 * tf.cos(math.pi * done))
  else:
    rate = config.learning_rate * tf.minimum(n / warmup, tf.math.rsqrt(n) * warmup**0.5)
  if steps and config.cooldown:
    rate *= tf.clip_by_value((steps + 1 - n) / config.cooldown, 0.0, 1.0)
  return rate


class Adam(tf.Module):
  """The state and the update of Adam for given variables."""

  def __init__(self, config, variables, steps=None, spared=()):
    """Args: variables: Keras variables; steps: updates of the whole training, for a cosine and for the cooldown at
    its end, None: neither; spared: paths of the variables without weight decay.
    """
    super().__init__()
    self.config, self.steps = config, steps
    self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="updates")
    self._variables, self._spared = list(variables), frozenset(spared)
    # By path, so that a checkpoint can be restored in whatever order a model makes its variables.
    self.m, self.v = ({v.path: tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._variables}
                      for _ in range(2))

  @classmethod
  def of(cls, config: Any, model: Any, steps: int | None = None) -> "Adam":
    """Returns the `Adam` of a model's trainable variables; its layers determine which have no weight decay."""
    return cls(config, model.trainable_variables, steps, owners.spared(model))

  def rate(self) -> tf.Tensor:
    """Returns the learning rate of the next update."""
    return learning_rate(self.config, self.step, self.steps)

  def apply(self, gradients: Iterable[tf.Tensor | tf.IndexedSlices]) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips the gradients by global norm, updates the variables, and returns (gradient norm, learning rate)."""
    c, rate = self.config, self.rate()
    gradients = [tf.convert_to_tensor(g) for g in gradients]  # Dense, so that rows of one token are summed first.
    norm = tf.linalg.global_norm(gradients)
    shrink = c.clip_norm / tf.maximum(norm, c.clip_norm) if c.clip_norm else 1.0
    n = tf.cast(self.step, tf.float32) + 1
    first, second = (1 - c.beta_1**n, 1 - c.beta_2**n) if c.bias_correction else (tf.ones([]), tf.ones([]))
    for g, w in zip(gradients, self._variables, strict=True):
      m, v = self.m[w.path], self.v[w.path]
      if c.weight_decay and w.path not in self._spared:
        w.value.assign(w.value * (1 - rate * c.weight_decay))
      # A single pass over four arrays, in place of one for each operator. The kernel takes the root of the uncorrected
      # v, so its epsilon is scaled to give the same m' / (sqrt(v') + eps).
      tf.raw_ops.ResourceApplyAdam(
        var=w.value.handle, m=m.handle, v=v.handle, beta1_power=1 - first, beta2_power=1 - second, lr=rate,
        beta1=c.beta_1, beta2=c.beta_2, epsilon=c.epsilon * tf.sqrt(second), grad=g * shrink)
    self.step.assign_add(1)
    return norm, rate
