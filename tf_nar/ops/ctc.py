"""Connectionist temporal classification (Graves et al., ICML 2006): the sum over all alignments, and the best one.

A path says one word or the blank at each of P places of a canvas. It stands for the sentence that is left when
repeats are merged and then blanks dropped, so a word said twice in a row needs a blank between:

  p(y | x) = Σ over the paths a that collapse to y of Π_t p(a_t | x)

  in the paper                       here
  l' = b y_1 b y_2 ... y_T b         the 2T + 1 states of a `Lattice`: state 2i + 1 is word i, the even ones are blanks
  α_t(s)                             `_ahead`
  β_t(s)                             `_behind`, without what place t itself says

Sums are float32 logarithms; an impossible state has -1e9, for -inf would make gradients nan.
"""
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.ops import masking
from tf_nar.ops import noise

BLANK = types.MASK  # Reserved, so never a word of a text.
_NEVER = -1e9


class Lattice(NamedTuple):
  """What every state says at every place, and how paths may go. T counts the words, without EOS."""

  said: tf.Tensor  # float32 [B, P, 2T + 1]: log p; a constant added to all states of a place shifts log p(y | x) by it.
  jump: tf.Tensor  # float32 [B, 2T + 1]: 0 where a state may follow the last but one, -1e9 elsewhere.
  ends: tf.Tensor  # bool [B, 2T + 1]: where a path may end.
  inside: tf.Tensor  # bool [B, P]: the real places.


def lattice(of_words, of_blank, tokens, count, positions):
  """Returns the `Lattice` of sentences.

  Args:
    of_words: float32 [B, P, T], log p of word i at each place.
    of_blank: float32 [B, P], log p of the blank.
    words: int32 [B, T].
    count: int32 [B], how many of the T words are real.
    places: int32 [B], how many of the P places are real.
  """
  blank = tf.broadcast_to(of_blank[..., None], tf.shape(of_words))
  said = tf.concat([_interleaved(blank, of_words), of_blank[..., None]], -1)
  states = tf.range(tf.shape(said)[2])
  new = tf.cast(tokens != tf.pad(tokens, [[0, 0], [1, 0]], constant_values=BLANK)[:, :-1], tf.float32)  # [B, T]
  jump = tf.pad(_interleaved(tf.zeros_like(new), new), [[0, 0], [0, 1]])
  ends = (states == 2 * count[:, None]) | (states == 2 * count[:, None] - 1)
  return Lattice(said, (1 - jump) * _NEVER, ends, tf.sequence_mask(positions, tf.shape(said)[1]))


def _interleaved(first, second):
  """[..., T], [..., T] -> [..., 2T], by turns."""
  both = tf.stack([first, second], -1)
  return tf.reshape(both, tf.concat([tf.shape(first)[:-1], [2 * tf.shape(first)[-1]]], 0))


def possible(tokens, count, positions):
  """Returns bool [B]: are there places for all words, and for a blank in every pair of equal neighbours?"""
  inside = tf.sequence_mask(count - 1, tf.shape(tokens)[1] - 1)
  doubled = tf.reduce_sum(tf.cast((tokens[:, 1:] == tokens[:, :-1]) & inside, tf.int32), -1)
  return count + doubled <= positions


def log_prob(lattice):
  """Returns log p(y | x), float32 [B], about -1e9 where that is impossible.

  Differentiable by `said` alone, once: the gradient is the posterior p(state at place | x, y), 0 where y is
  impossible. It takes one sweep more, from the last place to the first, and nothing of [P, B, 2T + 1] is kept
  but the α of the first sweep.
  """

  @tf.custom_gradient
  def total(said):
    of = lattice._replace(said=said)
    ahead = _ahead(of)  # [P, B, 2T + 1]
    whole = tf.reduce_logsumexp(tf.where(of.ends, ahead[-1], _NEVER), -1)  # [B]

    def gradient(up):
      posterior = tf.exp(tf.transpose(ahead + _behind(of), [1, 0, 2]) - whole[:, None, None])
      real = of.inside & (whole > _NEVER / 2)[:, None]
      return tf.where(real[..., None], up[:, None, None] * posterior, 0.0)

    return whole, gradient

  return total(lattice.said)


