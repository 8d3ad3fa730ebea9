"""What training shows of the answer (GLAT, Qian et al., ACL 2021): the more a model errs, the more words it is told."""
import tensorflow as tf


def ratio(step, start, end, updates):
  """Returns the share of wrong words that are shown after `step` updates, float32 []: linear, then constant."""
  done = tf.minimum(tf.cast(step, tf.float32) / updates, 1.0)
  return start + (end - start) * done


def chosen(count, places, seed):
  """Chooses `count` places of each row, every set of them as likely.

  Args:
    count: int32 [B], at most as many as the row has.
    places: bool [B, T], where to choose from.
    seed: int32 [2].

  Returns:
    bool [B, T].
  """
  draw = tf.random.stateless_uniform(tf.shape(places), seed, alg="philox")
  order = tf.argsort(tf.argsort(tf.where(places, draw, 2.0)))  # Each place's rank; those that are none come last.
  return places & (order < count[:, None])
