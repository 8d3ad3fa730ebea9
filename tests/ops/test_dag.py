"""Sums and maxima over paths against enumeration; §5's two-mode oracle, which a sum over paths can fit."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import dag

NEVER = dag.IMPOSSIBLE
CASES = [(7, 4), (7, 6), (5, 1), (4, 3), (6, 2), (2, 1), (3, 3), (4, 7), (0, 0)]  # Vertices, tokens; 3 have no path.
VERTICES, LENGTHS = (tf.constant(column, tf.int32) for column in zip(*CASES, strict=True))
WITHOUT = [row for row, (vertices, length) in enumerate(CASES) if not 0 < length < vertices]


def problem(vertices=VERTICES, tokens=7, positions=7, seed=0):
  """Random log E [B, L, L] over the real vertices, and log probabilities of tokens [B, L, T]."""
  draw = np.random.default_rng(seed)
  rows = len(vertices)
  at = np.arange(positions)
  allowed = (at[:, None] < at) & (at < np.asarray(vertices)[:, None, None])
  scores = tf.constant(np.where(allowed, draw.normal(size=(rows, positions, positions)) * 2, NEVER), tf.float32)
  links = tf.where(allowed, tf.nn.log_softmax(scores), NEVER)
  return links, tf.constant(-draw.exponential(2.0, size=(rows, positions, tokens)), tf.float32)


def paths(links, emissions, vertices, length):
  """Every path of one sentence and its log p, float64."""
  links, emissions = np.asarray(links, np.float64), np.asarray(emissions, np.float64)
  for inner in itertools.combinations(range(1, vertices - 1), length - 1):
    path = [*inner, vertices - 1]
    tokens = sum(emissions[vertex, t] for t, vertex in enumerate(inner))
    yield path, tokens + sum(links[i, j] for i, j in itertools.pairwise([0, *path]))


def by_hand(links, emissions):
  """log p of each sentence, and its best path."""
  for row, (vertices, length) in enumerate(CASES):
    if row in WITHOUT:
      yield 0.0, []
    else:
      every = list(paths(links[row], emissions[row], vertices, length))
      yield np.log(sum(np.exp(score) for _, score in every)), max(every, key=lambda each: each[1])[0]


@tf.function(autograph=False)
def value_and_gradients(links, emissions, vertices, lengths):
  with tf.GradientTape() as tape:
    tape.watch((links, emissions))
    value = dag.log_likelihood(links, emissions, vertices, lengths)
  return value, *tape.gradient(value, (links, emissions))


def test_sum_over_all_paths():
  links, emissions = problem()
  found = dag.log_likelihood(links, emissions, VERTICES, LENGTHS).numpy()
  expected = [log_prob for log_prob, _ in by_hand(links, emissions)]
  possible = [row for row in range(len(CASES)) if row not in WITHOUT]
  np.testing.assert_allclose(found[possible], np.array(expected)[possible], rtol=1e-5)
  assert found[-1] == 0 and (found[WITHOUT[:-1]] < NEVER / 2).all() and np.isfinite(found).all()


def test_best_path():
  links, emissions = problem(seed=1)
  found = dag.best_path(links, emissions, VERTICES, LENGTHS).numpy()
  for row, (_, path) in enumerate(by_hand(links, emissions)):
    assert found[row, :len(path)].tolist() == path
    assert (found[row, len(path):] == max(CASES[row][0] - 1, 0)).all() or row in WITHOUT


def test_gradient_is_the_slope():
  links, emissions = problem()
  value, d_links, d_emissions = value_and_gradients(links, emissions, VERTICES, LENGTHS)
  arrays = [np.asarray(x, np.float64) for x in (links, emissions)]
  for array, gradient in zip(arrays, (d_links, d_emissions), strict=True):
    for at in np.argwhere(array[:, :4] > NEVER)[::3].tolist():
      at, here, sides = tuple(at), array[tuple(at)], []
      for array[at] in (here + 1e-5, here - 1e-5):
        sides.append([log_prob for log_prob, _ in by_hand(*arrays)][at[0]])
      array[at] = here
      np.testing.assert_allclose(gradient[at], (sides[0] - sides[1]) / 2e-5, rtol=1e-4, atol=1e-5)


def test_own_gradient_is_that_of_automatic_differentiation():
  links, emissions = problem(seed=2)
  _, *mine = value_and_gradients(links, emissions, VERTICES, LENGTHS)
  with tf.GradientTape() as tape:
    tape.watch((links, emissions))
    steps, inside = dag._steps(emissions, VERTICES, LENGTHS)
    last = dag.forward(links, steps, inside, tf.reduce_logsumexp)[-1]
    value = tf.gather(last, tf.maximum(VERTICES - 1, 0), batch_dims=1)
    value = tf.where(dag.feasible(VERTICES, LENGTHS), value, 0.0)
  for own, theirs in zip(mine, tape.gradient(value, (links, emissions)), strict=True):
    np.testing.assert_allclose(own, theirs, rtol=1e-4, atol=1e-6)


def test_without_a_path_the_gradient_is_nothing():
  links, emissions = problem()
  _, *gradients = value_and_gradients(links, emissions, VERTICES, LENGTHS)
  for gradient in gradients:
    norms = np.abs(gradient).sum((1, 2))
    assert np.isfinite(gradient).all() and not norms[WITHOUT].any()
  assert norms[0] > 0
  assert dag.feasible(VERTICES, LENGTHS).numpy().tolist() == [row not in WITHOUT for row in range(len(CASES))]


def test_padding_and_blank_rows_change_nothing():
  links, emissions = problem(seed=3)
  wide = (tf.pad(links, [[0, 2], [0, 3], [0, 3]], constant_values=NEVER), tf.pad(emissions, [[0, 2], [0, 3], [0, 2]]),
          tf.pad(VERTICES, [[0, 2]]), tf.pad(LENGTHS, [[0, 2]]))
  ffn_out = value_and_gradients(links, emissions, VERTICES, LENGTHS)
  for one, other in zip(ffn_out, value_and_gradients(*wide), strict=True):
    np.testing.assert_allclose(other[tuple(map(slice, one.shape))], one, rtol=1e-5, atol=1e-6)
    assert not np.any(other[len(CASES):])
  best, broad = dag.best_path(links, emissions, VERTICES, LENGTHS), dag.best_path(*wide)
  for row, length in enumerate(LENGTHS.numpy()):
    assert row in WITHOUT or best[row, :length].numpy().tolist() == broad[row, :length].numpy().tolist()


def test_all_sentences_of_all_lengths_add_up_to_one():
  vertices, tokens = 6, 3
  links, _ = problem([vertices], positions=vertices)
  said = tf.nn.log_softmax(tf.random.stateless_normal([vertices, tokens], [1, 2]))
  total = 0.0
  for length in range(1, vertices):
    every = np.array(list(itertools.product(range(tokens), repeat=length - 1)), np.int32)
    emissions = tf.pad(tf.transpose(tf.gather(said, every, axis=1), [1, 0, 2]), [[0, 0], [0, 0], [0, 1]])
    rows = tf.ones(len(every), tf.int32)
    total += tf.reduce_sum(tf.exp(dag.log_likelihood(
      tf.tile(links, [len(every), 1, 1]), emissions, vertices * rows, length * rows)))
  np.testing.assert_allclose(total, 1.0, rtol=1e-5)


def test_a_long_sentence_does_not_underflow():
  # Uniform transitions reach the end of the graph at once; only the emissions keep paths in its middle.
  positions, length = 300, 200
  at = np.arange(positions)
  links = np.where(at[:, None] < at, -np.log(np.maximum(positions - 1 - at, 1))[:, None], NEVER)
  emissions = np.where(at[:, None] == 1 + np.arange(length), -1.0, -60.0)
  given = tf.constant(links[None], tf.float32), tf.constant(emissions[None], tf.float32)
  value, d_links, d_emissions = value_and_gradients(*given, tf.constant([positions]), tf.constant([length]))
  assert np.isfinite(value).all()
  np.testing.assert_allclose(np.sum(d_links), length, rtol=1e-3)  # As many transitions as tokens,
  np.testing.assert_allclose(np.sum(d_emissions, 1)[0, :-1], 1.0, rtol=1e-3)  # and each token at one vertex.


def test_xla_says_the_same():
  given = (*problem(seed=4), VERTICES, LENGTHS)
  compiled = tf.function(value_and_gradients.python_function, jit_compile=True, autograph=False)(*given)
  for one, other in zip(compiled, value_and_gradients(*given), strict=True):
    possible = [row for row in range(len(CASES)) if row not in WITHOUT]
    np.testing.assert_allclose(one.numpy()[possible], other.numpy()[possible], rtol=1e-4, atol=1e-5)
  path = tf.function(dag.best_path, jit_compile=True, autograph=False)(*given)
  np.testing.assert_array_equal(path, dag.best_path(*given))


def excess(targets, inner, restarts, updates=400):
  """Nats above the entropy of equally likely targets (lists of tokens) that free logits reach in each restart.

  One source and no model: Adam on one graph per restart, with `inner` vertices between the first and the last.
  """
  positions, tokens, length = inner + 2, 5, max(map(len, targets)) + 1
  tgt = np.zeros([len(targets), length], int)
  for row, target in enumerate(targets):
    tgt[row, :len(target)] = target
  at = np.arange(positions)
  allowed = at[:, None] < at
  draw = np.random.default_rng(0)
  free = [tf.Variable(draw.normal(size=(restarts, positions, n)), dtype=tf.float32) for n in (positions, tokens)]
  adam = tf.keras.optimizers.Adam(0.1)
  adam.build(free)

  def nats():
    links = tf.where(allowed, tf.nn.log_softmax(tf.where(allowed, free[0], NEVER)), NEVER)
    said = tf.gather(tf.nn.log_softmax(free[1]), tgt, axis=-1)  # [R, L, targets, T]
    each = lambda n: tf.fill([restarts], n)
    log_prob = [dag.log_likelihood(links, said[:, :, row], each(positions), each(len(target) + 1))
                for row, target in enumerate(targets)]
    return -tf.add_n(log_prob) / len(targets)

  def update(n):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(nats())
    adam.apply(tape.gradient(loss, free), free)
    return n + 1

  @tf.function(autograph=False)
  def train():
    tf.while_loop(lambda n: n < updates, update, [0])
    return nats()

  return train().numpy() - np.log(len(targets))


@pytest.mark.parametrize("targets, inner, least", [
  ([[1, 2], [3, 4]], 2, np.log(2)),  # No better than cross-entropy: each position has two tokens.
  ([[1, 2], [2, 1]], 2, np.log(2)),
  ([[1, 2], [3, 4], [1, 4]], 2, 0.174),
  *[(targets, inner, 0.0) for inner in (4, 6) for targets in (
    [[1, 2], [3, 4]], [[1, 2], [2, 1]], [[1, 2, 3], [2, 3]], [[1, 2], [3, 4], [1, 4]])],
])
def test_spare_vertices_hold_sentences_that_exclude_each_other(targets, inner, least):
  found = excess(targets, inner, restarts=16)
  np.testing.assert_allclose(found.min(), least, atol=0.01)


def test_a_sentence_needs_as_many_vertices_as_words():
  assert dag.feasible(tf.constant([2, 3, 4, 5]) + 2, tf.constant([3] * 4) + 1).numpy().tolist() == [False] + [True] * 3


def test_expected_ngrams_are_those_of_all_paths_and_words():
  vertices, vocabulary, order = [6, 2, 0], 3, 3
  draw, tokens = np.random.default_rng(3), [0, 1, 1, 2]
  links, _ = problem(vertices)
  log_prob = np.log(draw.dirichlet(np.ones(vocabulary), [3, 7])).astype(np.float32)
  counts, totals = dag.expected(links, tf.constant(log_prob[..., tokens]), tf.constant(vertices), order)
  wanted, every = np.zeros((order, len(tokens))), np.zeros(order)
  for count in range(1, vertices[0]):
    for path, score in paths(links[0], np.zeros((7, count)), vertices[0], count):
      every += np.exp(score) * np.maximum(count - 1 - np.arange(order), 0)
      for said in itertools.product(range(vocabulary), repeat=count - 1):
        chance = np.exp(score + sum(log_prob[0, v, w] for v, w in zip(path, said, strict=False)))
        for n, at in itertools.product(range(1, order + 1), range(len(tokens))):
          here = [said[s:s + n] for s in range(len(said) - n + 1)]
          wanted[n - 1, at] += chance * here.count(tuple(tokens[at:at + n])) * (at + n <= len(tokens))
  np.testing.assert_allclose(counts[:, 0], wanted, rtol=1e-4)
  np.testing.assert_allclose(totals[:, 0], every, rtol=1e-5)
  # A graph of only two vertices, and a padding row, have no tokens.
  assert not np.any(counts[:, 1:]) and not np.any(totals[:, 1:])
