"""Mask-Predict with scripted models, whose every call is checked."""
import numpy as np
import pytest
import tensorflow as tf

from tests.decode import searched
from tf_nar import types
from tf_nar.decode import mask_predict

PAD, EOS, MASK = types.PAD, types.EOS, types.MASK
VOCAB = 10
FORBID = (PAD, types.BOS, MASK)


def canvas(lengths):
  """[[lengths of candidates] of sentences] -> int32 [B, N, T]."""
  return tf.where(tf.sequence_mask(lengths), MASK, PAD)


def best(logits):
  return searched.best(logits, forbid=FORBID)


def scripted(*passes):
  """Returns a model that at pass t predicts passes[t], [(token, p)] per position, PAD having the rest; and its calls.
  """
  calls = []

  def predict(seen):
    said = passes[len(calls)]
    calls.append(seen.numpy().tolist())
    p = np.full([*seen.shape, VOCAB], 1e-30, np.float32)
    for position, (token, probability) in enumerate(said):
      p[:, position, [token, PAD]] = probability, 1 - probability
    return best(tf.math.log(tf.constant(p)))

  return predict, calls


FIRST = [(5, 0.9), (6, 0.3), (7, 0.8), (EOS, 0.6)]
SECOND = [(8, 0.99), (9, 0.2), (8, 0.99), (EOS, 0.5)]
THIRD = [(7, 0.97), (7, 0.96), (7, 0.95), (EOS, 0.94)]


def run(script, lengths=((4,),), **options):
  predict, calls = scripted(*script)
  counts = mask_predict.masked(len(script), 10, options.pop("least", 1))
  found, trace = mask_predict.mask_predict(predict, canvas(lengths), counts, **{"alpha": 0.0, **options})
  assert len(calls) == int(found.passes) == len(script)
  if len(calls[0]) == 1:
    np.testing.assert_array_equal(trace.inputs[0, 0], np.array(calls)[:, 0])
  return found, trace, [call[0] for call in calls]


@pytest.mark.parametrize("tokens, passes, least, counts", [
  (10, 4, 1, [10, 7, 5, 2]),
  (10, 10, 1, [10, 9, 8, 7, 6, 5, 4, 3, 1, 1]),
  (10, 10, 0, [10, 9, 8, 7, 6, 5, 4, 3, 1, 0]),
  (3, 10, 1, [3, 2, 2, 2, 1, 1, 1, 1, 1, 1]),
  (3, 10, 0, [3, 2, 2, 2, 1, 1, 1, 0, 0, 0]),
  (1, 3, 1, [1, 1, 1]),
  (10, 1, 1, [10]),
])
def test_so_many_are_masked(tokens, passes, least, counts):
  assert mask_predict.masked(passes, 12, least)[:, tokens].tolist() == counts
  script = [[(5 + t % 5, 0.5)] * tokens for t in range(passes)]
  _, _, calls = run(script, [[tokens]], least=least)
  assert [call.count(MASK) for call in calls] == counts


def test_the_least_sure_are_said_again():
  found, trace, calls = run([FIRST, SECOND])
  assert calls == [[MASK] * 4, [5, MASK, 7, MASK]]
  assert found.tokens.numpy().tolist() == [[[5, 9, 7, EOS, PAD]]]
  np.testing.assert_allclose(found.score, [[np.log([0.9, 0.2, 0.8, 0.5]).mean()]], rtol=1e-5)
  assert trace.predictions.numpy().tolist() == [[[[5, 6, 7, EOS], [5, 9, 7, EOS]]]]


def test_a_word_keeps_the_score_of_the_pass_that_said_it():
  # Two tokens, then one are predicted again; the third pass masks the one that the second predicted with 0.2.
  found, _, calls = run([FIRST, SECOND, THIRD])
  assert calls[1:] == [[5, MASK, 7, MASK], [5, MASK, 7, EOS]]
  assert found.tokens.numpy().tolist() == [[[5, 7, 7, EOS, PAD]]]
  np.testing.assert_allclose(found.score, [[np.log([0.9, 0.96, 0.8, 0.5]).mean()]], rtol=1e-5)


def test_rewriting_replaces_every_word_and_score():
  found, trace, calls = run([FIRST, SECOND, THIRD], rewrite=True)
  assert calls[1:] == [[5, MASK, 7, MASK], [8, MASK, 8, EOS]]
  assert trace.predictions.numpy().tolist() == [[[[5, 6, 7, EOS], [8, 9, 8, EOS], [7, 7, 7, EOS]]]]
  assert found.tokens.numpy().tolist() == [[[7, 7, 7, EOS, PAD]]]
  np.testing.assert_allclose(found.score, [[np.log([0.97, 0.96, 0.95, 0.94]).mean()]], rtol=1e-5)


def test_the_end_is_a_word_like_others():
  # The first pass ends too early, and a later pass corrects it; where it does not, the sentence is cut.
  early = [(5, 0.9), (EOS, 0.3), (7, 0.8), (EOS, 0.6)]
  assert run([early, SECOND])[0].tokens.numpy().tolist() == [[[5, 9, 7, EOS, PAD]]]
  assert run([early])[0].tokens.numpy().tolist() == [[[5, EOS, PAD, PAD, PAD]]]
  open_end = [(5, 0.9), (6, 0.3), (7, 0.8), (8, 0.6)]
  assert run([open_end])[0].tokens.numpy().tolist() == [[[5, 6, 7, 8, EOS]]]


