"""Beam search against exhaustive search, against a simple reference, and on small models with a known result."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import beam

EOS, BOS = types.EOS, types.BOS
VOCAB, WORDS = 8, (2, 5, 6, 7)  # PAD, BOS and MASK are never predicted.


def tables(batch, seed, end=0.0):
  """log p [B, V before last, V last, V next]; `end` makes EOS likelier."""
  logits = np.random.default_rng(seed).normal(size=[batch, VOCAB, VOCAB, VOCAB]) * 2
  logits[..., EOS] += end
  logits[..., [types.PAD, BOS, types.MASK]] = -np.inf
  return tf.nn.log_softmax(tf.constant(logits, tf.float32))


def search(table, limit, *, beam_size, steps=5, **options):
  """Searches a model that has the token before the last in its state only."""
  table = tf.repeat(table, beam_size, 0)  # [B·K, V, V, V]

  def step(said, t, state):
    before, history = state
    log_prob = tf.gather(tf.gather(table, before, batch_dims=1), said, batch_dims=1)
    return log_prob, (said, tf.where(tf.range(steps) == t, said[:, None], history))

  rows = tf.shape(table)[0]
  state = (tf.fill([rows], BOS), tf.zeros([rows, steps], tf.int32))
  return beam.beam_search(step, state, tf.constant(limit), beam=beam_size, steps=steps, **options)


def log_p(table, tokens):
  line = (BOS, BOS, *tokens)
  return sum(float(table[line[i:i + 3]]) for i in range(len(tokens)))


def penalised(total, length, alpha):
  return total / ((5 + length) / 6) ** alpha


def every_sentence(table, limit, alpha):
  """All sentences within the limit with their scores, best first."""
  sentences = [(*tokens, EOS) for n in range(limit) for tokens in itertools.product(WORDS, repeat=n)]
  return sorted(((penalised(log_p(table, s), len(s), alpha), s) for s in sentences), reverse=True)


def plain_beam(table, limit, size, alpha):
  """The same search for one sentence, with lists and without early stopping."""
  alive, finished = [(0.0, ())], []
  for t in range(1, limit + 1):
    closing = t == limit and not finished
    said = [(EOS,) if closing else (EOS, *WORDS)] * len(alive)
    longer = [(*s, token) for (_, s), tokens in zip(alive, said, strict=True) for token in tokens]
    longer = sorted(((log_p(table, s), s) for s in longer), reverse=True)[:2 * size]
    finished += [(penalised(total, t, alpha), s) for total, s in longer if s[-1] == EOS]
    alive = [(total, s) for total, s in longer if s[-1] != EOS][:size]
  return sorted(finished, reverse=True)[:size]


def sentences(found, row):
  """The candidates of one sentence, without missing ones and PAD."""
  for tokens, score in zip(found.tokens[row].numpy(), found.score[row].numpy(), strict=True):
    if score > -np.inf:
      yield float(score), tuple(tokens[tokens != types.PAD].tolist())
    else:
      assert not tokens.any()


def assert_same(ours, theirs):
  ours, theirs = list(ours), list(theirs)
  assert [s for _, s in ours] == [s for _, s in theirs]
  np.testing.assert_allclose([score for score, _ in ours], [score for score, _ in theirs], rtol=1e-5)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.6, 1.4])
def test_a_wide_beam_is_exhaustive(alpha):
  table, limits = tables(3, seed=1), [4, 2, 3]
  exact = [every_sentence(one, limit, alpha) for one, limit in zip(table.numpy(), limits, strict=True)]
  size = 160  # Twice this are all extensions of the 64 sentences of three tokens.
  found = search(table, limits, beam_size=size, nbest=size, alpha=alpha)
  best = search(table, limits, beam_size=size, nbest=1, alpha=alpha)
  assert len(exact[0]) == 85
  for row in range(3):
    assert_same(sentences(found, row), exact[row])
    assert_same(sentences(best, row), exact[row][:1])


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 1.4])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_a_narrow_beam_is_the_plain_one(size, alpha):
  table, limits = tables(12, seed=size), [5, 4, 3, 5, 2, 5, 1, 4, 5, 5, 3, 5]
  found = search(table, limits, beam_size=size, nbest=size, alpha=alpha)
  for row, limit in enumerate(limits):
    assert_same(sentences(found, row), plain_beam(table[row].numpy(), limit, size, alpha))


def early_stop(table, limit, size, alpha):
  """fairseq's search for one sentence, with lists: hypotheses end among the best `size`, until so many have ended."""
  alive, finished = [(0.0, ())], []
  for t in range(1, limit + 1):
    said = (EOS,) if t == limit and not finished else (EOS, *WORDS)
    longer = [(*s, token) for _, s in alive for token in said]
    longer = sorted(((log_p(table, s), s) for s in longer), reverse=True)
    finished += [(total / t**alpha, s) for total, s in longer[:size] if s[-1] == EOS]
    alive = [(total, s) for total, s in longer[:2 * size] if s[-1] != EOS][:size]
    if len(finished) >= size:
      break
  return [max(finished)]


