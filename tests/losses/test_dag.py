import numpy as np
import tensorflow as tf

from tf_nar.losses import dag as loss
from tf_nar.ops import dag

PLACES, WORDS = 6, 4


def parts():
  """Graphs of 6, 6, 3 and 0 vertices; the targets' words are 3, 4, 4 (no path) and 0 (a blank row)."""
  vertices, lengths = tf.constant([6, 6, 3, 0]), tf.constant([3, 4, 4, 0])
  at = tf.range(PLACES)
  allowed = (at[:, None] < at) & (at < vertices[:, None])[:, None]
  scores = tf.random.stateless_normal([4, PLACES, PLACES], [0, 1])
  links = tf.where(allowed, tf.nn.log_softmax(tf.where(allowed, scores, dag.IMPOSSIBLE)), dag.IMPOSSIBLE)
  return links, -tf.random.stateless_uniform([4, PLACES, WORDS], [2, 3]), vertices, lengths


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
