"""Glancing (Qian et al., ACL 2021, arXiv:2008.07905): the decoder is shown part of the answer, less as it learns."""
import tensorflow as tf


def ratio(step, start, end, updates):
  """Returns float32 []: `start` at step 0, `end` from step `updates` on, a line between."""
  done = tf.minimum(tf.cast(step, tf.float32) / updates, 1.0)
  return start + (end - start) * done