@pytest.mark.parametrize("size, alpha", [(2, 1.0), (3, 0.6), (4, 0.0)])
def test_an_early_stop_is_that_of_fairseq(size, alpha):
  table, limits = tables(6, seed=5, end=1.0), [5, 4, 5, 1, 2, 5]
  found = search(table, limits, beam_size=size, alpha=alpha, penalty="length", early_stop=True)
  for row, limit in enumerate(limits):
    assert_same(sentences(found, row), early_stop(table[row].numpy(), limit, size, alpha))


def test_fewer_asked_for_are_the_first_of_more():
  table = tables(8, seed=5)
  most = search(table, [5] * 8, beam_size=4, nbest=4)
  for nbest in (1, 2, 3):
    fewer = search(table, [5] * 8, beam_size=4, nbest=nbest)
    np.testing.assert_array_equal(fewer.tokens, most.tokens[:, :nbest])
    np.testing.assert_array_equal(fewer.score, most.score[:, :nbest])


def test_no_sentence_is_found_twice():
  found = search(tables(20, seed=6, end=2.0), [5] * 20, beam_size=6, nbest=6)
  for row in range(20):
    said = [s for _, s in sentences(found, row)]
    assert len(said) == len(set(said)) > 1


def test_batch_mates_change_nothing():
  # A sentence that ends at once, one that goes on to a far limit, a padding row and one with a near limit.
  table = tf.concat([tables(1, seed=7, end=20.0), tables(3, seed=8, end=-3.0)], 0)
  limits = [5, 5, 0, 3]
  together = search(table, limits, beam_size=3, nbest=3)
  for row in (0, 1, 3):
    alone = search(table[row:row + 1], limits[row:row + 1], beam_size=3, nbest=3)
    np.testing.assert_array_equal(alone.tokens[0], together.tokens[row])
    np.testing.assert_allclose(alone.score[0], together.score[row], rtol=1e-6, atol=1e-6)
  assert not together.tokens[2].numpy().any()
  assert np.all(together.score[2] == -np.inf)


def story(next_words, limit=6, **options):
  """Searches a model given as {prefix: {token: probability}}; the rest is that of PAD, which is forbidden."""
  width = 6
  options = {"beam": 1, "alpha": 0.0, "steps": width, "forbid": (types.PAD,), **options}
  seen = []

  def step(said, t, history):
    history = tf.where(tf.range(width + 1) == t, said[:, None], history)
    seen.append(said.numpy().tolist())
    p = np.full([options["beam"], 10], 1e-30)
    for row, line in enumerate(history.numpy()[:, 1:int(t) + 1]):
      for token, probability in next_words.get(tuple(line.tolist()), {}).items():
        p[row, token] = probability
      p[row, types.PAD] = 1 - p[row, 1:].sum()
    return tf.math.log(tf.constant(p, tf.float32)), history

  state = tf.zeros([options["beam"], width + 1], tf.int32)
  return beam.beam_search(step, state, tf.constant([limit]), **options), seen


GARDEN_PATH = {
    (): {5: 0.6, 6: 0.4}, (6,): {7: 1.0}, (6, 7): {EOS: 1.0},
    (5,): {7: 0.4, 8: 0.3, 9: 0.3}, (5, 7): {EOS: 1.0}, (5, 8): {EOS: 1.0}, (5, 9): {EOS: 1.0},
}


def test_a_beam_of_two_leaves_the_garden_path():
  greedy, _ = story(GARDEN_PATH, beam=1)
  wide, _ = story(GARDEN_PATH, beam=2, nbest=2)
  assert greedy.tokens.numpy().tolist() == [[[5, 7, EOS, 0, 0, 0]]]
  assert wide.tokens.numpy().tolist() == [[[6, 7, EOS, 0, 0, 0], [5, 7, EOS, 0, 0, 0]]]
  np.testing.assert_allclose(wide.score, np.log([[0.4, 0.24]]), rtol=1e-5)


def test_a_beam_of_one_is_greedy():
  # EOS has almost no probability until it has nearly all, since a finished sentence competes with the active one.
  table = tables(6, seed=9, end=-100.0).numpy()
  table[:, :, 7, :] = np.where(np.arange(VOCAB) == EOS, 0.0, -100.0)
  found = search(tf.constant(table), [5] * 6, beam_size=1, alpha=0.0)
  for row in range(6):
    line = [BOS, BOS]
    while line[-1] != EOS and len(line) < 7:
      line.append(int(table[row, line[-2], line[-1]].argmax()) if len(line) < 6 else EOS)
    assert [s for _, s in sentences(found, row)] == [tuple(line[2:])]


def test_the_first_token_is_bos():
  assert story(GARDEN_PATH, beam=2)[1][0] == [BOS, BOS]


