"""Candidates that are decoded from several latents for each of several lengths: their number, ranking and traces.

Different latents may give the same translation. The best-ranked of equal candidates stays; the others are missing.
"""
import dataclasses

import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import types
from tf_nar.ops import noise as noise_lib

RANKS = "decoder", "bound"  # The choices of `Search.rank`.


@dataclasses.dataclass(frozen=True)
class Search:
  """Options that all families with such candidates have."""

  candidates: int = 1  # N, lengths times latents.
  latents: int = 1  # Latents per length: the one without noise, and draws from the prior; a divisor of `candidates`.
  temperature: float = 0.5  # Factor of the prior's standard deviation in the draws.
  seed: int = 0  # Of the draws.
  rank: str = "decoder"  # Ranking by log p of the tokens given z, or "bound", by `Model.score`; a teacher overrides it.
  odd: bool = True  # Optimal de-duplicated decoding of the last latents: no token but a filling EOS twice in a row.
  odd_everywhere: bool = False  # Whether `odd` applies to digits within a word too.
  alpha: float = 0.6  # Exponent of the length penalty in ranking, as in the teacher's beam search.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    core_config.check_choice("search.rank", self.rank, RANKS)
    core_config.check_at_least(1, self, "candidates", "latents", group="search.")
    if self.candidates % self.latents:
      raise ValueError(f"search.candidates counts lengths times latents, so it is a multiple of search.latents="
                       f"{self.latents}; got {self.candidates}.")
    if self.temperature < 0:
      raise ValueError(f"search.temperature is at least 0, which draws the mean; got {self.temperature}.")

  def effective(self) -> "Search":
    """Returns the search with those options that it does not read as they are by default."""
    default = Search()
    unread = {"odd_everywhere": not self.odd, "temperature": self.latents == 1, "seed": self.latents == 1}
    return dataclasses.replace(self, **{name: getattr(default, name) for name, skip in unread.items() if skip})

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates: more lengths, with as many latents for each."""
    return dataclasses.replace(self, candidates=-(-max(self.candidates, count) // self.latents) * self.latents)


def draws(count: int, seed: tuple[int, int], longest: int, dimensions: int, size: int | tf.Tensor) -> tf.Tensor:
  """Returns standard normal float32 [count, size, dimensions], of which no position depends on `size`.

  Positions from `longest` on, of which no sentence has any, are 0.
  """
  noise = noise_lib.normal([count, longest, dimensions], tf.constant(seed))
  return tf.pad(noise, [[0, 0], [0, tf.maximum(size - longest, 0)], [0, 0]])[:, :size]


def centred(noise: tf.Tensor) -> tf.Tensor:
  """Returns noise float32 [latents, ...] with zeros for the first latent, which is then the mean of the prior."""
  return tf.concat([tf.zeros_like(noise[:1]), noise[1:]], 0)


def ordered(tokens: tf.Tensor, score: tf.Tensor, passes: tf.Tensor) -> tuple[types.Translation, tf.Tensor]:
  """Sorts candidates and removes doubles.

  Args:
    tokens: int32 [B, N, T], finished.
    score: float32 [B, N].
    passes: int32 [].

  Returns:
    A `Translation`, best candidate first and doubles as missing candidates, and the order int32 [B, N]: the number
    that each candidate had.
  """
  count = tf.shape(score)[1]
  score, order = tf.math.top_k(score, count)  # Ties keep their order.
  tokens = tf.gather(tokens, order, batch_dims=1)
  same = tf.reduce_all(tokens[:, :, None] == tokens[:, None], -1)  # [B, N, N]
  before = tf.range(count)[:, None] > tf.range(count)
  double = tf.reduce_any(same & before, -1)
  tokens = tf.where(double[..., None], types.PAD, tokens)
  score, again = tf.math.top_k(tf.where(double, -float("inf"), score), count)
  found = types.Translation(tf.gather(tokens, again, batch_dims=1), score, passes)
  return found, tf.gather(order, again, batch_dims=1)


def trace(predictions: list[tf.Tensor], order: tf.Tensor) -> types.Trace:
  """Returns the `Trace` of what the latents of each step say.

  Args:
    predictions: a list of int32 [B·N, T], for each of P passes.
    order: int32 [B, N], from `ordered`.

  Returns:
    A `Trace` whose inputs are the predictions of the pass before. Those of the first are PAD, as it reads no tokens.
  """
  steps = tf.stack(predictions, 1)  # [B·N, P, T]
  steps = tf.reshape(steps, tf.concat([tf.shape(order), tf.shape(steps)[1:]], 0))
  steps = tf.gather(steps, order, batch_dims=1)
  return types.Trace(tf.pad(steps[:, :, :-1], [[0, 0], [0, 0], [1, 0], [0, 0]]), steps)
