"""Passes of scripted models, whose every call is counted."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import rewrite

EOS, PAD = types.EOS, types.PAD
# The tokens of two candidates after each pass: the first settles in pass 2, the second swaps two tokens for ever.
SCRIPT = [[[5, 6, 6, EOS], [7, 8, EOS, PAD]], [[5, 6, 9, EOS], [8, 7, EOS, PAD]]] + [
  [[5, 6, 9, EOS], [7, 8, EOS, PAD]], [[5, 6, 9, EOS], [8, 7, EOS, PAD]]] * 3


def run(passes, **options):
  script = tf.constant(SCRIPT)

  def first():
    return script[0], tf.fill([2, 4], -1.0), tf.zeros([2, 4, 1])

  def again(_, states):
    number = 1 + tf.cast(tf.reduce_max(states), tf.int32)  # Of this pass; the states count.
    return script[number], tf.fill([2, 4], -1.0), tf.fill([2, 4, 1], tf.cast(number, tf.float32))

  return rewrite.rewrite(first, again, passes, **options)


@pytest.mark.parametrize("passes, options, made, last", [
  (1, {}, 1, SCRIPT[0]),
  (5, {}, 5, SCRIPT[4]),
  (7, {"stop": "same"}, 7, [SCRIPT[2][0], SCRIPT[6][1]]),  # The second never is the same twice.
  (7, {"stop": "bag"}, 3, [SCRIPT[2][0], SCRIPT[1][1]]),  # The second stops at once, with the tokens of pass 2.
  (7, {"stop": "bag", "patience": 2}, 4, [SCRIPT[3][0], SCRIPT[2][1]]),
])
@pytest.mark.parametrize("compiled", [False, True])
def test_each_row_stops_by_itself(passes, options, made, last, compiled):
  call = lambda: run(passes, trace=True, **options)
  state, count, steps = (tf.function(call, autograph=False) if compiled else call)()
  assert int(count) == made and state.tokens.numpy().tolist() == last
  assert steps.shape == (passes, 2, 4) and steps[-1].numpy().tolist() == last
  assert steps[0].numpy().tolist() == SCRIPT[0]


def ranked(tokens, log_prob, count, rescore=None, **options):
  tokens = tf.constant(tokens)
  state = rewrite.State(tokens, tf.constant(log_prob), None, None)
  return rewrite.ranked(state, tf.constant(4), count, rescore, alpha=0.0, **options)


TWO = [[5, 5, 6, EOS], [7, 8, EOS, PAD]]
LOGS = [[-1.0] * 4, [-0.5, -0.5, -0.8, -9.0]]


def test_ranks_by_the_mean_log_p_and_drops_doubles():
  found, order = ranked(TWO, LOGS, 2)
  assert found.tokens.numpy().tolist() == [[[7, 8, EOS, 0, 0], [5, 6, EOS, 0, 0]]]
  np.testing.assert_allclose(found.score, [[-0.6, -1.0]])
  assert int(found.passes) == 4 and order.numpy().tolist() == [[1, 0]]


def test_keeps_doubles_if_told_or_within_a_word():
  assert ranked(TWO, LOGS, 2, collapse=False)[0].tokens[0, 1].numpy().tolist() == [5, 5, 6, EOS, 0]
  free = np.arange(9) == 5
  assert ranked(TWO, LOGS, 2, free=free)[0].tokens[0, 1].numpy().tolist() == [5, 5, 6, EOS, 0]
  assert ranked([[6, 6, 5, EOS]], LOGS[:1], 1, free=free)[0].tokens[0, 0].numpy().tolist() == [6, 5, EOS, 0, 0]


def test_a_teacher_ranks():
  found, _ = ranked(TWO, LOGS, 2, lambda tokens: -tf.cast(tokens[..., 0], tf.float32))
  np.testing.assert_allclose(found.score, [[-5.0, -7.0]])
  assert int(found.passes) == 5


def test_a_trace_shows_what_each_pass_reads():
  steps = tf.constant(SCRIPT[:3])
  trace = rewrite.traced(tf.constant([[15] * 4, [16] * 4]), steps, tf.constant([[1, 0]]))
  assert trace.inputs[0, 0].numpy().tolist() == [[16] * 4, SCRIPT[0][1], SCRIPT[1][1]]
  assert trace.predictions[0, 1].numpy().tolist() == [SCRIPT[0][0], SCRIPT[1][0], SCRIPT[2][0]]