def test_the_search_stops_when_nothing_can_win():
  # EOS has 0.45. The active hypothesis could reach 0.55, but after the next token only 0.44.
  tokens = {(): {5: 0.55, EOS: 0.45}, (5,): {6: 0.8}, (5, 6): {7: 1.0}, (5, 6, 7): {EOS: 1.0}}
  found, seen = story(tokens, beam=2)
  assert len(seen) == found.passes == 2
  found, seen = story(tokens, beam=2, nbest=2)  # The search goes on for the second best.
  assert len(seen) == found.passes == 4


@pytest.mark.parametrize("alpha, p, said", [
    (0.0, 0.30, [EOS]),
    (2.0, 0.30, [5, 6, 7, EOS]),  # Only the last length's penalty makes up for the lower log p.
    (-1.0, 0.53, [5, EOS]),  # It wins with the next length's penalty, not with the last one's.
])
def test_the_search_goes_on_while_anything_can_win(alpha, p, said):
  long = said if len(said) > 1 else [5, 6, 7, EOS]
  tokens = {(): {EOS: 0.45, 5: p}, **{tuple(long[:n]): {long[n]: 1.0} for n in range(1, len(long))}}
  found, _ = story(tokens, beam=2, alpha=alpha)
  assert found.tokens[0, 0, :len(said)].numpy().tolist() == said
  total = np.log(p if said == long else 0.45)
  np.testing.assert_allclose(found.score, [[penalised(total, len(said), alpha)]], rtol=1e-4)


def test_no_step_is_taken_past_the_last_limit():
  found, seen = story({(): {5: 1.0}, (5,): {5: 1.0}, (5, 5): {5: 1.0}}, limit=3, beam=2)
  assert len(seen) == found.passes == 3
  assert story(GARDEN_PATH, limit=0)[0].passes == 0


def test_an_unfinished_sentence_is_closed_at_its_limit():
  endless = {(): {5: 0.5, 6: 0.49}, (5,): {5: 0.9, EOS: 1e-4}, (6,): {6: 0.9, EOS: 1e-3}}
  found, _ = story(endless, limit=2, beam=2, nbest=2)
  assert found.tokens.numpy().tolist() == [[[6, EOS, 0, 0, 0, 0], [5, EOS, 0, 0, 0, 0]]]
  np.testing.assert_allclose(found.score, np.log([[0.49e-3, 0.5e-4]]), rtol=1e-4)


def test_what_is_not_there_is_blank():
  found = search(tables(1, seed=10), [1], beam_size=3, nbest=3)
  assert found.tokens.numpy().tolist() == [[[EOS, 0, 0, 0, 0], [0] * 5, [0] * 5]]
  assert np.isfinite(found.score[0]).tolist() == [True, False, False]


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_says_the_same(jit):
  table, limits = tables(5, seed=11), [5, 3, 0, 4, 5]
  run = lambda table: search(table, limits, beam_size=3, nbest=2)
  for ours, theirs in zip(tf.function(run, jit_compile=jit, autograph=False)(table), run(table), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_sizes_may_be_unknown_when_traced():
  signature = [tf.TensorSpec([None, VOCAB, VOCAB, VOCAB]), tf.TensorSpec([None], tf.int32)]

  @tf.function(input_signature=signature, autograph=False)
  def run(table, limit):
    wide = tf.repeat(table, 3, 0)
    step = lambda said, t, state: (tf.gather(wide[:, BOS], said, batch_dims=1), state)
    return beam.beam_search(step, (), limit, beam=3, steps=tf.reduce_max(limit))

  found = run(tables(2, seed=12), tf.constant([4, 3]))
  assert found.tokens.shape == [2, 1, 4] and np.all(np.isfinite(found.score))


@pytest.mark.parametrize("sizes, message", [
    (dict(beam=0, steps=5), r"beam >= 1, got 0; 1 is greedy"),
    (dict(beam=2, steps=5, nbest=3), r"1 <= nbest <= beam, got nbest=3, beam=2; raise beam"),
    (dict(beam=2, steps=5, nbest=0), r"got nbest=0"),
    (dict(beam=2, steps=0), r"steps >= 1, got 0"),
])
def test_refuses(sizes, message):
  with pytest.raises(ValueError, match=message):
    beam.beam_search(None, (), tf.constant([3]), **sizes)


@pytest.mark.parametrize("least", [1, 3])
def test_a_token_may_be_forbidden_at_first(least):
  table, limits = tables(3, seed=5, end=2.0), [4, 3, 2]
  found = search(table, limits, beam_size=160, alpha=0.6, nbest=3, forbid=((EOS, least - 1),))
  for row, limit in enumerate(limits):
    exact = every_sentence(table.numpy()[row], limit, 0.6)
    assert_same(sentences(found, row), [each for each in exact if len(each[1]) >= min(least, limit)][:3])