def test_forbidden_words_are_not_said_and_keep_their_share():
  p = np.full([1, 2, VOCAB], 1e-30, np.float32)
  p[0, 0, [MASK, 5, PAD]] = 0.6, 0.3, 0.1
  p[0, 1, [PAD, EOS]] = 0.6, 0.4
  found, _ = mask_predict.mask_predict(
    lambda seen: best(tf.math.log(tf.constant(p))), canvas([[2]]), mask_predict.masked(2, 2), alpha=0.0)
  assert found.tokens.numpy().tolist() == [[[5, EOS, PAD]]]
  np.testing.assert_allclose(found.score, [[np.log([0.3, 0.4]).mean()]], rtol=1e-5)


def test_candidates_are_ranked_by_the_mean_of_their_words():
  script = [[(5, 0.5), (6, 0.5), (7, 0.9), (EOS, 0.9)]]  # The sum would prefer the shortest.
  found, trace, _ = run(script, [[2, 4, 3]])
  assert np.count_nonzero(trace.predictions[0, :, -1], -1).tolist() == [4, 3, 2]
  means = [np.log([0.5, 0.5, 0.9, 0.9][:n]).mean() for n in (4, 3, 2)]
  np.testing.assert_allclose(found.score, [means], rtol=1e-5)


def test_a_rescorer_ranks_what_is_cut_with_a_length_penalty():
  script = [[(5, 0.5), (EOS, 0.5), (7, 0.9), (EOS, 0.9)]]
  seen = []

  def rescore(tokens):
    seen.append(tokens.numpy().tolist())
    return tf.constant([[-3.0, -3.0, -2.9]])

  predict, _ = scripted(*script)
  found, trace = mask_predict.mask_predict(
    predict, canvas([[1, 4, 0]]), mask_predict.masked(1, 4), rescore, alpha=1.0)
  assert seen == [[[[5, EOS, 0, 0, 0], [5, EOS, 0, 0, 0], [0] * 5]]] and found.passes == 2  # The teacher's counts.
  np.testing.assert_allclose(found.score, [[-3 / (7 / 6), -3 / (7 / 6), -np.inf]])
  assert np.count_nonzero(trace.predictions[0, :, 0], -1).tolist() == [1, 4, 0]


WEIGHTS = tf.random.stateless_normal([3, VOCAB, VOCAB], [7, 7])
POSITIONS = 2 * tf.random.stateless_normal([9, VOCAB], [8, 8])


def neighbours(seen):
  """The best tokens where logits depend on the position, the token there and both neighbours, which may be PAD."""
  around = tf.pad(seen, [[0, 0], [1, 1]])
  near = sum(tf.gather(WEIGHTS[i], around[:, i:i + tf.shape(seen)[1]]) for i in range(3))
  return best(near + POSITIONS[:tf.shape(seen)[1]])


def search(lengths, **options):
  return mask_predict.mask_predict(neighbours, lengths, mask_predict.masked(4, 9), alpha=0.0, **options)


@pytest.mark.parametrize("rewrite", [False, True])
def test_batch_mates_and_blank_rows_change_nothing(rewrite):
  lengths = [[3, 5], [9, 2], [0, 0], [4, 7]]
  together, trace = search(canvas(lengths), rewrite=rewrite)
  for row in (0, 1, 3):
    alone, alone_trace = search(canvas(lengths[row:row + 1]), rewrite=rewrite)
    width = alone.tokens.shape[2]
    np.testing.assert_array_equal(alone.tokens[0], together.tokens[row, :, :width])
    np.testing.assert_allclose(alone.score[0], together.score[row], rtol=1e-5)
    np.testing.assert_array_equal(alone_trace.predictions[0], trace.predictions[row, ..., :width - 1])
  assert not together.tokens[2].numpy().any() and np.isneginf(together.score[2]).all()
  assert np.any(trace.predictions[:, :, 0] != trace.predictions[:, :, -1])  # The passes change predictions.


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_says_the_same(jit):
  blank = canvas([[3, 5], [9, 2], [0, 0], [4, 7]])
  rescore = lambda tokens: -tf.reduce_sum(tf.cast(tokens, tf.float32) ** 0.5, -1)
  for options in ({}, {"rescore": rescore}):
    run = lambda canvas, options=options: search(canvas, **options)
    compiled = tf.function(run, jit_compile=jit, autograph=False)
    for ours, theirs in zip(tf.nest.flatten(compiled(blank)), tf.nest.flatten(run(blank)), strict=True):
      np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_sizes_may_be_unknown_when_traced():
  signature = [tf.TensorSpec([None, None, None], tf.int32)]
  run = tf.function(lambda canvas: search(canvas), input_signature=signature, autograph=False)
  for lengths in ([[3, 5]], [[1], [8]]):
    np.testing.assert_array_equal(run(canvas(lengths))[0].tokens, search(canvas(lengths))[0].tokens)


def test_refuses_no_pass():
  with pytest.raises(ValueError, match=r"masked needs passes >= 1, got 0; 1 predicts all tokens at once"):
    mask_predict.masked(0, 3)


def test_candidates_that_do_not_change_are_done():
  lengths = canvas([[3, 5], [9, 2]])
  stopped, trace = search(lengths, stop=True)
  whole, every = search(lengths)
  assert int(stopped.passes) <= int(whole.passes)
  for row, side in ((0, 0), (0, 1), (1, 0), (1, 1)):
    said, all_said = trace.predictions[row, side].numpy(), every.predictions[row, side].numpy()
    same = [n for n in range(1, len(all_said)) if (all_said[n] == all_said[n - 1]).all()]
    end = same[0] if same else len(all_said) - 1
    np.testing.assert_array_equal(said[:end + 1], all_said[:end + 1])
    assert (said[end:] == said[end]).all()
