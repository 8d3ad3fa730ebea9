"""Glancing (Qian et al., ACL 2021, arXiv:2008.07905): the more a first guess gets wrong, the more words are shown.

  n = floor(λ d(ŷ, y))        d: how many places of the guess ŷ are wrong (Hamming)
  λ goes in a straight line from a first to a last value, by updates

The places to show are drawn from all, right or wrong. For a target that is aligned to a canvas, as in CTC, y is
what the alignment puts at each place.
"""
import dataclasses

import tensorflow as tf

from tf_nar.ops import choice
from tf_nar.ops import schedule


@dataclasses.dataclass(frozen=True)
class Glance(schedule.Linear):
  """λ: `start` at first, `end` from `updates` updates on; 0 and 0: no glancing."""

  start: float = 0.5  # λ at first; 0 at both ends: no glancing.
  end: float = 0.3  # λ from `updates` on.
  updates: int = 300_000  # Over which it fades.

  def __post_init__(self):
    if not (0 <= self.start <= 1 and 0 <= self.end <= 1 and self.updates >= 1):
      raise ValueError("model.glance wants start and end from 0 to 1 and updates of at least 1; got "
                       f"{self.start}, {self.end} and {self.updates}. start=0 and end=0 show nothing.")

  def __bool__(self):
    return bool(self.start or self.end)


OFF = Glance(0.0, 0.0)


def shown(seed, wrong, among, ratio):
  """Draws the places to show.

  Args:
    seed: int32 [2], all randomness.
    wrong: bool [B, T], where the guess is not the target.
    among: bool [B, T], the places that count and may be shown.
    ratio: λ, float32 [].

  Returns:
    bool [B, T], floor(λ d) True in a row, without replacement.
  """
  distance = tf.math.count_nonzero(wrong & among, 1, dtype=tf.float32)
  return choice.uniform(seed, tf.cast(ratio * distance, tf.int32), among)
