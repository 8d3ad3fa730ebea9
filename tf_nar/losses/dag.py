"""The loss of a graph of vertices: -log of the sum over all paths that say the target (ops/dag.py)."""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import dag

FORCES = "vertex", "path"


def forced(emissions, shown, force):
  """Returns the emissions of a graph whose canvas shows some words: what is shown is not to be learned.

    "vertex"   a vertex that is shown its word says no other; paths may pass it by. The program's first release.
    "path"     a word that is shown is said by its vertex alone, so all paths go through it. The program since.

  Args:
    emissions: float32 [B, L, T], log p of each target word at each vertex.
    shown: bool [B, L, T], at most one word a vertex and one vertex a word.
    force: one of FORCES.

  Returns:
    float32 [B, L, T]; those shown have no gradient.
  """
  if force == "path":
    return tf.where(shown, 0.0, tf.where(tf.reduce_any(shown, 1, keepdims=True), dag.IMPOSSIBLE, emissions))
  others = tf.reduce_any(shown, 2, keepdims=True)
  return tf.where(shown, tf.stop_gradient(emissions), tf.where(others, dag.IMPOSSIBLE, emissions))


def terms(links, emissions, vertices, lengths, weight):
  """Returns the terms of a batch.

  # Differs: the released program divides by a sentence's words first, then by sentences; here a word is a word.

  Args:
    links, emissions, vertices: see `ops/dag.py`.
    lengths: int32 [B], target words with EOS; 0 for a blank row.
    weight: float32 [B].

  Returns:
    `token`, nats a target word; a target longer than its graph has no path and is left out.
    `infeasible`, the share of sentences so left out, of scale 0.
  """
  there = weight * tf.cast(lengths > 0, tf.float32)
  counted = there * tf.cast(dag.feasible(vertices, lengths), tf.float32)
  log_prob = tf.where(counted > 0, dag.log_likelihood(links, emissions, vertices, lengths), 0.0)
  total = -tf.reduce_sum(counted * log_prob)
  return {
    "token": types.Term(total, tf.reduce_sum(counted * tf.cast(lengths, tf.float32))),
    "infeasible": types.Term(tf.reduce_sum(there - counted), tf.reduce_sum(there), 0.0),
  }
