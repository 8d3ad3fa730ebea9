"""What to say from a graph of vertices: DA-Transformer (Huang et al., ICML 2022), Viterbi after Shao et al. (2022).

The net has run; here is only a search over its transitions and the best word of each vertex.
"""
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.ops import dag
from tf_nar.ops import masking


class Graph(NamedTuple):
  """What one pass says of B sentences. A sentence's paths go from vertex 0, which is silent, to its last, EOS."""

  links: tf.Tensor  # float32 [B, L, L]: log E, from and to, as `ops/dag.py` has them.
  tokens: tf.Tensor  # int32 [B, L]: the best sayable word of each vertex; not read at the first and the last.
  log_prob: tf.Tensor  # float32 [B, L]: its log p.
  vertices: tf.Tensor  # int32 [B]: how many are real, at least 2; 0 for a blank row.


def walk(graph, longest, *, lookahead, collapse=True):
  """Goes from vertex to vertex, each time to the likeliest: greedy, or `lookahead`.

    greedy      a_{t+1} = argmax_j log E[a_t, j]
    lookahead   a_{t+1} = argmax_j log E[a_t, j] + max_y log p(y | j)

  Args:
    graph: a `Graph`.
    longest: the most words to say, EOS included; what is longer is cut there.
    lookahead: whether the next word counts.
    collapse: whether a word that equals the one before it is left out.

  Returns:
    A `Translation` of one candidate; its score is log p of path and words.
  """
  graph, end = _ended(graph)
  steps = tf.minimum(longest, tf.shape(graph.tokens)[1] - 1)
  after = graph.links + graph.log_prob[:, None] * float(lookahead)
  following = tf.argmax(after, -1, tf.int32)  # [B, L]; the last vertex has none.

  def go(here, _):
    vertex, score = here
    there = tf.gather(following, vertex, batch_dims=1)
    links = tf.gather(tf.gather(graph.links, vertex, batch_dims=1), there, batch_dims=1)
    gain = links + tf.gather(graph.log_prob, there, batch_dims=1)
    return tf.where(vertex == end, end, there), score + tf.where(vertex == end, 0.0, gain)

  start = tf.zeros_like(end)
  path, score = tf.scan(go, tf.range(steps), (start, tf.zeros_like(start, tf.float32)))  # [steps, B]
  tokens = _said(graph, tf.transpose(path)[:, None], collapse)
  score = tf.where(graph.vertices > 0, score[-1], -float("inf"))
  return types.Translation(tokens, score[:, None], tf.constant(1))


def viterbi(graph, longest, *, joint, penalty=1.0, candidates=1, collapse=True):
  """Finds the best path of every length at once, and says the best lengths by score / T^penalty.

    Viterbi         score = Σ_t log E[a_{t-1}, a_t]
    joint Viterbi   score = Σ_t log E[a_{t-1}, a_t] + max_y log p(y | a_t)

  # Differs: the released program tries lengths up to twice the source's and does not count EOS in T.

  Args:
    graph: a `Graph`.
    longest: the longest T to try, EOS included.
    joint: whether words count.
    penalty: the exponent; 0 ranks by the score alone and likes short sentences.
    candidates: N, how many lengths to say.
    collapse: whether a word that equals the one before it is left out. T is what it was before that.

  Returns:
    A `Translation`; fewer lengths than N leave candidates empty.
  """
  graph, end = _ended(graph)
  steps = tf.minimum(longest, tf.shape(graph.tokens)[1] - 1)
  shape = tf.concat([[steps], tf.shape(graph.tokens)], 0)
  gain = tf.broadcast_to(graph.log_prob * float(joint), shape)
  scores = dag.forward(graph.links, gain, tf.ones(shape[:2], tf.bool), tf.reduce_max)  # [T, B, L]
  # Nothing follows the last vertex, so at step T it holds the best of exactly T words.
  whole = tf.transpose(tf.gather(tf.transpose(scores, [1, 2, 0]), end, batch_dims=1))  # [T, B]
  length = tf.cast(1 + tf.range(steps), tf.float32)[:, None]
  there = (whole > dag.IMPOSSIBLE / 2) & (graph.vertices > 0)
  ranked = tf.transpose(tf.where(there, whole / length**penalty, -float("inf")))  # [B, T]
  ranked = tf.pad(ranked, [[0, 0], [0, candidates]], constant_values=-float("inf"))  # So that there are N.
  score, found = tf.math.top_k(ranked, candidates)  # [B, N]; of equals the shortest.
  path = dag.trace(graph.links, scores, graph.vertices, found + 1)
  tokens = _said(graph, path, collapse)
  return types.Translation(tf.where(score[..., None] > -float("inf"), tokens, types.PAD), score, tf.constant(1))


def _ended(graph):
  """The graph with EOS, sure, at each last vertex; and those vertices, int32 [B]."""
  last = tf.one_hot(graph.vertices - 1, tf.shape(graph.tokens)[1], True, False)
  tokens, log_prob = tf.where(last, types.EOS, graph.tokens), tf.where(last, 0.0, graph.log_prob)
  return graph._replace(tokens=tokens, log_prob=log_prob), tf.maximum(graph.vertices - 1, 0)


def _said(graph, path, collapse):
  """Vertices int32 [B, N, T] -> tokens int32 [B, N, T + 1]."""
  tokens = tf.gather(graph.tokens, path, batch_dims=1)
  tokens = tf.where(graph.vertices[:, None, None] > 0, tokens, types.PAD)
  return argmax.finish(_collapsed(tokens) if collapse else tokens)


def _collapsed(tokens):
  """Leaves out what equals its left neighbour: int32 [..., T] -> int32 [..., T]."""
  pad = [[0, 0]] * (tokens.shape.rank - 1) + [[1, 0]]
  new = tokens != tf.pad(tokens, pad, constant_values=-1)[..., :-1]
  return masking.packed(tokens, new)
