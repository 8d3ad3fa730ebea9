"""Linear schedules of a quantity over the updates of a training."""
import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Linear:
  """Linear from `start` to `end` over `updates` updates, then constant."""

  start: float = 0.0
  end: float = 1.0
  updates: int = 1

  def __post_init__(self):
    if self.updates < 1:
      raise ValueError(f"A schedule needs updates of at least 1; got {self.updates}.")

  def at(self, step):
    """Returns the value after `step` (int []) updates, float32 []."""
    done = tf.minimum(tf.cast(step, tf.float32) / self.updates, 1.0)
    return self.start + (self.end - self.start) * done


def scaled(config, steps, total):
  """Returns a dataclass with its schedules rescaled from a training of `total` updates to one of `steps` updates."""
  changed = {}
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if isinstance(value, Linear):
      changed[field.name] = dataclasses.replace(value, updates=max(1, value.updates * steps // total))
    elif dataclasses.is_dataclass(value):
      changed[field.name] = scaled(value, steps, total)
  return dataclasses.replace(config, **changed)
