"""JANUS: three predictions by one call of the decoder, and both translations."""
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config as config_lib
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.em import config as em_config
from tf_nar.em import stages
from tf_nar.evaluate import corpus
from tf_nar.export import saved_model
from tf_nar.export import tpu
from tf_nar.layers import attention
from tf_nar.layers import encoder_decoder
from tf_nar.models import cmlm
from tf_nar.models import janus
from tf_nar.ops import masking
from tf_nar.ops import spans

BATCH = families.batch(count=4)
NET = dataclasses.replace(families.NET, decoder_layers=2, **families.STILL)
HIDDEN = spans.spans((1, 2), BATCH.tgt != types.PAD, 0.7)
INSIDE = (BATCH.tgt != types.PAD).numpy()


def build(**changes):
  """A tiny model in which no weight is zero."""
  keras.utils.set_random_seed(0)
  return families.shaken(models.build("janus", janus.Config(**{"net": NET} | changes), len(families.VOCAB)), 0.1)


@pytest.fixture(scope="module")
def model():
  return build()


@pytest.fixture(scope="module")
def masked(model):
  """`cmlm` with the same weights."""
  other = models.build("cmlm", cmlm.Config(NET), len(families.VOCAB))
  weights = {variable.path: variable.numpy() for variable in model.variables}
  for variable in other.variables:
    variable.assign(weights.pop(variable.path))
  assert not weights
  return other


def log_probs(model, tgt=BATCH.tgt, hidden=HIDDEN, memory=None):
  states = model.predictions(memory or model.net.encode(BATCH.src), tgt, hidden)
  return tf.nn.log_softmax(model.net.embed.logits(states)).numpy()


# Two-stream attention, written out: the query stream only asks; keys and values are those of the content stream.


