"""Glancing (Qian et al., ACL 2021, arXiv:2008.07905): the decoder is shown part of the answer, less as it learns."""
import tensorflow as tf


def ratio(step, start, end, updates):
  """Returns float32 []: `start` at step 0, `end` from step `updates` on, a line between."""
  done = tf.minimum(tf.cast(step, tf.float32) / updates, 1.0)
  return start + (end - start) * done


def shown(right, inside, ratio, seed):
  """Draws the places to show: each real one by chance `ratio` times the share of real places that are wrong.

  # Differs: the paper shows a fixed number, ratio times the wrong words, drawn without replacement. Along an
  alignment the released GLAT+CTC draws every place for itself, as here.

  Args:
    right: bool [B, P], where the first pass said what it should.
    inside: bool [B, P], the real places.
    ratio: float32 [].
    seed: int32 [2].

  Returns:
    bool [B, P].
  """
  count = lambda x: tf.math.count_nonzero(x, -1, keepdims=True, dtype=tf.float32)
  wrong = tf.math.divide_no_nan(count(inside & ~right), count(inside))  # [B, 1]
  draw = tf.random.stateless_uniform(tf.shape(inside), seed, alg="philox")
  return inside & (draw < ratio * wrong)
