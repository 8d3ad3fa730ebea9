import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.layers import transformer
from tf_nar.models import dag
from tf_nar.ops import dag as paths
from tf_nar.ops import glancing
from tf_nar.ops import masking

WORDS, UPSAMPLE = 8, 3
SRC = families.padded([[5, 6], [7], []], 4)
TGT = families.padded([[6, 5, 7], [7, 7], []], 5)
BATCH = types.Batch(SRC, TGT, tf.constant([1.0, 2.0, 0.0]))


@pytest.fixture(scope="module")
def model():
  return build()


def build(start=1.0, end=0.0):
  keras.utils.set_random_seed(0)
  net = transformer.Config(width=8, ffn=16, heads=2, encoder_layers=1, decoder_layers=1, max_length=6)
  made = dag.Config(net, upsample=UPSAMPLE, glance=glancing.Glance(start, end, 10))
  return families.shaken(models.build("dag", made, WORDS), 0.3)


def test_canvas_has_vertices_for_every_source_token(model):
  canvas, vertices = model.canvas(SRC)
  assert vertices.numpy().tolist() == [9, 6, 0]
  middle = lambda count: [types.BOS, *[types.MASK] * (count - 2), types.EOS]
  assert canvas.numpy().tolist() == [middle(9) + 3 * [0], middle(6) + 6 * [0], 12 * [0]]


def test_score_adds_up_all_paths(model):
  canvas, vertices = model.canvas(SRC)
  states, links = model.graph(canvas, vertices, model.net.encode(SRC))
  log_prob = tf.nn.log_softmax(model.net.embed.logits(states)).numpy()
  for row, target in enumerate([[6, 5, 7], [7, 7]]):
    total = 0.0
    for inner in itertools.combinations(range(1, vertices[row].numpy() - 1), len(target)):
      tokens = sum(log_prob[row, vertex, token] for vertex, token in zip(inner, target, strict=True))
      steps = itertools.pairwise([0, *inner, int(vertices[row]) - 1])
      total += np.exp(tokens + sum(float(links[row, i, j]) for i, j in steps))
    np.testing.assert_allclose(model.score(SRC, TGT)[row], np.log(total), rtol=1e-5)


def test_loss_is_the_score_at_rest(model):
  token = model.objective(BATCH, seed=None, training=False).terms["token"]
  score = model.score(SRC, TGT).numpy()
  np.testing.assert_allclose(token.total, -score[0] - 2 * score[1], rtol=1e-5)
  assert float(token.count) == 4 + 2 * 3


def test_a_target_longer_than_its_graph_is_left_out(model):
  long = types.Batch(SRC, families.padded([[6, 5, 7], [5, 6, 7, 5, 6, 7], []], 7), BATCH.weight)
  for training in (False, True):
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
      terms = model.objective(long, seed=[1, 2], training=training).terms
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(terms["token"].total, variables)]
    with tf.GradientTape() as tape:
      alone = model.objective(
        long._replace(weight=tf.constant([1.0, 0.0, 0.0])), seed=[1, 2], training=training).terms
    for one, other in zip(gradients, tape.gradient(alone["token"].total, variables), strict=True):
      np.testing.assert_allclose(one, tf.convert_to_tensor(other), rtol=1e-5, atol=1e-6)
    assert float(terms["token"].count) == 4 and terms["token"].total == alone["token"].total
    assert (float(terms["infeasible"].total), float(terms["infeasible"].count)) == (2, 3)


def glanced(model, share, seed=(0, 1)):
  canvas, vertices = model.canvas(SRC)
  states, links = model.graph(canvas, vertices, model.net.encode(SRC))
  path = paths.best_path(links, model.emissions(states, TGT), vertices, masking.lengths(TGT)).numpy()
  said = model.net.embed.logits(states).numpy().argmax(-1)
  return model.glance((states, links), TGT, vertices, share, seed).numpy(), path, said


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_glance_shows_a_share_of_what_is_wrong_on_the_best_path(model, share):
  shown, path, said = glanced(model, share)
  for row, tokens in enumerate(([6, 5, 7], [7, 7], [])):
    wrong = sum(said[row, path[row, t]] != token for t, token in enumerate(tokens))
    assert shown[row].sum() == int(wrong * share + 0.5)
    for vertex, t in np.argwhere(shown[row]):
      assert t < len(tokens) and vertex == path[row, t]  # EOS is never revealed.


def test_a_shown_vertex_says_its_word_for_no_gain_and_no_gradient(model, monkeypatch):
  """The loss of a training step, recomputed from the canvas that it must have used."""
  seed = tf.constant([3, 4])
  canvas, vertices = model.canvas(SRC)
  given = []
  graph = model.graph
  monkeypatch.setattr(model, "graph", lambda *a: given.append(a) or graph(*a))
  token = model.objective(BATCH, seed=seed, training=True).terms["token"]
  monkeypatch.undo()
  (first, *_), (second, _, memory, _) = given
  np.testing.assert_array_equal(first, canvas)
  told = (second != canvas).numpy()
  assert told.any()
  dropout = lambda: dag.noise_lib.Dropout(tf.random.fold_in(seed, dag.DECODER, alg="philox"))
  states, links = model.graph(canvas, vertices, memory, dropout())  # The first pass of glancing.
  path = paths.best_path(links, model.emissions(states, TGT), vertices, masking.lengths(TGT)).numpy()
  states, links = model.graph(second, vertices, memory, dropout())
  log_prob = model.emissions(states, TGT).numpy()
  for row, vertex in np.argwhere(told):
    t = path[row].tolist().index(vertex)
    assert second[row, vertex] == TGT[row, t]
    log_prob[row, vertex, np.arange(5) != t] = paths.IMPOSSIBLE
  expected = paths.log_likelihood(links, tf.constant(log_prob), vertices, masking.lengths(TGT)).numpy()
  np.testing.assert_allclose(token.total, -expected[0] - 2 * expected[1], rtol=1e-5)


