"""The loop of passes, around a planted step: each row counts down to its own stop."""
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tf_nar.decode import refine


class State(NamedTuple):
  left: tf.Tensor  # int32 [R], passes in which the row will still change.
  seen: tf.Tensor  # float32 [R, 2], the sum of the numbers of the row's passes.


def step(t, state):
  more = tf.cast(state.left > 0, tf.float32)[:, None] * tf.cast(t + 1, tf.float32)
  return State(tf.maximum(state.left - 1, 0), state.seen + more + 100 * tf.cast(state.left == 0, tf.float32)[:, None])


def start(*left):
  return State(tf.constant(left), tf.zeros([len(left), 2]))


def stable(before, after):
  return after.left == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_all_passes(compiled):
  run = lambda: refine.refine(step, start(3, 1), 3)
  found = (tf.function(run, autograph=False) if compiled else run)()
  assert int(found.passes) == 3 and found.trace is None
  np.testing.assert_array_equal(found.state.seen[:, 0], [1 + 2 + 3, 1 + 100 + 100])


@pytest.mark.parametrize("compiled", [None, False, True])
def test_rows_that_are_done_are_frozen_and_the_loop_ends_with_the_last(compiled):
  run = lambda: refine.refine(step, start(3, 1, 2), 9, done=stable, trace=True)
  found = (run if compiled is None else tf.function(run, jit_compile=compiled, autograph=False))()
  assert int(found.passes) == 3
  np.testing.assert_array_equal(found.state.seen[:, 0], [6, 1, 3])
  assert found.trace.seen.shape == (9, 3, 2)
  np.testing.assert_array_equal(found.trace.seen[:4, :, 0], [[1, 1, 1], [3, 1, 3], [6, 1, 3], [6, 1, 3]])


def test_batch_mates_change_nothing():
  together = refine.refine(step, start(4, 0, 2), 9, done=stable).state
  for row, left in enumerate((4, 0, 2)):
    alone = refine.refine(step, start(left), 9, done=stable).state
    np.testing.assert_array_equal(alone.seen[0], together.seen[row])


def test_refuses_no_pass():
  with pytest.raises(ValueError, match="^refine needs passes >= 1, got 0"):
    refine.refine(step, start(1), 0)
