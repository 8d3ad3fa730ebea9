import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_nar.losses import dag as loss
from tf_nar.ops import dag

POSITIONS, WORDS = 6, 4


def parts():
  """Graphs of 6, 6, 3 and 0 vertices; the targets have 3, 4, 4 (no path) and 0 tokens (a padding row)."""
  vertices, lengths = tf.constant([6, 6, 3, 0]), tf.constant([3, 4, 4, 0])
  at = tf.range(POSITIONS)
  allowed = (at[:, None] < at) & (at < vertices[:, None])[:, None]
  scores = tf.random.stateless_normal([4, POSITIONS, POSITIONS], [0, 1])
  links = tf.where(allowed, tf.nn.log_softmax(tf.where(allowed, scores, dag.IMPOSSIBLE)), dag.IMPOSSIBLE)
  return links, -tf.random.stateless_uniform([4, POSITIONS, WORDS], [2, 3]), vertices, lengths


def test_counts_words_of_the_targets_that_have_a_path():
  given, weight = parts(), tf.constant([1.0, 0.5, 2.0, 0.0])
  terms = loss.terms(*given, weight)
  log_prob = dag.log_likelihood(*given).numpy()
  np.testing.assert_allclose(terms["token"].total, -(log_prob[0] + 0.5 * log_prob[1]), rtol=1e-6)
  assert (float(terms["token"].count), terms["token"].scale) == (3 + 0.5 * 4, 1.0)
  assert (float(terms["infeasible"].total), float(terms["infeasible"].count)) == (2.0, 3.5)
  assert terms["infeasible"].scale == 0


def test_a_target_without_a_path_moves_nothing():
  links, emissions, vertices, lengths = parts()
  with tf.GradientTape() as tape:
    tape.watch((links, emissions))
    total = loss.terms(links, emissions, vertices, lengths, tf.ones([4]))["token"].total
  for gradient in tape.gradient(total, (links, emissions)):
    assert np.isfinite(gradient).all() and not np.any(gradient[2:]) and np.any(gradient[0]) and np.any(gradient[1])


def test_nothing_but_targets_without_a_path_costs_nothing():
  only = [part[2:3] for part in parts()]
  terms = loss.terms(*only, tf.ones([1]))
  assert (float(terms["token"].total), float(terms["token"].count)) == (0.0, 0.0)


@pytest.mark.parametrize("force", loss.FORCES)
def test_what_is_shown_is_forced_and_not_learned(force):
  """The first graph's target is two tokens and an EOS of probability 1; token 1 is revealed at vertex 3."""
  links, emissions, *_ = [part[:1] for part in parts()]
  shown = np.zeros([1, POSITIONS, WORDS], bool)
  shown[0, 3, 1] = True
  with tf.GradientTape() as tape:
    tape.watch(emissions)
    emitted = loss.forced(emissions, tf.constant(shown), force)
    found = dag.log_likelihood(links, emitted, tf.constant([POSITIONS]), tf.constant([3]))
  gradient = tf.convert_to_tensor(tape.gradient(found, emissions)).numpy()
  assert not np.any(gradient[shown]) and np.any(gradient)
  edge, said = links[0].numpy(), emissions[0].numpy()
  log_probs = []
  for one, other in itertools.combinations(range(1, POSITIONS - 1), 2):
    of_path = edge[0, one] + edge[one, other] + edge[other, POSITIONS - 1] + said[one, 0]
    if force == "path" and other == 3:
      log_probs.append(of_path)  # A revealed token has probability 1.
    elif force == "vertex" and one != 3:  # Vertex 3 emits token 1 only.
      log_probs.append(of_path + said[other, 1])
  np.testing.assert_allclose(found[0], np.logaddexp.reduce(log_probs), rtol=1e-5)
