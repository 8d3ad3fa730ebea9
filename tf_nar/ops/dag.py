"""Sums and maxima over the paths of the directed acyclic graph of a DA-Transformer (Huang et al., ICML 2022).

  p(y | x) = Σ_a Π_t E[a_{t-1}, a_t] p(y_t | a_t)        0 = a_0 < a_1 < ... < a_T = n - 1

  in the paper                       here
  L, vertices of a sentence          vertices, int32 [B], n above; L is their padded number
  log E, transitions                 links float32 [B, L, L], log E[from, to]; IMPOSSIBLE where there is none
  log P(y_i | v)                     emissions float32 [B, L, T]
  f                                  scores float32 [T, B, L]: at t, of the paths with token t at a vertex

# Differs: in the paper the first vertex is trained to emit BOS and the last EOS. Here the first emits nothing and the
last emits EOS with probability 1; T counts EOS but not BOS, and the probabilities of all sentences sum to one.
"""
from collections.abc import Callable

import tensorflow as tf

IMPOSSIBLE = -1e9  # Not -inf: the gradient of a logsumexp over -inf alone would be nan.


def feasible(vertices: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
  """Returns bool [B]: whether there is a path of `lengths` tokens, EOS included; False for a padding row."""
  return (lengths > 0) & (lengths < vertices)


def log_likelihood(links: tf.Tensor, emissions: tf.Tensor, vertices: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
  """Returns log p(y | x), the sum over all paths, float32 [B].

  It needs the memory of two [B, L, L] tensors, whatever T is, since the gradient comes from a backward recursion.

  Args:
    links, emissions, vertices: see the module docstring.
    lengths: int32 [B], tokens with EOS.

  Returns:
    0 for a padding row; about `IMPOSSIBLE` or less, with a gradient of exactly 0, where there is no path.
  """
  steps, inside = _steps(emissions, vertices, lengths)
  end = _at(vertices - 1, links)

  @tf.custom_gradient
  def summed(links, steps):
    scores = forward(links, steps, inside, tf.reduce_logsumexp)
    before = _before(scores)
    total = tf.gather(scores[-1], tf.maximum(vertices - 1, 0), batch_dims=1)  # [B]; a padding row stays at its start.
    possible = total > IMPOSSIBLE / 2

    def gradient(up):
      d_links, d_steps = _posteriors(links, steps, before, inside & possible, (total, end))
      return up[:, None, None] * d_links, up[:, None] * d_steps

    return total, gradient

  return summed(links, steps)


def best_path(links: tf.Tensor, emissions: tf.Tensor, vertices: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
  """Returns the vertex of each token on the most probable path, int32 [B, T]; EOS is at the last vertex.

  The arguments are those of `log_likelihood`.
  """
  steps, inside = _steps(emissions, vertices, lengths)
  scores = forward(links, steps, inside, tf.reduce_max)
  return trace(links, scores, vertices, lengths[:, None])[:, 0]


def forward(links: tf.Tensor, steps: tf.Tensor, inside: tf.Tensor, reduce: Callable[..., tf.Tensor]) -> tf.Tensor:
  """Returns the scores float32 [T, B, L] of the paths from vertex 0.

  Args:
    links: see the module docstring.
    steps: float32 [T, B, L], the score that a token adds at a vertex.
    inside: bool [T, B], False past a sentence's tokens, where its scores stay as they are.
    reduce: `tf.reduce_logsumexp` for sums over paths, `tf.reduce_max` for the best path.
  """
  # An exact logsumexp for each vertex. A matrix product would use one shift for all vertices, but those that matter in
  # the middle of a sentence are far below the best: 76 nats for 128 tokens on 512 equal vertices, where float32
  # underflows at 87.
  arrive = tf.transpose(links, [0, 2, 1])  # [B, to, from]

  def extend(before, step):
    emitted, inside = step
    return tf.where(inside[:, None], reduce(before[:, None] + arrive, -1) + emitted, before)

  return tf.scan(extend, (steps, inside), _at(tf.zeros_like(inside[0], tf.int32), links))


def trace(links: tf.Tensor, scores: tf.Tensor, vertices: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
  """Traces the best paths back from the last vertex.

  Args:
    links, vertices: see the module docstring.
    scores: float32 [T, B, L], from `forward` with `tf.reduce_max`.
    lengths: int32 [B, N], the number of tokens of each path to find.

  Returns:
    int32 [B, N, T], the vertex of each token; past EOS, its vertex n - 1 is repeated.
  """
  arrive = tf.transpose(links, [0, 2, 1])
  end = tf.broadcast_to(tf.maximum(vertices - 1, 0)[:, None], tf.shape(lengths))  # [B, N]

  def back(vertex, step):
    before, t = step  # The scores before token t, whose vertex is known.
    origin = tf.argmax(tf.gather(arrive, vertex, batch_dims=1) + before[:, None], -1, tf.int32)
    return tf.where(t < lengths, origin, end)

  found = tf.scan(back, (_before(scores), tf.range(tf.shape(scores)[0])), end, reverse=True)  # At t, of token t - 1.
  return tf.transpose(tf.concat([found[1:], end[None]], 0), [1, 2, 0])


def expected(links: tf.Tensor, emissions: tf.Tensor, vertices: tf.Tensor, order: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the expected counts of n-grams in a translation, over all paths and tokens of the graph.

  The probabilities v that a path passes each vertex solve a triangular system, v = e_0 + v E, without a sum over
  lengths. The remaining tokens of an n-gram take n - 1 products with E. Differentiable.

  Args:
    links, emissions, vertices: see the module docstring. Each n consecutive ones of the T tokens are an n-gram.
    order: the largest n.

  Returns:
    counts: float32 [order, B, T], of the n-grams of 1 to `order` tokens that begin at each token; 0 for those that
      reach past T.
    totals: float32 [order, B], of all possible n-grams; the first is the expected number of tokens, without EOS.
  """
  count = tf.shape(links)[1]
  prob, start = tf.exp(links), tf.one_hot(tf.zeros_like(vertices), count)
  passed = tf.linalg.triangular_solve(tf.eye(count) - prob, start[..., None], lower=False, adjoint=True)[..., 0]
  at = tf.range(count)
  speaks = tf.cast((at > 0) & (at < vertices[:, None] - 1), tf.float32)[:, None]  # All but the first and the last, EOS.
  emitted = tf.transpose(tf.exp(emissions), [0, 2, 1]) * speaks  # [B, T, L]
  anything = passed[:, None] * speaks  # [B, 1, L]
  reach = passed[:, None] * emitted
  counts, totals = [reach], [anything]
  for n in range(1, order):  # Extends the n-grams by the next token.
    anything = tf.matmul(anything, prob) * speaks
    reach = tf.matmul(reach, prob) * tf.pad(emitted, [[0, 0], [0, n], [0, 0]])[:, n:]
    counts, totals = [*counts, reach], [*totals, anything]
  return tf.reduce_sum(tf.stack(counts), -1), tf.reduce_sum(tf.stack(totals), [-2, -1])


def _posteriors(links, steps, before, inside, finish):
  """Returns the gradients with respect to links and steps [T, B, L]: the posteriors of each transition and vertex."""
  total, end = finish

  def sweep(t, after, d_links, d_steps):
    leave = links + (steps[t] + after)[:, None]  # [B, from, to]
    here = tf.reduce_logsumexp(leave, -1)  # The sum over the rest of the paths from each vertex.
    # Probabilities are at most 1; a row without a path could give any number.
    through = tf.exp(tf.minimum(before[t] + here - total[:, None], 0.0))
    through = tf.where(inside[t][:, None], through, 0.0)
    taken = through[..., None] * tf.exp(leave - here[..., None])
    after = tf.where(inside[t][:, None], here, after)
    return t - 1, after, d_links + taken, d_steps.write(t, tf.reduce_sum(taken, 1))

  count = tf.shape(steps)[0]
  d_steps = tf.TensorArray(tf.float32, count, element_shape=steps.shape[1:])
  start = (count - 1, end, tf.zeros_like(links), d_steps)
  _, _, d_links, d_steps = tf.while_loop(lambda t, *_: t >= 0, sweep, start, parallel_iterations=1)
  return d_links, d_steps.stack()


def _steps(emissions, vertices, lengths):
  """Returns the score of token t at each vertex, float32 [T, B, L], with EOS at the last alone; and bool [T, B], True
  for the tokens of a sentence.
  """
  t = tf.range(tf.shape(emissions)[2])[:, None]  # [T, 1]
  last = _at(vertices - 1, emissions)
  return tf.where((t == lengths - 1)[..., None], last, tf.transpose(emissions, [2, 0, 1])), t < lengths


def _at(vertex, like):
  """int32 [B] -> float32 [B, L]: 0 at the vertex, `IMPOSSIBLE` elsewhere. `like`: [B, L, ...]."""
  return tf.one_hot(vertex, tf.shape(like)[1], 0.0, IMPOSSIBLE)


def _before(scores):
  """Scores [T, B, L] of token t -> those of the token before it; the first are those of the start at vertex 0."""
  start = tf.one_hot(tf.zeros_like(scores[0, :, 0], tf.int32), tf.shape(scores)[2], 0.0, IMPOSSIBLE)
  return tf.concat([start[None], scores[:-1]], 0)
