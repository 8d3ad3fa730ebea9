"""Search in the graph of a DA-Transformer (Huang et al., ICML 2022); Viterbi decoding after Shao et al. (2022).

The decoder has been run already; the search needs its transitions and the best token at each vertex.
"""
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.ops import dag


class Graph(NamedTuple):
  """The graphs of B sentences. Paths lead from vertex 0, which emits no token, to the last vertex, which emits EOS."""

  links: tf.Tensor  # float32 [B, L, L]: log E[from, to], as in `ops/dag.py`.
  tokens: tf.Tensor  # int32 [B, L]: the best allowed token at each vertex; not read at the first and the last.
  log_prob: tf.Tensor  # float32 [B, L]: its log p.
  vertices: tf.Tensor  # int32 [B]: number of vertices of each sentence, at least 2; 0 for a padding row.


def walk(graph: Graph, longest: int, *, lookahead: bool, collapse: bool = True) -> types.Translation:
  """Follows the best transition from each vertex: greedy search, or lookahead search.

    greedy      a_{t+1} = argmax_j log E[a_t, j]
    lookahead   a_{t+1} = argmax_j log E[a_t, j] + max_y log p(y | j)

  Args:
    graph: a `Graph`.
    longest: the greatest number of tokens, EOS included; longer translations are cut.
    lookahead: whether the choice includes log p of the next token.
    collapse: whether to remove a token that equals the one before it.

  Returns:
    A `Translation` of one candidate; its score is log p of the path and its tokens.
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


def viterbi(
    graph: Graph, longest: int, *, joint: bool, penalty: float = 1.0, candidates: int = 1,
    collapse: bool = True) -> types.Translation:
  """Finds the best path of every length at once, and returns those of the best lengths by score / T^penalty.

    Viterbi         score = Σ_t log E[a_{t-1}, a_t]
    joint Viterbi   score = Σ_t log E[a_{t-1}, a_t] + max_y log p(y | a_t)

  # Differs: the released program tries lengths up to twice the source's and does not count EOS in T.

  Args:
    graph: a `Graph`.
    longest: the longest T to try, EOS included.
    joint: whether the score includes log p of the tokens (joint Viterbi).
    penalty: the exponent; 0 ranks by the score alone, which favours short sentences.
    candidates: N, the number of lengths to return.
    collapse: whether to remove a token that equals the one before it. T is the length before that.

  Returns:
    A `Translation`; if there are fewer than N lengths, the last candidates are missing.
  """
  graph, end = _ended(graph)
  steps = tf.minimum(longest, tf.shape(graph.tokens)[1] - 1)
  shape = tf.concat([[steps], tf.shape(graph.tokens)], 0)
  gain = tf.broadcast_to(graph.log_prob * float(joint), shape)
  scores = dag.forward(graph.links, gain, tf.ones(shape[:2], tf.bool), tf.reduce_max)  # [T, B, L]
  # The last vertex has no successors, so that its score at step T is that of the best path with exactly T tokens.
  whole = tf.transpose(tf.gather(tf.transpose(scores, [1, 2, 0]), end, batch_dims=1))  # [T, B]
  length = tf.cast(1 + tf.range(steps), tf.float32)[:, None]
  there = (whole > dag.IMPOSSIBLE / 2) & (graph.vertices > 0)
  ranked = tf.transpose(tf.where(there, whole / length**penalty, -float("inf")))  # [B, T]
  ranked = tf.pad(ranked, [[0, 0], [0, candidates]], constant_values=-float("inf"))  # At least N entries.
  score, found = tf.math.top_k(ranked, candidates)  # [B, N]; ties go to the shortest.
  path = dag.trace(graph.links, scores, graph.vertices, found + 1)
  tokens = _said(graph, path, collapse)
  return types.Translation(tf.where(score[..., None] > -float("inf"), tokens, types.PAD), score, tf.constant(1))


def _ended(graph):
  """Returns the graph with EOS of probability 1 at each last vertex, and the indices of those, int32 [B]."""
  last = tf.one_hot(graph.vertices - 1, tf.shape(graph.tokens)[1], True, False)
  tokens, log_prob = tf.where(last, types.EOS, graph.tokens), tf.where(last, 0.0, graph.log_prob)
  return graph._replace(tokens=tokens, log_prob=log_prob), tf.maximum(graph.vertices - 1, 0)


def _said(graph, path, collapse):
  """Returns the tokens int32 [B, N, T + 1] at the vertices int32 [B, N, T] of paths, ended by EOS."""
  tokens = tf.gather(graph.tokens, path, batch_dims=1)
  tokens = tf.where(graph.vertices[:, None, None] > 0, tokens, types.PAD)
  return argmax.finish(argmax.collapsed(tokens) if collapse else tokens)