def best_path(lattice, tokens):
  """Returns the likeliest path that collapses to the words (Viterbi): int32 [B, P], PAD past the places.

  Where the words are impossible, some path.
  """
  said, inside = _by_place(lattice)

  def extend(before, at):
    said, inside = at
    arrivals = _arrivals(before[0], lattice.jump)
    score = tf.where(inside, said + tf.reduce_max(arrivals, 0), before[0])
    return score, tf.where(inside, tf.argmax(arrivals, 0, tf.int32), 0)  # [B, 2T + 1] each

  start = _start(lattice)
  scores, moves = tf.scan(extend, (said, inside), (start, tf.zeros_like(start, tf.int32)))
  last = tf.argmax(tf.where(lattice.ends, scores[-1], 2 * _NEVER), -1, tf.int32)  # [B]
  back = lambda state, move: state - tf.gather(move, state, batch_dims=1)
  before = tf.scan(back, moves, last, reverse=True)  # [P, B]; at t the state of place t - 1
  states = tf.transpose(tf.concat([before[1:], last[None]], 0))  # [B, P]
  token = tf.gather(tokens, tf.minimum(states // 2, tf.shape(tokens)[1] - 1), batch_dims=1)
  return tf.where(lattice.inside, tf.where(states % 2 == 0, BLANK, token), types.PAD)


def shown(seed, wrong, among, ratio):
  """Draws the places of a path that glancing shows: each by chance `ratio` times the share of places that are wrong.

  # Differs: the paper on glancing (Qian et al., ACL 2021) shows a fixed number of words, drawn without replacement.
  Along an alignment the released GLAT+CTC draws every place for itself, as here.

  Args:
    seed: int32 [2].
    wrong: bool [B, P], where the first pass did not say what the path does.
    among: bool [B, P], the real places.
    ratio: float32 [].

  Returns:
    bool [B, P].
  """
  count = lambda x: tf.math.count_nonzero(x, -1, keepdims=True, dtype=tf.float32)
  share = tf.math.divide_no_nan(count(wrong & among), count(among))  # [B, 1]
  return among & (noise.uniform(tf.shape(among), seed) < ratio * share)


def collapse(path, positions):
  """Merges repeats, drops blanks: int32 [B, P] -> int32 [B, P], words, then PAD."""
  new = path != tf.pad(path, [[0, 0], [1, 0]], constant_values=BLANK)[:, :-1]
  return masking.packed(path, new & (path != BLANK) & tf.sequence_mask(positions, tf.shape(path)[1]))


def expected(of_words, of_blank, tokens, positions, order):
  """Returns how often n-grams are expected in what the places say, float32 [n, B, T], all sentences of it weighed.

  A word begins where the place before does not say it. Of each n-gram and each k below n the scan knows how likely it
  is, over all places where it may have begun, that k words of it were said and the last is still being said, or blanks
  came behind it.

  Args:
    of_words, of_blank, words, places: as for `lattice`. Of the T words each n that stand side by side are an n-gram.
    order: the largest n.

  Returns:
    Of the n-grams of 1 to `order` words that begin at each word; of those that reach past T, 0.
  """
  shifted = lambda x, n: tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, n]])[..., n:]
  inside = tf.sequence_mask(positions, tf.shape(of_words)[1])
  prob = lambda x, at: tf.where(at, tf.exp(x), 0.0)
  said = tf.transpose(prob(of_words, inside[..., None]), [1, 0, 2])  # [P, B, T]
  blank = tf.transpose(prob(of_blank, inside))[..., None]  # [P, B, 1]
  apart = [tf.cast(shifted(tokens, n) != shifted(tokens, n - 1), tf.float32) for n in range(1, order)]  # From the last.

  def position(carry, at):
    (runs, gaps, found), (said, blank, before) = carry, at
    begin = said * (1.0 - before)
    new_runs, new_gaps, new_found = [], [], [found[0] + begin]
    for n in range(order - 1):
      new_runs.append(begin + runs[n] * shifted(said, n))
      new_gaps.append((runs[n] + gaps[n]) * blank)
      begin = shifted(said, n + 1) * (gaps[n] + runs[n] * apart[n])
      new_found.append(found[n + 1] + begin)
    return tf.stack(new_runs), tf.stack(new_gaps), tf.stack(new_found)

  none = lambda count: tf.zeros(tf.concat([[count], tf.shape(tokens)], 0))
  before = tf.pad(said, [[1, 0], [0, 0], [0, 0]])[:-1]
  *_, found = tf.foldl(position, (said, blank, before), (none(order - 1), none(order - 1), none(order)))
  return found


