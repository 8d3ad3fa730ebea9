"""Connectionist temporal classification (Graves et al., ICML 2006): the sum over all alignments, and the best one.

A path has one token or the blank at each of the P positions of a canvas. It collapses to a sentence by merging repeats
and then removing blanks, so that two equal tokens in a row need a blank between them:

  p(y | x) = Σ over the paths a that collapse to y of Π_t p(a_t | x)

  in the paper                       here
  l' = b y_1 b y_2 ... y_T b         the 2T + 1 states of a `Lattice`: state 2i + 1 is token i, the even ones are blanks
  α_t(s)                             `_ahead`
  β_t(s)                             `_behind`, without the emission at position t itself

Sums are computed as float32 logarithms; impossible states have -1e9, since -inf would make gradients nan.
"""
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.ops import masking
from tf_nar.ops import noise

BLANK = types.MASK  # A reserved token, which no text contains.
_NEVER = -1e9


class Lattice(NamedTuple):
  """Emissions of every state at every position, and the allowed transitions. T counts tokens without EOS."""

  # float32 [B, P, 2T + 1]: log p of each state's symbol. Adding c to all states of a position adds c to log p(y | x).
  emissions: tf.Tensor
  jump: tf.Tensor  # float32 [B, 2T + 1]: 0 where state s may follow state s - 2, -1e9 elsewhere.
  ends: tf.Tensor  # bool [B, 2T + 1]: True for the states in which a path may end.
  inside: tf.Tensor  # bool [B, P]: True at positions that are not padding.


def lattice(
    of_words: tf.Tensor, of_blank: tf.Tensor, tokens: tf.Tensor, count: tf.Tensor, positions: tf.Tensor) -> Lattice:
  """Returns the `Lattice` of a batch of sentences.

  Args:
    of_words: float32 [B, P, T], log p of each target token at each position.
    of_blank: float32 [B, P], log p of the blank.
    tokens: int32 [B, T].
    count: int32 [B], the number of tokens of each sentence, at most T.
    positions: int32 [B], the number of positions of each canvas, at most P.
  """
  blank = tf.broadcast_to(of_blank[..., None], tf.shape(of_words))
  emissions = tf.concat([_interleaved(blank, of_words), of_blank[..., None]], -1)
  states = tf.range(tf.shape(emissions)[2])
  new = tf.cast(tokens != tf.pad(tokens, [[0, 0], [1, 0]], constant_values=BLANK)[:, :-1], tf.float32)  # [B, T]
  jump = tf.pad(_interleaved(tf.zeros_like(new), new), [[0, 0], [0, 1]])
  ends = (states == 2 * count[:, None]) | (states == 2 * count[:, None] - 1)
  return Lattice(emissions, (1 - jump) * _NEVER, ends, tf.sequence_mask(positions, tf.shape(emissions)[1]))


def _interleaved(first, second):
  """Alternates the elements of both: [..., T], [..., T] -> [..., 2T]."""
  both = tf.stack([first, second], -1)
  return tf.reshape(both, tf.concat([tf.shape(first)[:-1], [2 * tf.shape(first)[-1]]], 0))


