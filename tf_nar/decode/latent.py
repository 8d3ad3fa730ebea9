"""Candidates that are decoded from several latents for each of several lengths: their number, ranking and traces.

Different latents may give the same translation. The best-ranked of equal candidates stays; the others are missing.
"""
import dataclasses
from typing import Any

import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import types


def check(search: Any) -> None:
  """Raises ValueError unless `search.candidates` are lengths times `search.latents`, drawn with a temperature."""
  core_config.check_at_least(1, search, "candidates", "latents", group="search.")
  if search.candidates % search.latents:
    raise ValueError(f"search.candidates counts lengths times latents, so it is a multiple of search.latents="
                     f"{search.latents}; got {search.candidates}.")
  if search.temperature < 0:
    raise ValueError(f"search.temperature is at least 0, which draws the mean; got {search.temperature}.")


def widened(search: Any, count: int) -> Any:
  """Returns the search that finds at least `count` candidates: more lengths, with as many latents for each."""
  return dataclasses.replace(search, candidates=-(-max(search.candidates, count) // search.latents) * search.latents)


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
