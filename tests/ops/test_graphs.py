"""Graphs with a gradient of our own do not stay for ever."""
import weakref

import numpy as np
import tensorflow as tf

from tf_nar.layers import norm
from tf_nar.ops import graphs


def traced():
  """Returns a weak reference to a graph of a layer norm, and the norm's gradient by this graph."""
  layer, x = norm.LayerNorm(name="norm"), tf.constant([[1.0, 2.0, 4.0]])
  layer.build((None, 3))

  @tf.function(autograph=False)
  def gradient(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = tf.reduce_sum(layer(x) ** 3)
    return tape.gradient(y, x)

  return weakref.ref(gradient.get_concrete_function(x).graph), gradient(x).numpy()


def test_a_graph_is_freed_at_the_end():
  with graphs.freed():
    graph, first = traced()
    assert graph() is not None
  assert graph() is None
  np.testing.assert_array_equal(traced()[1], first)
