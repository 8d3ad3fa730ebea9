"""Positions in chunks of equally many, so that logits of only some of them exist at a time."""
import tensorflow as tf


def chunks(states: tf.Tensor, rows: int | tf.Tensor) -> tf.Tensor:
  """float [..., D] -> [k, rows, D], the last chunk padded."""
  states = tf.reshape(states, [-1, states.shape[-1]])
  states = tf.pad(states, [[0, -tf.shape(states)[0] % rows], [0, 0]])
  return tf.reshape(states, [-1, rows, states.shape[-1]])


def shaped(x: tf.Tensor, states: tf.Tensor, *count: int) -> tf.Tensor:
  """Undoes `chunks`: [k, rows, ...] -> the shape of states [..., D] without D, followed by `count`."""
  shape = tf.shape(states)[:-1]
  return tf.reshape(tf.reshape(x, [-1, *count])[:tf.reduce_prod(shape)], tf.concat([shape, count], 0))
