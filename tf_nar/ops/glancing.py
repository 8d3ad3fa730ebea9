"""Glancing (Qian et al., ACL 2021, arXiv:2008.07905): the more a first guess gets wrong, the more words are shown.

  n = floor(λ d(ŷ, y))        d: how many places of the guess ŷ are wrong (Hamming)
  λ goes in a straight line from a first to a last value, by updates

The places to show are drawn from all, right or wrong. For a target that is aligned to a canvas, as in CTC, y is
what the alignment puts at each place.
"""
import tensorflow as tf

from tf_nar.ops import choice


def ratio(step, *, first, last, updates):
  """Returns λ, float32 [], after `step` (int []) of `updates` updates; later it stays `last`."""
  done = tf.minimum(tf.cast(step, tf.float32) / updates, 1.0)
  return first + (last - first) * done


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
