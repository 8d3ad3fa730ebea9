"""The searches of an OpenVINO folder, in numpy, against those of the models."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import code_beam
from tf_nar.decode import ctc
from tf_nar.export import ov_search
from tf_nar.ops import odd
from tf_nar.ops import tokens as tokens_lib


@pytest.mark.parametrize("bonus, longest", [(0.0, 9), (0.7, 4)])
def test_a_beam_of_prefixes_is_that_of_the_run(bonus, longest):
  draw, positions, beam = np.random.default_rng(1), np.array([14, 3, 9]), 6
  logits = draw.normal(size=[3, 14, 12]).astype(np.float32) * 2
  token, best = tokens_lib.best(tf.constant(logits), ctc.reach(beam), (0, 1, 2, 3, types.MASK))
  every = tf.nn.log_softmax(logits)
  at = lambda t, tokens: tf.gather(every[:, t], tokens, batch_dims=1)
  options = dict(beam=beam, nbest=4, longest=longest, bonus=bonus)
  wanted = ctc.prefix_beam(token[..., :7], best[..., :7], at, tf.constant(positions, tf.int32), **options)
  found = ov_search.prefix_beam(
    token[..., :7].numpy(), best[..., :7].numpy(), every.numpy(), positions, **options)
  for ours, tokens, score in zip(found, wanted.tokens.numpy(), wanted.score.numpy(), strict=True):
    assert [[*row, types.EOS] for _, row in ours] == [row[row != types.PAD].tolist() for row in tokens]
    np.testing.assert_allclose([each for each, _ in ours], score, rtol=1e-5)


def test_codes_are_those_of_greedy_search():
  table = np.random.default_rng(2).normal(size=[6, 5]).astype(np.float32)  # By the code before; the last row is first.
  counts, log_prob = np.array([4, 1, 3]), ov_search.log_softmax(table)

  def following(codes):
    each = log_prob[np.pad(codes, [[0, 0], [1, 0]], constant_values=5)[:, :-1]]
    return each.argmax(-1), each.max(-1)

  codes, score = ov_search.greedy_codes(following, np.zeros([3, 6], np.int32), counts)
  step = lambda codes, t, state: (tf.gather(table, tf.where(t == 0, 5, codes)), state)
  wanted = code_beam.search(step, (), tf.constant(counts, tf.int32), beam=1, steps=6)
  assert codes.tolist() == wanted.codes[:, 0].numpy().tolist()
  np.testing.assert_allclose(score, wanted.score[:, 0], rtol=1e-6)


def test_paths_without_repeats_are_those_of_odd():
  draw = np.random.default_rng(0)
  token = np.stack([draw.permuted(np.arange(4))[:3] for _ in range(40)]).astype(np.int32)
  log_prob, free = np.sort(draw.normal(size=[40, 3]))[:, ::-1].astype(np.float32), token == 2
  wanted, _ = odd.among(token[None], log_prob[None], [40], free=free[None])
  choice = ov_search.without_repeats(token.tolist(), log_prob.tolist(), free.tolist())
  assert token[range(40), choice].tolist() == wanted[0].numpy().tolist()


@pytest.mark.parametrize("count, tokens", [(3, 640), (9, 640), (40, 128)])  # More and fewer than there are runs.
def test_the_likeliest_tokens_are_those_of_a_sort(count, tokens):
  log_prob = np.random.default_rng(0).integers(-30, 0, [2, 3, tokens]).astype(np.float32)  # With ties.
  left = log_prob.copy()
  left[..., [0, 5]] = -np.inf
  order = np.argsort(-left, -1, kind="stable")[..., :count]
  ids, best = ov_search.likeliest(log_prob, count, [0, 5])
  np.testing.assert_array_equal(ids, order)
  np.testing.assert_array_equal(best, np.take_along_axis(left, order, -1))
