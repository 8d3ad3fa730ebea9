"""Products with tables of rows, such as that of the output layer."""
import tensorflow as tf

from tf_nar import processor


def by_rows(states: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
  """Returns the products of states with the rows of a table, all of one type.

  Args:
    states: float [..., D] or, for tables of their own, [B, R, D].
    table: [V, D] or [B, V, D].

  Returns:
    [..., V] or [B, R, V].
  """
  # einsum does not transpose the table in memory, as tf.matmul does. But for bfloat16 without instructions for it, it
  # has no fast kernel: with 10,000 rows of 128 it takes 7 to 14 times as long.
  slow = states.dtype == tf.bfloat16 and processor.lacks_bfloat16()
  if len(table.shape) == 3:
    return tf.matmul(states, table, transpose_b=True) if slow else tf.einsum("brd,bvd->brv", states, table)
  if not slow:
    return tf.einsum("rd,vd->rv" if len(states.shape) == 2 else "...d,vd->...v", states, table)
  found = tf.matmul(tf.reshape(states, [-1, states.shape[-1]]), table, transpose_b=True)
  shape = tf.concat([tf.shape(states)[:-1], tf.shape(table)[:1]], 0)
  return tf.ensure_shape(tf.reshape(found, shape), [*states.shape[:-1], table.shape[0]])
