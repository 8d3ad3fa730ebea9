"""Glancing (Qian et al., ACL 2021, arXiv:2008.07905): the worse a first prediction, the more tokens are revealed.

  n = floor(λ d(ŷ, y))        d: number of wrong positions of the prediction ŷ (Hamming distance)

λ changes linearly with the updates, from a first to a last value. The positions to reveal are drawn from all, right or
wrong. If the target is aligned to a canvas, as in CTC, y is the alignment's symbol at each position.
"""
import dataclasses

import tensorflow as tf

from tf_nar.ops import choice
from tf_nar.ops import schedule

PROXY = "inputs, adaptive"  # As in `Traits.proxy`.


@dataclasses.dataclass(frozen=True)
class Glance(schedule.Linear):
  """The schedule of λ: linear from `start` to `end` over `updates` updates, then constant."""

  start: float = 0.5  # λ at first; with start=0 and end=0 there is no glancing.
  end: float = 0.3  # λ after `updates` updates.
  updates: int = 300_000  # Number of updates from `start` to `end`.

  def __post_init__(self):
    if not (0 <= self.start <= 1 and 0 <= self.end <= 1 and self.updates >= 1):
      raise ValueError("model.glance needs start and end from 0 to 1 and updates of at least 1; got "
                       f"{self.start}, {self.end} and {self.updates}; start=0 and end=0 turn glancing off.")

  def __bool__(self):
    return bool(self.start or self.end)


OFF = Glance(0.0, 0.0)


def shown(seed: tf.Tensor, wrong: tf.Tensor, among: tf.Tensor, ratio: float | tf.Tensor) -> tf.Tensor:
  """Draws the positions to reveal.

  Args:
    seed: int32 [2], the only source of randomness.
    wrong: bool [B, T], True where the prediction differs from the target.
    among: bool [B, T], the positions that count and may be revealed.
    ratio: λ, float32 [].

  Returns:
    bool [B, T], True at floor(λ d) positions of each row, drawn without replacement.
  """
  distance = tf.math.count_nonzero(wrong & among, 1, dtype=tf.float32)
  return choice.uniform(seed, tf.cast(ratio * distance, tf.int32), among)