def expected_length(of_words, of_blank, tokens, positions):
  """Returns how many words are expected in what the places say, float32 [B]. Differentiable.

    Σ_t (1 - p_t(∅)) - Σ_t Σ_w p_t(w) p_{t-1}(w)        what the place before said too is no new word

  Args:
    of_words, of_blank, words, places: as for `lattice`; other words than these are taken never to be said twice in
      a row.
  """
  inside = tf.sequence_mask(positions, tf.shape(of_words)[1])
  at = tf.range(tf.shape(tokens)[1])
  met = tf.reduce_any((tokens[:, :, None] == tokens[:, None]) & (at[:, None] > at), -1)  # [B, T]
  first = (masking.valid(tokens) & ~met)[:, None]
  prob = tf.where(inside[..., None] & first, tf.exp(of_words), 0.0)
  new = tf.where(inside, 1.0 - tf.exp(of_blank), 0.0)
  return tf.reduce_sum(new, -1) - tf.reduce_sum(prob[:, 1:] * prob[:, :-1], [1, 2])


def _by_place(lattice):
  """`said` [P, B, 2T + 1] and `inside` [P, B, 1], to scan over."""
  return tf.transpose(lattice.said, [1, 0, 2]), tf.transpose(lattice.inside)[..., None]


def _start(lattice):
  """Before the first place: as if a blank had been said. float32 [B, 2T + 1]."""
  states = tf.range(tf.shape(lattice.said)[2])
  return tf.where(states == 0, 0.0, tf.fill(tf.shape(lattice.jump), _NEVER))


def _arrivals(before, jump):
  """What comes to each state from itself, from the one before, from the last but one: float32 [3, B, 2T + 1]."""
  from_below = lambda by: tf.pad(before, [[0, 0], [by, 0]], constant_values=_NEVER)[:, :tf.shape(before)[1]]
  return tf.stack([before, from_below(1), from_below(2) + jump])


def _ahead(lattice):
  """α, float32 [P, B, 2T + 1]: all ways to be in a state at a place. Past the places it stands still."""
  def step(before, at):
    said, inside = at
    return tf.where(inside, said + tf.reduce_logsumexp(_arrivals(before, lattice.jump), 0), before)

  return tf.scan(step, _by_place(lattice), _start(lattice))


def _behind(lattice):
  """β, float32 [P, B, 2T + 1]: all ways to go on to the end after a place."""
  from_above = lambda after, by: tf.pad(after, [[0, 0], [0, by]], constant_values=_NEVER)[:, by:]

  def step(after, at):
    said, inside = at
    onward = said + after
    ways = tf.stack([onward, from_above(onward, 1), from_above(onward + lattice.jump, 2)])
    return tf.where(inside, tf.reduce_logsumexp(ways, 0), after)

  last = tf.where(lattice.ends, 0.0, _NEVER)
  before = tf.scan(step, _by_place(lattice), last, reverse=True)  # At t what is behind place t - 1.
  return tf.concat([before[1:], last[None]], 0)
