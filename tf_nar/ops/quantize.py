"""Assignment of vectors to discrete codes, and the updates of a codebook (van den Oord et al., NeurIPS 2017; Roy et
al., arXiv:1805.11063).

A vector of D features is cut into G slices of d = D / G, each with a codebook of its own of K vectors.

  c = argmin_j |x - e_j|²                     hard EM: the nearest vector of the codebook
  c_1 ... c_m ~ softmax_j(-|x - e_j|²)        soft EM: m samples, each with a vote of 1 / m
  n_j <- d n_j + (1 - d) votes for j          s_j <- d s_j + (1 - d) sum of their x          e_j = s_j / n_j

R counts the rows of a flattened batch.
"""
from typing import Any, NamedTuple

import tensorflow as tf

from tf_nar.ops import noise

LEAST = 1e-30  # Lower bound of counts.


class Votes(NamedTuple):
  """Which vectors were assigned to each code, summed over a batch."""

  counts: tf.Tensor  # float32 [G, K], the number of votes.
  sums: tf.Tensor  # float32 [G, K, d], the sum of the vectors, each times its votes.


def vectors(book: Votes) -> tf.Tensor:
  """Returns the codebook e = s / n of averaged votes: float32 [G, K, d]."""
  return book.sums / tf.maximum(book.counts, LEAST)[..., None]


def distances(x: tf.Tensor, codebook: tf.Tensor) -> tf.Tensor:
  """Returns |x - e_j|² of x float32 [R, G, d] and codebook float32 [G, K, d]: float32 [R, G, K]."""
  square = lambda y: tf.reduce_sum(y**2, -1)
  products = tf.matmul(tf.transpose(x, [1, 0, 2]), codebook, transpose_b=True)  # [G, R, K]
  return square(x)[..., None] - 2.0 * tf.transpose(products, [1, 0, 2]) + square(codebook)


def nearest(distance: tf.Tensor) -> tf.Tensor:
  """Returns the code with the least distance, float32 [R, G, K] -> int32 [R, G, 1]; ties go to the lower code."""
  return tf.argmin(distance, -1, tf.int32)[..., None]


def draw(seed: tf.Tensor, logits: tf.Tensor, samples: int) -> tf.Tensor:
  """Draws independent samples from softmax(logits), by inversion of its cumulative distribution.

  Args:
    seed: int32 [2], the only source of randomness.
    logits: float32 [R, G, K].
    samples: m.

  Returns:
    int32 [R, G, m].
  """
  shape, codes = tf.shape(logits), logits.shape[-1]
  below = tf.reshape(tf.cumsum(tf.nn.softmax(logits), -1), [-1, codes])  # [R·G, K]
  at = noise.uniform([tf.shape(below)[0], samples], seed) * below[:, -1:]
  drawn = tf.minimum(tf.searchsorted(below, at, side="right"), codes - 1)
  return tf.reshape(drawn, [shape[0], logits.shape[1], samples])


