"""Speculative decoding equals greedy search, for any drafts, in fewer passes when they are good."""
import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import types
from tf_nar.decode import speculative
from tf_nar.models import ar
from tf_nar.ops import masking
from tf_nar.ops import tokens as tokens_lib

GREEDY = ar.Search(extra_length=4)
SRC = families.padded(families.sentences(6, 7), 9)


@pytest.fixture(scope="module", params=[0, 1])
def model(request):
  return families.build("ar", seed=request.param)


@functools.cache
def graph(model, **options):
  search = dataclasses.replace(GREEDY, **options)
  specs = [tf.TensorSpec(SRC.shape, tf.int32), tf.TensorSpec([len(SRC), None, None], tf.int32)]
  return tf.function(lambda src, drafts: model.check(src, drafts, search), input_signature=specs, autograph=False)


def check(model, drafts, **options):
  """Returns (tokens [B, T], scores [B], passes)."""
  found = graph(model, **options)(SRC, tf.constant(drafts, tf.int32))
  return found.tokens[:, 0].numpy(), found.score[:, 0].numpy(), int(found.passes)


@pytest.fixture(scope="module")
def greedy(model):
  """The best token at each step, written out, without a cache: (tokens [B, T], log p [B], tokens of the longest)."""
  limit = model.limit(GREEDY, masking.lengths(SRC)).numpy()
  tokens = np.full([len(limit), int(model.limit(GREEDY, SRC.shape[1]))], types.PAD)
  nats, done = np.zeros(len(limit)), np.zeros(len(limit), bool)
  for position in range(limit.max()):
    inputs = np.where(tokens == types.PAD, 7, tokens)  # The states at `position` do not depend on it and those after.
    logits = model.embed.logits(model.states(SRC, tf.constant(inputs, tf.int32)))[:, position].numpy()
    log_prob = tf.nn.log_softmax(logits).numpy()
    logits[:, tokens_lib.forbidden(False)] = -np.inf
    best = np.where(position == limit - 1, types.EOS, logits.argmax(-1))
    tokens[:, position] = np.where(done, types.PAD, best)
    nats += np.where(done, 0.0, log_prob[np.arange(len(limit)), best])
    done |= best == types.EOS
  return tokens, nats, lengths(tokens).max()


def lengths(tokens):
  return (tokens != types.PAD).sum(-1)


def drafts_of(kind, tokens):
  """Returns drafts [B, N, T] made from the greedy translations [B, T]."""
  draw = np.random.default_rng(0)
  if kind == "random":
    return draw.integers(5, 20, [len(tokens), 2, 6])
  if kind == "none":
    return np.full([len(tokens), 1, 1], types.PAD)
  if kind == "shifted":  # A token too many at the beginning, one too few in the middle.
    return np.stack([[5, *row[:2], *row[3:]] for row in tokens])[:, None]
  if kind == "mixed":  # Some are right, others are not.
    return np.where(np.arange(len(tokens))[:, None] % 2, tokens, draw.integers(5, 20, tokens.shape))[:, None]
  return tokens[:, None]


@pytest.mark.parametrize("block, positions", [(1, 1), (3, 1), (4, 2)])
@pytest.mark.parametrize("kind", ["random", "none", "shifted", "mixed", "right"])
def test_equals_greedy_search(model, greedy, kind, block, positions):
  want, score, steps = greedy
  tokens, nats, passes = check(model, drafts_of(kind, want), draft_block=block, draft_positions=positions)
  np.testing.assert_array_equal(tokens, want)
  np.testing.assert_allclose(nats, score, rtol=1e-4)
  assert passes <= steps
  if kind == "right":
    assert passes == -(-lengths(want).max() // block)


def planted(targets):
  """Returns a `step` whose best token is that of targets int32 [B, T] after the right inputs, and 4 after others."""
  def step(inputs, count, state):
    position = count[:, None, None] + tf.range(tf.shape(inputs)[2])  # [B, 1, K]
    row = tf.pad(targets, [[0, 0], [1, 20]], constant_values=types.BOS)
    at = lambda offset: tf.gather(row, tf.broadcast_to(position + offset, tf.shape(inputs)), batch_dims=1)
    right = tf.math.cumprod(tf.cast(inputs == at(0), tf.int32), -1) == 1
    return tf.one_hot(tf.where(right, at(1), 4), 40), ()
  return step


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("change", ["another", "missing", "more"])
def test_one_disagreement_costs_one_pass(position, change):
  want = np.array([[10, 11, 12, 13, 14, 15, types.EOS], [20, 21, 22, 23, 24, 25, types.EOS]])
  drafts = {"another": np.concatenate([want[:, :position], [[7], [7]], want[:, position + 1:]], 1),
            "missing": np.delete(want, position, 1), "more": np.insert(want, position, 7, 1)}[change]
  commit = lambda state, new, chosen, count, more: ()
  found = speculative.speculative(
    planted(tf.constant(want, tf.int32)), commit, (), tf.constant(drafts, tf.int32)[:, None], tf.constant([9, 9]),
    steps=7, drafting=speculative.Drafting(9, 3))
  np.testing.assert_array_equal(found.tokens[:, 0], want)
  assert int(found.passes) <= 2  # 1 where another position of the draft is right at once.


def test_batch_mates_change_nothing(model, greedy):
  want, _, _ = greedy
  drafts = drafts_of("shifted", want)
  for row in range(len(want)):
    alone = model.check(SRC[row:row + 1], tf.constant(drafts[row:row + 1], tf.int32), GREEDY)
    length = lengths(want)[row]
    np.testing.assert_array_equal(alone.tokens[0, 0, :length], want[row, :length])


def test_padding_rows_have_no_translation(model):
  src = tf.concat([SRC, tf.zeros_like(SRC[:2])], 0)
  found = model.check(src, tf.zeros([8, 1, 3], tf.int32), GREEDY)
  assert not found.tokens[6:].numpy().any() and np.isneginf(found.score[6:].numpy()).all()


def test_a_margin_accepts_the_draft():
  model = families.build("ar")
  drafts = np.full([6, 1, 3], 9)
  drafts[..., 2] = types.EOS
  tokens, _, passes = check(model, drafts, draft_margin=1e3)
  np.testing.assert_array_equal(tokens[:, :3], drafts[:, 0])
  assert passes == 1 and not tokens[:, 3:].any()


def test_a_margin_accepts_none_but_the_best_tokens(model, greedy):
  drafts = drafts_of("random", greedy[0])
  most = check(model, drafts, draft_margin=1e3)
  every, one = (check(model, drafts, draft_margin=1e3, draft_top=top) for top in (model.config.net.vocab, 1))
  np.testing.assert_array_equal(every[0], most[0])
  np.testing.assert_array_equal(one[0], greedy[0])
  assert not np.array_equal(most[0], greedy[0])


def test_refused():
  with pytest.raises(ValueError, match=r"needs block >= 1, positions >= 1 and margin >= 0; got 0, 2 and 0.0."):
    speculative.speculative(None, None, (), None, tf.constant([1]), steps=1, drafting=speculative.Drafting(0))
  with pytest.raises(ValueError, match="search.draft_block is at least 1; got 0."):
    ar.Search(draft_block=0)