def test_glancing_follows_the_updates_and_stops_at_rest(model, monkeypatch):
  shares = []
  glance = model.glance
  monkeypatch.setattr(model, "glance", lambda *a: shares.append(float(a[3])) or glance(*a))
  for step in (0, 5, 10, 100):
    model.objective(BATCH, seed=[1, 2], training=True, step=tf.constant(step, tf.int64))
  assert shares == [1.0, 0.5, 0.0, 0.0]
  model.objective(BATCH, seed=None, training=False)
  assert len(shares) == 4


def test_without_glancing_there_is_one_pass(monkeypatch):
  model, passes = build(0.0, 0.0), []
  graph = model.graph
  monkeypatch.setattr(model, "graph", lambda *a: passes.append(1) or graph(*a))
  model.objective(BATCH, seed=[1, 2], training=True)
  assert passes == [1]


def test_viterbi_is_no_worse_than_a_walk_and_no_better_than_the_sum(model):
  best = lambda *method, **kw: model.translate(SRC, dag.Search(*method, collapse=False, **kw))
  joint, greedy, ahead = best("joint", penalty=0.0), best("greedy"), best("lookahead")
  assert np.all(joint.score[:2] >= np.maximum(greedy.score, ahead.score)[:2] - 1e-5)
  assert np.all(model.score(SRC, joint.tokens[:, 0])[:2] >= joint.score[:2, 0] - 1e-5)
  assert {int(found.passes) for found in (joint, greedy, ahead)} == {1}


@pytest.mark.parametrize("method", dag.METHODS)
def test_says_no_reserved_word(model, method):
  bias = model.net.embed.bias
  before = bias.numpy()
  bias.assign(tf.one_hot([types.PAD, types.BOS, types.EOS, types.MASK], WORDS, 50.0, 0.0)[0] + before)
  tokens = model.translate(SRC, dag.Search(method)).tokens.numpy()[:2, 0]
  bias.assign(before)
  for said in tokens:
    said = said[said != types.PAD].tolist()
    assert said.index(types.EOS) == len(said) - 1 and not {types.BOS, types.MASK} & set(said)


def test_a_rescorer_ranks_the_lengths(model):
  search = dag.Search("joint", candidates=3, collapse=False, alpha=0.0)
  wants = lambda sign: lambda tokens: sign * tf.math.count_nonzero(tokens, -1, dtype=tf.float32)
  lengths = lambda sign: np.count_nonzero(model.translate(SRC[:2], search, rescore=wants(sign)).tokens, 2)
  np.testing.assert_array_equal(lengths(1.0), -np.sort(-lengths(1.0), 1))
  np.testing.assert_array_equal(lengths(-1.0), lengths(1.0)[:, ::-1])


def test_ranks_by_the_sum_over_all_paths(model):
  search = dag.Search("joint", candidates=4, alpha=0.7)
  plain, found = (model.translate(SRC[:2], each) for each in (search, dataclasses.replace(search, rank="paths")))
  sets = [{tuple(tokens) for tokens in each.tokens[0].numpy().tolist()} for each in (plain, found)]
  assert sets[0] == sets[1] and (plain.passes, found.passes) == (1, 1)
  lengths = np.count_nonzero(found.tokens, 2)
  scores = [model.score(SRC[:2], found.tokens[:, n]).numpy() for n in range(4)]
  wanted = np.stack(scores, 1) / ((5 + lengths) / 6) ** 0.7
  np.testing.assert_allclose(found.score, wanted, rtol=1e-5)
  np.testing.assert_array_equal(found.score, -np.sort(-found.score, 1))
  assert np.any(found.score != plain.score)  # Those are scores of the best path.


@pytest.mark.parametrize("make, message", [
  (lambda: dag.Config(upsample=1), r"model.upsample must be at least 2, .*; got 1\."),
  (lambda: dag.Search("beam"), r"search.method is one of greedy, lookahead, viterbi, joint; got 'beam'\."),
  (lambda: dag.Search("joint", candidates=0), r"search.candidates must be at least 1, .* got 0 with joint"),
  (lambda: dag.Search("joint", rank="paths"), r"rank=paths needs several candidates; .* set search.candidates=9 too"),
  (lambda: dag.Search("joint", rank="best"), r"search.rank is one of path, paths, consensus; got 'best'"),
  (lambda: dag.Search(penalty=1.4), r"search.penalty needs viterbi or joint, as lookahead .* got 1.4; set"),
  (lambda: dag.Search(candidates=2), r"1 for greedy and lookahead.* got 2 with lookahead; viterbi and joint find"),
])
def test_refuses(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_xla_trains_the_same(model):
  variables = [v.value for v in model.trainable_variables]

  def update():
    with tf.GradientTape() as tape:
      value = types.loss(model.objective(BATCH, seed=[1, 2], training=True, step=3))
    return [value, *map(tf.convert_to_tensor, tape.gradient(value, variables))]

  for mine, theirs in zip(tf.function(update, jit_compile=True, autograph=False)(), update(), strict=True):
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_sine_places_do_as_well():
  net = dataclasses.replace(build().config.net, positions="sine", vocab=0)
  model = models.build("dag", dag.Config(net, upsample=UPSAMPLE), WORDS)
  assert np.isfinite(model.score(SRC, TGT)).all()