def look_up(codebook: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
  """Returns the vectors of codes int32 [R, G, m] in a codebook float32 [G, K, d]: float32 [R, G, m, d]."""
  flat = tf.reshape(codebook, [-1, codebook.shape[-1]])
  return tf.gather(flat, codes + tf.range(codebook.shape[0])[:, None] * codebook.shape[1])


def votes(codes: tf.Tensor, x: tf.Tensor, voters: tf.Tensor, size: int) -> Votes:
  """Counts the votes of a batch.

  Args:
    codes: int32 [R, G, m], the m codes that each slice votes for.
    x: float32 [R, G, d].
    voters: float32 [R], 1 for a vector that votes and 0 for padding.
    size: K, the number of codes of a slice.
  """
  slices, samples = codes.shape[1:]
  cell = tf.reshape(codes + tf.range(slices)[:, None] * size, [-1])
  share = tf.tile(voters[:, None, None] / samples, [1, slices, samples])  # [R, G, m]
  counts = tf.math.unsorted_segment_sum(tf.reshape(share, [-1]), cell, slices * size)
  each = tf.reshape(share[..., None] * x[:, :, None], [-1, x.shape[-1]])
  sums = tf.math.unsorted_segment_sum(each, cell, slices * size)
  return Votes(tf.reshape(counts, [slices, size]), tf.reshape(sums, [slices, size, x.shape[-1]]))


def averaged(old: Votes, new: Votes, decay: float) -> Votes:
  """Returns the moving average of votes after an update: decay old + (1 - decay) new.

  A code without votes keeps its vector, as its average does not fall below `LEAST`.
  """
  mixed = Votes(*(decay * one + (1 - decay) * other for one, other in zip(old, new, strict=True)))
  still = (mixed.counts < LEAST)[..., None]
  return Votes(tf.maximum(mixed.counts, LEAST), tf.where(still, LEAST * vectors(old), mixed.sums))


def split(book: Votes, least: float, spread: tf.Tensor, seed: tf.Tensor) -> tuple[Votes, tf.Tensor]:
  """Replaces rarely used codes by halves of the most used ones, as in the algorithm of Linde, Buzo and Gray (1980).

  The rarest code of a slice takes half of the votes of the most used one and its vector plus noise, the next rarest
  those of the next, and so on, as long as each half has at least `least` votes.

  Args:
    book: averaged votes.
    least: a code with fewer votes than this, in the average of an update, is replaced.
    spread: float32 [], the standard deviation of the noise in each dimension.
    seed: int32 [2].

  Returns:
    The votes, and float32 [], how many codes were replaced.
  """
  counts, codebook = book.counts, vectors(book)
  ascending = tf.argsort(counts, stable=True)  # [G, K]
  rank = tf.argsort(ascending)  # Of each code, from the rarest.
  donor = tf.gather(tf.reverse(ascending, [1]), rank, batch_dims=1)  # The code of the mirrored rank.
  half = 0.5 * tf.gather(counts, donor, batch_dims=1)
  taken = (counts < least) & (half >= least)  # [G, K]: a donor has more votes than `least`, so none is taken itself.
  given = tf.gather(taken, donor, batch_dims=1)  # Mirroring is its own inverse.
  new = tf.gather(codebook, donor, batch_dims=1) + spread * noise.normal(tf.shape(codebook), seed)
  counts = tf.where(taken, half, tf.where(given, 0.5 * counts, counts))
  book = Votes(counts, counts[..., None] * tf.where(taken[..., None], new, codebook))
  return book, tf.math.count_nonzero(taken, dtype=tf.float32)


def perplexity(counts: tf.Tensor) -> tf.Tensor:
  """Returns exp of the entropy of counts [G, K], summed over slices: how many codes are in use, float32 []."""
  share = counts / tf.maximum(tf.reduce_sum(counts, -1, keepdims=True), LEAST)
  return tf.exp(-tf.reduce_sum(tf.math.xlogy(share, share)))


def straight_through(value: tf.Tensor, surrogate: tf.Tensor) -> tf.Tensor:
  """Returns `value`, with the gradient of `surrogate`, of the same shape."""
  return surrogate + tf.stop_gradient(value - surrogate)


def saturating(v: tf.Tensor) -> tf.Tensor:
  """Returns the saturating sigmoid max(0, min(1, 1.2 σ(v) - 0.1)) of Kaiser & Bengio (2018), elementwise."""
  return tf.clip_by_value(1.2 * tf.sigmoid(v) - 0.1, 0.0, 1.0)


def number(digits: tf.Tensor, base: int) -> tf.Tensor:
  """Returns the integers of digits int32 [..., G], the least significant first: int32 [...]."""
  return tf.reduce_sum(digits * tf.constant([base**n for n in range(digits.shape[-1])]), -1)


def digits(numbers: tf.Tensor, base: int, count: int) -> tf.Tensor:
  """Returns the `count` digits of integers int32 [...], the least significant first: int32 [..., count]."""
  return numbers[..., None] // tf.constant([base**n for n in range(count)]) % base


def gumbel(shape: Any, seed: tf.Tensor) -> tf.Tensor:
  """Returns standard Gumbel noise, float32 of `shape`."""
  return -tf.math.log(-tf.math.log(tf.clip_by_value(noise.uniform(shape, seed), 2.0**-25, 1.0 - 2.0**-23)))