def two_streams(model, memory, content, query, content_sees, query_sees):
  """The decoder over content float [B, C, D] and queries [B, Q, D] with two masks, [B, C, C] and [B, Q, C]."""
  stack, shape = model.net.decoder, tf.shape(content)
  enter = lambda x: stack.norm(tf.reshape(x, [-1, NET.width]))
  content, query = enter(content), enter(query)

  def attend(part, x, keys, values, sees):
    queries, = part._heads((part.query(x) if part.cross else part.query_key_value(x)[:, :part.inner]), shape[0], 1,
                           attention.NO_DROPOUT)
    scores = tf.matmul(queries * (NET.width // NET.heads) ** -0.5, keys, transpose_b=True)
    weights = tf.nn.softmax(tf.where(sees[:, None], scores, -1e9))
    return part.out(part._rows(tf.matmul(weights, values), attention.NO_DROPOUT))

  for block in stack.blocks:
    own, cross = block.self_attend[0], block.cross_attend[0]
    _, keys, values = own._heads(own.query_key_value(content), shape[0], 3, attention.NO_DROPOUT)
    said = block.project(memory.states)[0]

    def through(x, sees, block=block, own=own, cross=cross, keys=keys, values=values, said=said):
      x = block.norms[0](x + attend(own, x, keys, values, sees))
      x = block.norms[1](x + attend(cross, x, *said, memory.mask))
      return block.norms[2](x + block.ffn_out[0](block.ffn_in[0](x)))

    content, query = through(content, content_sees), through(query, query_sees)
  return (tf.reshape(x, [shape[0], -1, NET.width]) for x in (content, query))


def test_one_sequence_is_two_stream_attention(model):
  memory, net = model.net.encode(BATCH.src), model.net
  together = model.predictions(memory, BATCH.tgt, HIDDEN)
  row, hidden = 0, np.flatnonzero(HIDDEN[0])
  shown = np.flatnonzero(INSIDE[0] & ~HIDDEN[0].numpy())
  memory = encoder_decoder.Memory(memory.states[:1], memory.mask[:1])
  tgt = BATCH.tgt[row].numpy()
  # As in the program: observed tokens, masks, true tokens; the queries are masks.
  embed = lambda tokens, at: net.canvas(tf.constant([tokens], tf.int32), tf.constant([at], tf.int32))
  mask = [types.MASK] * len(hidden)
  content = embed([*tgt[shown], *mask, *tgt[hidden]], [*shown, *hidden, *hidden])
  c, m = len(shown), len(hidden)
  sees = np.zeros([c + 2 * m, c + 2 * m], bool)
  sees[:, :c] = True
  sees[:c + m, c:c + m] = True
  later = np.triu(np.ones([m, m], bool), 1)
  sees[c + m:, c:c + m], sees[c + m:, c + m:] = later, ~later
  asks = np.concatenate([np.ones([m, c], bool), ~later.T, later.T], 1)
  said, asked = two_streams(model, memory, content, embed(mask, hidden), sees[None], asks[None])
  np.testing.assert_allclose(said[0, c:c + m], tf.gather(together[janus.NAR, row], hidden), atol=1e-5)
  np.testing.assert_allclose(asked[0], tf.gather(together[janus.AUX, row], hidden), atol=1e-5)

  size = int(INSIDE[0].sum())
  start = tf.concat([net.embed.look_up([[types.BOS]]), embed(tgt[:size - 1], range(size - 1))], 1)
  sees = np.tril(np.ones([1, size, size], bool))
  _, asked = two_streams(model, memory, start, embed([types.MASK] * size, range(size)), sees, sees)
  np.testing.assert_allclose(asked[0], together[janus.AR, row, :size], atol=1e-5)


def test_nar_mode_is_the_masked_language_model(model, masked):
  canvas = model.net.canvas(tf.where(HIDDEN, types.MASK, BATCH.tgt))
  states = masked.net.decode(canvas, masking.lengths(BATCH.tgt), masked.net.encode(BATCH.src))
  ours = model.predictions(model.net.encode(BATCH.src), BATCH.tgt, HIDDEN)[janus.NAR]
  np.testing.assert_allclose(ours.numpy()[INSIDE], states.numpy()[INSIDE], atol=1e-5)
  for passes in (1, 4):
    found = model.translate(BATCH.src, janus.Search(mode="nar", passes=passes, candidates=3))
    theirs = masked.translate(BATCH.src, cmlm.Search(passes=passes, candidates=3))
    for one, other in zip(found, theirs, strict=True):
      np.testing.assert_array_equal(one, other)
    assert found.passes == passes


# The conformance tests translate in the mode of the search in `families.TINY`, which is the other one.
def test_nar_mode_depends_on_neither_padding_nor_batch_and_is_for_a_tpu(model):
  search = janus.Search(mode="nar", passes=3, candidates=3)
  translate = tf.function(
    lambda src: model.translate(src, search), input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
  together = translate(tf.pad(BATCH.src, [[0, 1], [0, 3]]))
  for row in range(len(BATCH.src)):
    alone = translate(BATCH.src[row:row + 1])
    size = alone.tokens.shape[2]
    np.testing.assert_array_equal(together.tokens[row, :, :size], alone.tokens[0])
    assert not np.any(together.tokens[row, :, size:])
    np.testing.assert_allclose(together.score[row], alone.score[0], rtol=1e-4)
  program, *_ = tpu.programs_of_model(model, search, (8, 8))
  assert tpu.examine(program, compiling=False).findings == []


@pytest.mark.slow
def test_nar_mode_is_exported(model, tmp_path):
  search = janus.Search(mode="nar", passes=3, candidates=3)
  run = runs.Run(config_lib.Experiment("janus", model.config, search), model, families.VOCAB, str(tmp_path))
  saved_model.export(run, corpus.searcher(model, search), str(tmp_path / "out"))  # It checks itself.
  assert tf.saved_model.contains_saved_model(str(tmp_path / "out"))


def test_score_is_that_of_the_mode_asked_for(model, masked):
  other = build(scores="nar")
  np.testing.assert_allclose(other.score(BATCH.src, BATCH.tgt), masked.score(BATCH.src, BATCH.tgt), rtol=1e-5)
  by_ar = np.take_along_axis(log_probs(model)[janus.AR], BATCH.tgt.numpy()[..., None], 2)[..., 0]
  np.testing.assert_allclose(model.score(BATCH.src, BATCH.tgt), (by_ar * INSIDE).sum(1), rtol=1e-5)
  lists = tf.stack([BATCH.tgt, BATCH.tgt[::-1]], 1)
  for each in (model, other):
    expected = [each.score(BATCH.src, lists[:, n]) for n in range(2)]
    np.testing.assert_allclose(each.score_candidates(BATCH.src, lists), np.transpose(expected), rtol=1e-5)


def test_beam_scores_and_counts_what_it_says(model):
  search = janus.Search(beam=3, candidates=3, alpha=0.0, extra_length=2)
  calls, step = [], model.net.decoder.step
  model.net.decoder.step = lambda x, *args: calls.append(x.shape) or step(x, *args)
  try:
    found = model.translate(BATCH.src, search)
  finally:
    del model.net.decoder.step
  assert len(calls) == found.passes and set(calls) == {(3 * len(BATCH.src), 2, NET.width)}
  scores = tf.where(found.score > -np.inf, model.score_candidates(BATCH.src, found.tokens), -np.inf)
  np.testing.assert_allclose(found.score, scores, rtol=1e-4)
  rescored = model.translate(BATCH.src, search, rescore=lambda tokens: model.score_candidates(BATCH.src, tokens))
  assert rescored.passes == found.passes + 1
  np.testing.assert_allclose(rescored.score, scores, rtol=1e-4)


def test_each_mode_reads_what_it_may(model):
  plain, size = log_probs(model), BATCH.tgt.shape[1]
  row, hidden = 0, HIDDEN[0].numpy()
  for at in range(int(INSIDE[row].sum())):
    tgt = BATCH.tgt.numpy().copy()
    tgt[row, at] = 5 + (tgt[row, at] + 1) % 10
    moved = np.abs(log_probs(model, tgt) - plain)[:, row].max(-1) > 1e-6  # [3, T]
    after = np.arange(size) > at
    assert (moved[janus.AR][INSIDE[row]] == after[INSIDE[row]]).all()
    assert (moved[janus.NAR][hidden] == (not hidden[at])).all()
    assert (moved[janus.AUX][hidden] == (after | (not hidden[at]))[hidden]).all()


def test_two_runs_of_the_encoder_are_for_one_mode_each(model):
  two = model.net.encode(tf.concat([BATCH.src, BATCH.src[::-1]], 0))
  both = log_probs(model, memory=janus.paired(two, BATCH.tgt.shape[1]))
  first, second = (log_probs(model, memory=encoder_decoder.Memory(*(x[part] for x in two)))
                   for part in (slice(0, 4), slice(4, 8)))
  for stream, expected in ((janus.NAR, first), (janus.AUX, first), (janus.AR, second)):
    seen = INSIDE if stream == janus.AR else HIDDEN.numpy()
    np.testing.assert_allclose(both[stream][seen], expected[stream][seen], atol=1e-5)


@pytest.mark.parametrize("twice", [True, False])
def test_one_call_of_the_decoder_makes_all_losses(twice, monkeypatch):
  model = build(encode_twice=twice, weights=janus.FIGURE)
  rows, calls = [], []
  encoder, decoder = model.net.encoder.call, model.net.decoder.call
  monkeypatch.setattr(model.net.encoder, "call", lambda x, *args, **kw: rows.append(len(x)) or encoder(x, *args, **kw))
  monkeypatch.setattr(model.net.decoder, "call", lambda x, *args, **kw: calls.append(x) or decoder(x, *args, **kw))
  terms = model.objective(BATCH, seed=[1, 2], training=True).terms
  assert rows == [8 if twice else 4] and [x.shape[1] for x in calls] == [5 * BATCH.tgt.shape[1]]
  scales = {name: term.scale for name, term in terms.items()}
  assert scales == dict(token=1, nar=1, aux=1, nar_aux=1, ar_aux=1, ar_nar=0, length=0.1, correlation=0)


def test_losses_are_those_of_the_distributions(model, monkeypatch):
  monkeypatch.setattr(janus.spans, "spans", lambda seed, inside, share: HIDDEN)
  terms = model.objective(BATCH, seed=[1, 2], training=True).terms
  log_p, weight = log_probs(model), BATCH.weight.numpy()[:, None]
  hits = np.take_along_axis(log_p, BATCH.tgt.numpy()[None, ..., None], 3)[..., 0]
  smoothed = -0.9 * hits - 0.1 * log_p.mean(-1)
  apart = lambda j, k: ((np.exp(log_p[j]) - np.exp(log_p[k])) * (log_p[j] - log_p[k])).sum(-1) / 2
  every, some = weight * INSIDE, weight * HIDDEN.numpy()
  expected = {
    "token": (smoothed[janus.AR], every, 1.0), "nar": (smoothed[janus.NAR], some, 0.5),
    "aux": (smoothed[janus.AUX], some, 0.5), "nar_aux": (apart(janus.NAR, janus.AUX), some, 1.0),
    "ar_aux": (apart(janus.AR, janus.AUX), some, 3.0), "ar_nar": (apart(janus.AR, janus.NAR), some, 1.0),
    "correlation": (hits[janus.AUX] - hits[janus.NAR], some, 0.0)}
  for name, (losses, weights, scale) in expected.items():
    np.testing.assert_allclose(terms[name].total, (losses * weights).sum(), rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose((terms[name].count, terms[name].scale), (weights.sum(), scale), rtol=1e-6)


@pytest.mark.parametrize("masks", ["spans", "uniform"])
def test_both_kinds_of_masks_come_from_the_seed(masks):
  model = models.build("janus", janus.Config(NET, masks=masks), len(families.VOCAB))
  drawn = [model.hidden((1, n), tf.constant(INSIDE)).numpy() for n in (2, 2, 3)]
  assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
  assert not (drawn[0] & ~INSIDE).any() and drawn[0].any(1).all()


STUDENT = config_lib.Experiment("janus", janus.Config(NET, scores="nar"), janus.Search(mode="nar", candidates=5))
TEACHER = config_lib.Experiment("janus", janus.Config(NET), janus.Search())


def test_is_teacher_and_student_of_em():
  alternation = em_config.Alternation(TEACHER, STUDENT, student_from_teacher=True)
  assert em_config.nbest_search(alternation, TEACHER.search) == janus.Search(beam=20, candidates=20)
  assert STUDENT.search.with_candidates(9).candidates == 9


def test_one_run_is_both_ends_of_em(model, masked, tmp_path):
  teacher, student = (str(tmp_path / name) for name in ("teacher", "student"))
  runs.create(TEACHER, families.VOCAB, teacher)
  runs.save_weights({variable.path: variable.numpy() for variable in model.variables}, teacher)
  alternation = em_config.Alternation(TEACHER, STUDENT, one_model=True, raw_student=False)
  stages.Stages(alternation, "").study("", teacher, None, student)
  run = runs.load(student)
  assert run.experiment == dataclasses.replace(STUDENT, model=run.model.config) and run.model.config.scores == "nar"
  np.testing.assert_allclose(run.model.score(BATCH.src, BATCH.tgt), masked.score(BATCH.src, BATCH.tgt), rtol=1e-5)
  run = runs.load(student, ["model.scores=ar"])
  np.testing.assert_allclose(run.model.score(BATCH.src, BATCH.tgt), model.score(BATCH.src, BATCH.tgt), rtol=1e-5)


@pytest.mark.parametrize("kind, values, message", [
  (janus.Config, dict(masks="random"), "model.masks is one of spans, uniform; got 'random'"),
  (janus.Config, dict(scores="both"), "model.scores is one of ar, nar; got 'both'"),
  (janus.Config, dict(share=0.0), "model.share must be above 0 and at most 1; got 0.0"),
  (janus.Search, dict(mode="aux"), "search.mode is one of ar, nar; got 'aux'"),
  (janus.Search, dict(candidates=6), "search needs 1 <= candidates <= beam; got candidates=6, beam=5"),
  (janus.Search, dict(mode="nar", passes=0), "search.passes and search.candidates must be at least 1; got 0 and 1"),
  (janus.Search, dict(mode="nar", min_masked=2), "search.min_masked must be 1"),
])
def test_refuses(kind, values, message):
  with pytest.raises(ValueError, match=message):
    kind(**values)
