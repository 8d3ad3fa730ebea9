"""Linear schedules of a quantity over the updates of a training."""
import dataclasses
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Linear:
  """Constant for `delay` updates, then linear from `start` to `end` over `updates` updates, then constant."""

  start: float = 0.0  # Value before and during the delay.
  end: float = 1.0  # Value from the last of the updates on.
  updates: int = 1  # Number of updates in which the value changes.
  delay: int = 0  # Number of updates before it begins to change.

  def __post_init__(self):
    if self.updates < 1 or self.delay < 0:
      raise ValueError(f"A schedule needs updates of at least 1 and a delay of at least 0; got {self.updates} and "
                       f"{self.delay}.")

  def at(self, step: int | tf.Tensor) -> tf.Tensor:
    """Returns the value after `step` (int []) updates, float32 []."""
    done = tf.clip_by_value((tf.cast(step, tf.float32) - self.delay) / self.updates, 0.0, 1.0)
    return self.start + (self.end - self.start) * done


def number(default: int) -> Any:
  """Returns a field of a dataclass that is a number of updates, which `scaled` changes too."""
  return dataclasses.field(default=default, metadata={"updates": True})


def scaled(config: Any, steps: int, total: int) -> Any:
  """Returns a dataclass with its schedules rescaled from a training of `total` updates to one of `steps` updates."""
  changed = {}
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if isinstance(value, Linear):
      changed[field.name] = dataclasses.replace(
        value, updates=max(1, value.updates * steps // total), delay=value.delay * steps // total)
    elif field.metadata.get("updates"):
      changed[field.name] = value * steps // total
    elif dataclasses.is_dataclass(value):
      changed[field.name] = scaled(value, steps, total)
  return dataclasses.replace(config, **changed)
