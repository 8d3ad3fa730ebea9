"""Several lengths at once: which are decoded, and which is ranked first."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import length_parallel

EOS = types.EOS


@pytest.mark.parametrize("likeliest, count, longest, expected", [
    (20, 9, 128, [16, 17, 18, 19, 20, 21, 22, 23, 24]),
    (20, 4, 128, [18, 19, 20, 21]),
    (3, 9, 128, [2, 3, 4, 5, 6, 7, 8, 9, 10]),  # The least length is one token and EOS.
    (20, 5, 21, [18, 19, 20, 21, 21]),
    (20, 1, 128, [20]),
    (0, 1, 128, [2]),
    (20, 1, 12, [12]),
    (5, 2, 1, [1, 1]),
])
def test_lengths_lie_around_the_likeliest(likeliest, count, longest, expected):
  logits = tf.one_hot([likeliest, 7], 40)
  lengths = length_parallel.candidates(logits, count, longest)
  assert lengths.dtype == tf.int32
  assert lengths[0].numpy().tolist() == expected


@pytest.mark.parametrize("arguments, message", [
    ((0, 5), r"count >= 1, got 0"),
    ((3, 0), r"longest >= 1, got 0"),
])
def test_candidates_refuses(arguments, message):
  with pytest.raises(ValueError, match=message):
    length_parallel.candidates(tf.zeros([1, 8]), *arguments)


def test_the_likeliest_lengths_come_first_and_none_is_too_short():
  logits = tf.constant([[9.0, 8.0, 1.0, 5.0, 3.0, 4.0], [0.0, 0.0, 2.0, 2.0, 1.0, 3.0]])
  found = length_parallel.likeliest(logits, 3)
  assert found.dtype == tf.int32 and found.numpy().tolist() == [[3, 5, 4], [5, 2, 3]]
  assert length_parallel.likeliest(logits, 4)[0].numpy().tolist() == [3, 5, 4, 2]
  assert length_parallel.likeliest(logits, 2, least=4)[0].numpy().tolist() == [5, 4]
  assert length_parallel.candidates(logits, 2, 5, least=4)[0].numpy().tolist() == [4, 5]


@pytest.mark.parametrize("count", [0, 5])
def test_likeliest_refuses(count):
  with pytest.raises(ValueError, match=f"Expected 1 to 4 lengths, .* 2 to net.max_length; got {count}; set fewer"):
    length_parallel.likeliest(tf.zeros([1, 6]), count)


def ramble(lengths):
  """Returns 5, 5, ..., EOS of the requested length, at one nat per token."""
  position = tf.range(6)
  tokens = tf.where(position < lengths[:, None] - 1, 5, tf.where(position == lengths[:, None] - 1, EOS, types.PAD))
  return tokens, -tf.cast(lengths, tf.float32)


def test_the_teacher_chooses_the_length():
  # The model prefers short sentences; the teacher prefers three tokens for one source and two for the other.
  def teacher(tokens):
    nonempty = tf.math.count_nonzero(tokens == 5, -1)
    return -tf.cast(tf.abs(nonempty - [[3], [2]]), tf.float32) - 1.0

  lengths = tf.constant([[2, 3, 4], [2, 3, 4]])
  found = length_parallel.length_parallel(ramble, lengths, teacher, alpha=0.0)
  assert found.tokens.numpy().tolist() == [
      [[5, 5, 5, EOS, 0, 0, 0], [5, 5, EOS, 0, 0, 0, 0], [5, EOS, 0, 0, 0, 0, 0]],
      [[5, 5, EOS, 0, 0, 0, 0], [5, EOS, 0, 0, 0, 0, 0], [5, 5, 5, EOS, 0, 0, 0]],  # Ties keep their order.
  ]
  assert found.score.numpy().tolist() == [[-1, -2, -3], [-1, -2, -2]]
  alone = length_parallel.length_parallel(ramble, lengths, None, alpha=0.0)
  assert (alone.passes, found.passes) == (1, 2)  # The teacher's counts.
  assert alone.tokens[0, 0].numpy().tolist() == [5, EOS, 0, 0, 0, 0, 0]


def test_a_candidate_that_a_ranker_has_no_probability_for_is_the_last_and_stays():
  ranker = lambda tokens: tf.where(tokens[..., 1] == EOS, -float("inf"), -2.0)
  found = length_parallel.length_parallel(ramble, tf.constant([[2, 3, 0]]), ranker, alpha=1.0)
  assert found.tokens[0].numpy().tolist() == [[5, 5, EOS, 0, 0, 0, 0], [5, EOS, 0, 0, 0, 0, 0], [0] * 7]
  assert np.isfinite(found.score[0, :2]).all() and found.score[0, 2] == -np.inf  # The third is missing.


def test_the_penalty_counts_the_end():
  # log p -2 in 2 tokens against -2.3 in 4: the longer wins with a large enough penalty.
  teacher = lambda tokens: tf.where(tokens[..., 1] == EOS, -2.0, -2.3)
  rank = lambda alpha: length_parallel.length_parallel(ramble, tf.constant([[2, 4]]), teacher, alpha=alpha)
  np.testing.assert_allclose(rank(0.0).score, [[-2.0, -2.3]])
  np.testing.assert_allclose(rank(1.4).score, [[-2.3 / (9 / 6) ** 1.4, -2.0 / (7 / 6) ** 1.4]], rtol=1e-6)
  assert rank(1.4).tokens[0, 0].numpy().tolist() == [5, 5, 5, EOS, 0, 0, 0]


def test_an_early_end_is_no_bargain():
  # Both lengths give the same sentence, so they have the same score, whatever length was requested.
  def fill(lengths):
    return tf.tile([[5, EOS, 6, 7, EOS]], [tf.size(lengths), 1]), tf.zeros_like(lengths, tf.float32)

  seen = []

  def teacher(tokens):
    seen.append(tokens.numpy().tolist())
    return tf.fill(tokens.shape[:2], -3.0)

  found = length_parallel.length_parallel(fill, tf.constant([[2, 5]]), teacher, alpha=1.0)
  assert seen == [[[[5, EOS]] * 2]]  # Positions without any token are cut off.
  np.testing.assert_allclose(found.score, [[-3 / (7 / 6)] * 2], rtol=1e-6)


def test_a_sentence_without_an_end_gets_one_before_it_is_ranked():
  seen = []

  def teacher(tokens):
    seen.append(tokens.numpy().tolist())
    return -tf.math.count_nonzero(tokens, -1, dtype=tf.float32)

  fill = lambda lengths: (tf.where(tf.range(3) < lengths[:, None], 5, types.PAD), tf.zeros_like(lengths, tf.float32))
  length_parallel.length_parallel(fill, tf.constant([[2, 3]]), teacher, alpha=0.0)
  assert seen == [[[[5, 5, EOS, 0], [5, 5, 5, EOS]]]]


def test_without_a_teacher_all_places_filled_are_counted():
  found = length_parallel.length_parallel(ramble, tf.constant([[2, 6]]), alpha=1.0)
  np.testing.assert_allclose(found.score, [[-2 / (7 / 6), -6 / (11 / 6)]], rtol=1e-6)


def test_all_lengths_are_filled_in_one_call():
  asked = []

  def fill(lengths):
    asked.append(lengths.numpy().tolist())
    return ramble(lengths)

  length_parallel.length_parallel(fill, tf.constant([[2, 3], [4, 5]]), alpha=0.6)
  assert asked == [[2, 3, 4, 5]]


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_says_the_same(jit):
  teacher = lambda tokens: -tf.reduce_sum(tf.cast(tokens, tf.float32) ** 0.5, -1)

  def run(logits):
    lengths = length_parallel.candidates(logits, 3, 6)
    return length_parallel.length_parallel(ramble, lengths, teacher, alpha=1.4)

  logits = tf.random.stateless_normal([4, 8], [1, 2])
  for ours, theirs in zip(tf.function(run, jit_compile=jit, autograph=False)(logits), run(logits), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_places_hold_what_there_is_or_in_a_static_graph_all():
  src, lengths = tf.ones([2, 3], tf.int32), tf.constant([[4, 5], [0, 0]])
  positions = lambda src, lengths: tf.convert_to_tensor(length_parallel.positions(lengths, 9, src))
  unknown = tf.TensorSpec([None, None], tf.int32)
  open_shapes = tf.function(positions, input_signature=[unknown] * 2, autograph=False)
  assert int(positions(src, lengths)) == int(open_shapes(src, lengths)) == 5
  assert int(positions(src, 0 * lengths)) == 1
  assert int(tf.function(positions, autograph=False)(src, lengths)) == 9