def possible(tokens: tf.Tensor, count: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
  """Returns bool [B]: whether the canvas has a position for every token and for a blank between equal neighbours."""
  inside = tf.sequence_mask(count - 1, tf.shape(tokens)[1] - 1)
  doubled = tf.reduce_sum(tf.cast((tokens[:, 1:] == tokens[:, :-1]) & inside, tf.int32), -1)
  return count + doubled <= positions


def log_prob(lattice: Lattice) -> tf.Tensor:
  """Returns log p(y | x), float32 [B]; about -1e9 where y has probability 0.

  It is differentiable with respect to `emissions` alone, and once: the gradient is the posterior
  p(state at position | x, y), or 0 where y has probability 0. The gradient takes one backward recursion over the
  positions, and α is the only tensor of shape [P, B, 2T + 1] that is kept for it.
  """

  @tf.custom_gradient
  def total(emissions):
    of = lattice._replace(emissions=emissions)
    ahead = _ahead(of)  # [P, B, 2T + 1]
    whole = tf.reduce_logsumexp(tf.where(of.ends, ahead[-1], _NEVER), -1)  # [B]

    def gradient(up):
      posterior = tf.exp(tf.transpose(ahead + _behind(of), [1, 0, 2]) - whole[:, None, None])
      real = of.inside & (whole > _NEVER / 2)[:, None]
      return tf.where(real[..., None], up[:, None, None] * posterior, 0.0)

    return whole, gradient

  return total(lattice.emissions)


def best_path(lattice: Lattice, tokens: tf.Tensor) -> tf.Tensor:
  """Returns the most probable path that collapses to the tokens (Viterbi): int32 [B, P], PAD past the positions.

  Where the tokens have probability 0, the path is arbitrary.
  """
  states = best_states(lattice)
  token = tf.gather(tokens, tf.minimum(states // 2, tf.shape(tokens)[1] - 1), batch_dims=1)
  return tf.where(lattice.inside, tf.where(states % 2 == 0, BLANK, token), types.PAD)


def best_states(lattice: Lattice) -> tf.Tensor:
  """Returns the states of the `best_path`, int32 [B, P]; past the positions they are arbitrary."""
  emissions, inside = _by_position(lattice)

  def extend(before, at):
    emissions, inside = at
    arrivals = _arrivals(before[0], lattice.jump)
    score = tf.where(inside, emissions + tf.reduce_max(arrivals, 0), before[0])
    return score, tf.where(inside, tf.argmax(arrivals, 0, tf.int32), 0)  # [B, 2T + 1] each

  start = _start(lattice)
  scores, moves = tf.scan(extend, (emissions, inside), (start, tf.zeros_like(start, tf.int32)))
  last = tf.argmax(tf.where(lattice.ends, scores[-1], 2 * _NEVER), -1, tf.int32)  # [B]
  back = lambda state, move: state - tf.gather(move, state, batch_dims=1)
  before = tf.scan(back, moves, last, reverse=True)  # [P, B]; at t the state of position t - 1
  return tf.transpose(tf.concat([before[1:], last[None]], 0))  # [B, P]


def shown(seed: tf.Tensor, wrong: tf.Tensor, among: tf.Tensor, ratio: float | tf.Tensor) -> tf.Tensor:
  """Draws the positions of a path that glancing reveals, each with probability `ratio` times the share of wrong ones.

  # Differs: the paper on glancing (Qian et al., ACL 2021) reveals a fixed number of tokens, drawn without replacement.
  For alignments the released GLAT+CTC draws every position independently, as here.

  Args:
    seed: int32 [2].
    wrong: bool [B, P], True where the prediction of the first pass differs from the path.
    among: bool [B, P], True at positions that are not padding.
    ratio: float32 [].

  Returns:
    bool [B, P], True at the revealed positions.
  """
  count = lambda x: tf.math.count_nonzero(x, -1, keepdims=True, dtype=tf.float32)
  share = tf.math.divide_no_nan(count(wrong & among), count(among))  # [B, 1]
  return among & (noise.uniform(tf.shape(among), seed) < ratio * share)


def collapse(path: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
  """Merges repeats and removes blanks: int32 [B, P] -> int32 [B, P], tokens, then PAD."""
  new = path != tf.pad(path, [[0, 0], [1, 0]], constant_values=BLANK)[:, :-1]
  return masking.packed(path, new & (path != BLANK) & tf.sequence_mask(positions, tf.shape(path)[1]))


def expected(
    of_words: tf.Tensor, of_blank: tf.Tensor, tokens: tf.Tensor, positions: tf.Tensor, order: int) -> tf.Tensor:
  """Returns the expected counts of n-grams in a translation, over all paths, float32 [order, B, T].

  A token begins at a position if the position before does not have it. For each n-gram and each k below n, the scan
  carries the probability, summed over all positions where the n-gram may have begun, that its first k tokens have been
  emitted and the path is in a run of the k-th token, or in blanks after it.

  Args:
    of_words, of_blank, tokens, positions: as for `lattice`. Each n consecutive ones of the T tokens are an n-gram.
    order: the largest n.

  Returns:
    The counts of the n-grams of 1 to `order` tokens that begin at each token; 0 for those that reach past T.
  """
  shifted = lambda x, n: tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, n]])[..., n:]
  inside = tf.sequence_mask(positions, tf.shape(of_words)[1])
  prob = lambda x, at: tf.where(at, tf.exp(x), 0.0)
  emissions = tf.transpose(prob(of_words, inside[..., None]), [1, 0, 2])  # [P, B, T]
  blank = tf.transpose(prob(of_blank, inside))[..., None]  # [P, B, 1]
  # 1.0 where a token differs from the one before it.
  apart = [tf.cast(shifted(tokens, n) != shifted(tokens, n - 1), tf.float32) for n in range(1, order)]

  def position(carry, at):
    (runs, gaps, found), (emissions, blank, before) = carry, at
    begin = emissions * (1.0 - before)
    new_runs, new_gaps, new_found = [], [], [found[0] + begin]
    for n in range(order - 1):
      new_runs.append(begin + runs[n] * shifted(emissions, n))
      new_gaps.append((runs[n] + gaps[n]) * blank)
      begin = shifted(emissions, n + 1) * (gaps[n] + runs[n] * apart[n])
      new_found.append(found[n + 1] + begin)
    return tf.stack(new_runs), tf.stack(new_gaps), tf.stack(new_found)

  none = lambda count: tf.zeros(tf.concat([[count], tf.shape(tokens)], 0))
  before = tf.pad(emissions, [[1, 0], [0, 0], [0, 0]])[:-1]
  *_, found = tf.foldl(position, (emissions, blank, before), (none(order - 1), none(order - 1), none(order)))
  return found


def expected_length(of_words: tf.Tensor, of_blank: tf.Tensor, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
  """Returns the expected number of tokens of a translation, float32 [B]. Differentiable.

    Σ_t (1 - p_t(∅)) - Σ_t Σ_w p_t(w) p_{t-1}(w)        a repeat of the position before is no new token

  Args:
    of_words, of_blank, tokens, positions: as for `lattice`. The sum over w is over these tokens; all others are assumed
      to have no repeats.
  """
  inside = tf.sequence_mask(positions, tf.shape(of_words)[1])
  at = tf.range(tf.shape(tokens)[1])
  met = tf.reduce_any((tokens[:, :, None] == tokens[:, None]) & (at[:, None] > at), -1)  # [B, T]
  first = (masking.valid(tokens) & ~met)[:, None]
  prob = tf.where(inside[..., None] & first, tf.exp(of_words), 0.0)
  new = tf.where(inside, 1.0 - tf.exp(of_blank), 0.0)
  return tf.reduce_sum(new, -1) - tf.reduce_sum(prob[:, 1:] * prob[:, :-1], [1, 2])


def _by_position(lattice):
  """Returns `emissions` [P, B, 2T + 1] and `inside` [P, B, 1], to scan over positions."""
  return tf.transpose(lattice.emissions, [1, 0, 2]), tf.transpose(lattice.inside)[..., None]


def _start(lattice):
  """Returns the scores before the first position, as after a blank: float32 [B, 2T + 1]."""
  states = tf.range(tf.shape(lattice.emissions)[2])
  return tf.where(states == 0, 0.0, tf.fill(tf.shape(lattice.jump), _NEVER))


def _arrivals(before, jump):
  """Returns the scores of reaching state s from s, s - 1 and s - 2: float32 [3, B, 2T + 1]."""
  from_below = lambda by: tf.pad(before, [[0, 0], [by, 0]], constant_values=_NEVER)[:, :tf.shape(before)[1]]
  return tf.stack([before, from_below(1), from_below(2) + jump])


def _ahead(lattice):
  """Returns α, float32 [P, B, 2T + 1]: the sum over all paths to a state at a position; constant in padding."""
  def step(before, at):
    emissions, inside = at
    return tf.where(inside, emissions + tf.reduce_logsumexp(_arrivals(before, lattice.jump), 0), before)

  return tf.scan(step, _by_position(lattice), _start(lattice))


def _behind(lattice):
  """Returns β, float32 [P, B, 2T + 1]: the sum over all continuations to the end after a state at a position."""
  from_above = lambda after, by: tf.pad(after, [[0, 0], [0, by]], constant_values=_NEVER)[:, by:]

  def step(after, at):
    emissions, inside = at
    onward = emissions + after
    ways = tf.stack([onward, from_above(onward, 1), from_above(onward + lattice.jump, 2)])
    return tf.where(inside, tf.reduce_logsumexp(ways, 0), after)

  last = tf.where(lattice.ends, 0.0, _NEVER)
  before = tf.scan(step, _by_position(lattice), last, reverse=True)  # At t the β of position t - 1.
  return tf.concat([before[1:], last[None]], 0)
