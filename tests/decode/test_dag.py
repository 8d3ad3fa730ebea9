"""Searches on a graph against all of its paths."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import dag as decode
from tf_nar.ops import dag

EOS, POSITIONS = types.EOS, 7
VERTICES = (7, 6, 4, 2, 0)


def graph(seed=0, vertices=VERTICES, positions=POSITIONS):
  draw = np.random.default_rng(seed)
  rows, at = len(vertices), np.arange(positions)
  allowed = (at[:, None] < at) & (at < np.array(vertices)[:, None, None])
  scores = np.where(allowed, 2 * draw.normal(size=(rows, positions, positions)), dag.IMPOSSIBLE)
  links = tf.where(allowed, tf.nn.log_softmax(tf.constant(scores, tf.float32)), dag.IMPOSSIBLE)
  tokens = np.tile(types.MASK + 1 + at, [rows, 1])  # Every vertex has another token.
  return decode.Graph(
    links, tf.constant(tokens, tf.int32), tf.constant(-draw.exponential(size=(rows, positions)), tf.float32),
    tf.constant(vertices, tf.int32))


def inner_paths(vertices):
  """The vertices between the first and the last, of every path."""
  for count in range(max(vertices - 1, 0)):
    yield from itertools.combinations(range(1, vertices - 1), count)


def price(graph, row, inner, joint):
  """The score of one path."""
  steps = [0, *inner, int(graph.vertices[row]) - 1]
  links = sum(float(graph.links[row, i, j]) for i, j in itertools.pairwise(steps))
  return links + joint * sum(float(graph.log_prob[row, i]) for i in inner)


def said(graph, row, inner):
  return [*(int(graph.tokens[row, i]) for i in inner), EOS]


def words_of(tokens):
  return tokens[tokens != types.PAD].tolist()


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("joint", [False, True])
def test_viterbi_finds_the_best_path_of_every_length(joint, penalty):
  given = graph()
  found = decode.viterbi(given, 9, joint=joint, penalty=penalty, candidates=6)
  assert found.tokens.shape == (len(VERTICES), 6, POSITIONS) and int(found.passes) == 1
  for row, vertices in enumerate(VERTICES):
    best = {}  # By length, EOS included.
    for inner in inner_paths(vertices):
      score = price(given, row, inner, joint)
      best[len(inner)] = max(best.get(len(inner), (-np.inf, ())), (score / (len(inner) + 1) ** penalty, inner))
    expected = sorted(best.values(), reverse=True)
    assert len(expected) == max(vertices - 1, 0)
    for n, (score, inner) in enumerate(expected):
      np.testing.assert_allclose(found.score[row, n], score, rtol=1e-5)
      assert words_of(found.tokens[row, n].numpy()) == said(given, row, inner)
    assert np.all(found.score[row, len(expected):] == -np.inf) and not np.any(found.tokens[row, len(expected):])


def greedily(graph, row, lookahead):
  """Step by step, by the definition."""
  at, path, end = 0, [], int(graph.vertices[row]) - 1
  while True:
    token = lambda j: 0.0 if j == end else float(graph.log_prob[row, j])
    at = max(range(at + 1, end + 1), key=lambda j: float(graph.links[row, at, j]) + lookahead * token(j))
    if at == end:
      return path
    path.append(at)


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_walk_takes_the_likeliest_step(lookahead, seed):
  given = graph(seed)
  found = decode.walk(given, 9, lookahead=lookahead)
  assert found.tokens.shape == (len(VERTICES), 1, POSITIONS) and int(found.passes) == 1
  for row in range(len(VERTICES) - 1):
    path = greedily(given, row, lookahead)
    assert words_of(found.tokens[row, 0].numpy()) == said(given, row, path)
    np.testing.assert_allclose(found.score[row, 0], price(given, row, path, joint=True), rtol=1e-5)
  assert not np.any(found.tokens[-1]) and found.score[-1, 0] == -np.inf


def test_lookahead_matters():
  given = graph(1)
  assert any(greedily(given, row, True) != greedily(given, row, False) for row in range(3))


SEARCHES = [
  lambda graph, longest=9, **kw: decode.walk(graph, longest, lookahead=True, **kw),
  lambda graph, longest=9, **kw: decode.viterbi(graph, longest, joint=True, candidates=2, **kw),
]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_word_said_twice_in_a_row_is_said_once(search):
  at = np.arange(POSITIONS)
  links = np.where(at[:, None] + 1 == at, 0.0, np.where(at[:, None] < at, -50.0, dag.IMPOSSIBLE))[None]
  tokens = tf.constant([[0, 5, 5, 6, 5, 5, 0]])
  given = decode.Graph(tf.constant(links, tf.float32), tokens, tf.zeros([1, POSITIONS]), tf.constant([POSITIONS]))
  assert words_of(search(given, collapse=False).tokens[0, 0].numpy()) == [5, 5, 6, 5, 5, EOS]
  assert words_of(search(given).tokens[0, 0].numpy()) == [5, 6, 5, EOS]


@pytest.mark.parametrize("search", SEARCHES)
def test_nothing_longer_than_the_longest_is_said(search):
  tokens = search(graph(2), longest=3).tokens
  assert tokens.shape[2] == 4
  lengths = np.count_nonzero(tokens, 2)
  assert (lengths[:4, 0] > 0).all() and (lengths <= 4).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_padding_and_batch_mates_change_nothing(search):
  given = graph(3)
  wide = decode.Graph(
    tf.pad(given.links, [[0, 1], [0, 2], [0, 2]], constant_values=dag.IMPOSSIBLE),
    tf.pad(given.tokens, [[0, 1], [0, 2]]), tf.pad(given.log_prob, [[0, 1], [0, 2]]), tf.pad(given.vertices, [[0, 1]]))
  ffn_out, broad = search(given), search(wide)
  np.testing.assert_array_equal(broad.tokens[:-1, :, :POSITIONS], ffn_out.tokens)
  np.testing.assert_allclose(broad.score[:-1], ffn_out.score, rtol=1e-6)
  alone = search(decode.Graph(*(part[1:2] for part in given)))
  np.testing.assert_array_equal(alone.tokens[0], ffn_out.tokens[1])


@pytest.mark.parametrize("search", SEARCHES)
def test_compiled_says_the_same(search):
  expected = search(graph(4))
  signature = [tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None]),
               tf.TensorSpec([None], tf.int32)]
  open_shapes = tf.function(lambda *parts: search(decode.Graph(*parts)), input_signature=signature, autograph=False)
  by_xla = tf.function(lambda *parts: search(decode.Graph(*parts)), jit_compile=True, autograph=False)
  for compiled in (open_shapes, by_xla):
    found = compiled(*graph(4))
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-5)
