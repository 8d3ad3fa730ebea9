"""What changes with the updates done: a number that goes in a straight line from a first to a last value."""
import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Linear:
  """`start` at first, `end` from `updates` updates on."""

  start: float = 0.0
  end: float = 1.0
  updates: int = 1

  def __post_init__(self):
    if self.updates < 1:
      raise ValueError(f"A schedule takes at least 1 update to its end; got {self.updates}.")

  def at(self, step):
    """Returns the value after `step` (int []) updates, float32 []."""
    done = tf.minimum(tf.cast(step, tf.float32) / self.updates, 1.0)
    return self.start + (self.end - self.start) * done


def scaled(config, steps, total):
  """Returns a dataclass whose schedules go over the same share of `steps` updates as they did of `total`."""
  changed = {}
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if isinstance(value, Linear):
      changed[field.name] = dataclasses.replace(value, updates=max(1, value.updates * steps // total))
    elif dataclasses.is_dataclass(value):
      changed[field.name] = scaled(value, steps, total)
  return dataclasses.replace(config, **changed)
