"""The loss of a DA-Transformer: -log of the sum over all paths that produce the target (ops/dag.py)."""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import dag

FORCES = "vertex", "path"


def forced(emissions: tf.Tensor, shown: tf.Tensor, force: str) -> tf.Tensor:
  """Returns the emissions of a graph in which some target tokens are revealed, so that these are not learned.

    "vertex"   a vertex with a revealed token emits no other, but paths may bypass it: the program's first release
    "path"     a revealed token is emitted by its vertex alone, so that all paths visit it: the program since then

  Args:
    emissions: float32 [B, L, T], log p of each target token at each vertex.
    shown: bool [B, L, T], True for revealed tokens; at most one token per vertex and one vertex per token.
    force: one of FORCES.

  Returns:
    float32 [B, L, T]; the emissions of revealed tokens have no gradient.
  """
  if force == "path":
    return tf.where(shown, 0.0, tf.where(tf.reduce_any(shown, 1, keepdims=True), dag.IMPOSSIBLE, emissions))
  others = tf.reduce_any(shown, 2, keepdims=True)
  return tf.where(shown, tf.stop_gradient(emissions), tf.where(others, dag.IMPOSSIBLE, emissions))


def terms(
    links: tf.Tensor, emissions: tf.Tensor, vertices: tf.Tensor, lengths: tf.Tensor,
    weight: tf.Tensor) -> dict[str, types.Term]:
  """Returns the terms of a batch.

  # Differs: the released program takes the mean over the tokens of each sentence, then over sentences; here the mean is
  over all tokens.

  Args:
    links, emissions, vertices: see `ops/dag.py`.
    lengths: int32 [B], target tokens with EOS; 0 for a padding row.
    weight: float32 [B].

  Returns:
    `token`, in nats per target token; a target longer than its graph has no path and is left out.
    `infeasible`, the share of sentences left out, with scale 0.
  """
  there = weight * tf.cast(lengths > 0, tf.float32)
  counted = there * tf.cast(dag.feasible(vertices, lengths), tf.float32)
  log_prob = tf.where(counted > 0, dag.log_likelihood(links, emissions, vertices, lengths), 0.0)
  total = -tf.reduce_sum(counted * log_prob)
  return {
    "token": types.Term(total, tf.reduce_sum(counted * tf.cast(lengths, tf.float32))),
    "infeasible": types.Term(tf.reduce_sum(there - counted), tf.reduce_sum(there), 0.0),
  }
