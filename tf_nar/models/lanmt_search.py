"""The search of models with latents of `lanmt`: N lengths and latents of each sentence, refined and ranked together.

  delta step        z <- mean of q(z | x, argmax_y p(y | z, x)), and with latents at the source a new length

The model has `config`, `net`, `axis`, and the methods `encode`, `prior`, `posterior`, `decode`, `bound` and `draws` of
`lanmt.Model`.
"""
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import beam
from tf_nar.decode import latent as decode
from tf_nar.decode import length_parallel
from tf_nar.decode import refine
from tf_nar.models import lanmt_axes
from tf_nar.models import one_pass
from tf_nar.ops import masking
from tf_nar.ops import tokens as tokens_lib

DRAWS = 64  # Draws from the prior that a plot of latents shows.
GROWTH = 8  # Tokens by which a length that is predicted again may exceed the first; bounds the size of the canvas.


class State(NamedTuple):
  """The state of refinement; R rows are the N candidates of each of B sentences."""

  z: tf.Tensor  # float32 [R, A, Z].
  lengths: tf.Tensor  # int32 [R], of the target that z is decoded to.
  tokens: tf.Tensor  # int32 [R, T], what the latents before were decoded to; PAD at first.


class Reached(NamedTuple):
  """Where a refinement ends."""

  z: tf.Tensor  # float32 [R, A, Z].
  lengths: tf.Tensor  # int32 [R].
  passes: Any  # int32 [], of decoder, posterior or refinement network.
  steps: list  # [(z, lengths)] before each step, if they are traced.


def translate(
    model: Any, src: tf.Tensor, search: Any, refinement: Callable[..., Reached], rescore: types.Rescore | None = None,
    traced: bool = False) -> tuple[types.Translation, types.Trace | None]:
  """Searches translations.

  Args:
    model: see above.
    src: int32 [B, S].
    search: a `lanmt.Search`.
    refinement: maps an encoded source, a `State` and `traced` to a `Reached`; such as `delta_refinement`.
    rescore: maps tokens int32 [B, N, T] to log p float32 [B, N], which ranks the candidates.
    traced: whether to return the trace too.

  Returns:
    A `Translation` and, if `traced`, its `Trace`, else None. A pass is one of the decoder, the posterior or the
    refinement network over all candidates; those of encoder and prior do not count. The bound is a pass of the
    posterior and one of the decoder, over all its samples. In the trace, only the last reading is by `search.odd`.
  """
  source = model.encode(src, project=True)
  start = begin(model, source, search)
  found, positions = refinement(source, start, traced), tf.shape(start.tokens)[1]
  states = model.decode(source, found.z, found.lengths, positions)
  last, score = one_pass.predictions(model.net, states, found.lengths, search)
  shape = [tf.shape(src)[0], search.candidates]
  tokens = argmax.finish(last)
  tokens = tf.reshape(tokens, [*shape, tf.shape(tokens)[1]])
  passes = found.passes + 1
  if rescore is None and search.rank == "bound":
    rescore = length_parallel.by_rows(lambda tokens: model.bound(source, tokens))
    passes += 1  # And one more below.
  if rescore is not None:
    score, passes = length_parallel.rescored(length_parallel.trimmed(tokens), rescore, alpha=search.alpha), passes + 1
  else:
    lengths = tf.reshape(found.lengths, shape)
    score = tf.reshape(score, shape) / beam.length_penalty(lengths, search.alpha)
    score = tf.where(lengths > 0, score, -float("inf"))
  translation, order = decode.ordered(tokens, score, passes)
  if not traced:
    return translation, None
  readings = [predict(model, source, z, lengths, positions, search.unknown) for z, lengths in found.steps]
  return translation, decode.trace([*readings, last], order)


def begin(model: Any, source: lanmt_axes.Encoded, search: Any) -> State:
  """Draws the first `State`: the likeliest lengths, and for each the prior mean and draws from the prior.

  With latents at the source it has room for the lengths that a refinement predicts again.
  """
  axis, src, count = model.config.latent.axis, source.tokens, search.candidates // search.latents
  longest, batch = model.config.net.max_length, tf.shape(source.tokens)[0]
  if axis == "target":
    lengths = length_parallel.likeliest(model.net.length_logits(source.memory), count)
    lengths = length_parallel.nonempty(lengths, src)
    positions = length_parallel.positions(lengths, longest, src)
    prior = model.prior(source, tf.reshape(lengths, [-1]), positions)
    return _state(_drawn(model, prior, search), tf.repeat(tf.reshape(lengths, [-1]), search.latents), positions)
  z = _drawn(model, model.prior(source, masking.lengths(src), None), search)
  lengths = tf.reshape(length_parallel.likeliest(_length_logits(model, source, z), count), [batch, -1])
  lengths = length_parallel.nonempty(lengths, src)
  grown = lengths if search.refine == "none" else tf.minimum(lengths + GROWTH, longest)
  positions = length_parallel.positions(grown, longest, src)
  return _state(tf.repeat(z, count, axis=0), tf.reshape(lengths, [-1]), positions)


def latents(
    model: Any, src: tf.Tensor, search: Any, refinements: dict[str, Callable[..., Reached]],
    tgt: tf.Tensor | None = None) -> types.Latents:
  """Returns the `types.Latents` of sources int32 [B, S].

  Args:
    model, src, search: as for `translate`; of one candidate, and draws as those of latent search.
    refinements: {name: refinement}, as `translate` takes them.
    tgt: int32 [B, T], whose posterior is wanted; latents at the target then have its length. None: the likeliest.
  """
  source = model.encode(src, project=True)
  search = dataclasses.replace(search, refine="delta", candidates=1, latents=1)
  start, posterior = begin(model, source, search), None
  if tgt is not None:
    lengths, positions = masking.lengths(tgt), tf.shape(tgt)[1]
    posterior = model.posterior(source, tgt, lengths).mean
    if model.config.latent.axis == "target":
      start = _state(model.prior(source, lengths, positions).mean, lengths, positions)
  prior = model.prior(source, start.lengths, tf.shape(start.tokens)[1])
  size = tf.shape(prior.mean)[1]
  draws = prior.sample(model.draws(DRAWS, (search.seed, 0), size)[:, None], search.temperature)  # [K, B, A, Z]
  walk = lambda found: tf.stack([*(z for z, _ in found.steps), found.z], 1)
  walks = {name: walk(refined(source, start, True)) for name, refined in refinements.items()}
  inside = tf.cast(model.axis.inside(source, start.lengths, size), tf.float32)[..., None]
  return types.Latents(
    prior.mean * inside, tf.transpose(draws, [1, 0, 2, 3]) * inside[:, None],
    {name: each * inside[:, None] for name, each in walks.items()}, None if tgt is None else posterior * inside)


def predict(
    model: Any, source: lanmt_axes.Encoded, z: tf.Tensor, lengths: tf.Tensor, positions: int | tf.Tensor,
    unknown: bool = False) -> tf.Tensor:
  """Returns argmax_y p(y | z, x), int32 [R, T], PAD past the lengths."""
  states = model.decode(source, z, lengths, positions)
  return argmax.predictions(*model.net.best_tokens(states, tokens_lib.forbidden(unknown)), lengths)[0]


def delta_refinement(model: Any, search: Any) -> Callable[..., Reached]:
  """Returns delta inference in `search.steps` steps, as `translate` takes it.

  # Differs: with latents at the source a step may lengthen a target by `GROWTH` tokens over its first length at most,
  and of several lengths of a latent each keeps its place among the likeliest.
  With `search.stop` a candidate is finished once a step decodes the same tokens as the step before.
  """
  def refined(source, start, traced):
    positions, longest = tf.shape(start.tokens)[1], tf.minimum(start.lengths + GROWTH, model.config.net.max_length)
    count = search.candidates // search.latents

    def step(_, state):
      tokens = predict(model, source, state.z, state.lengths, positions, search.unknown)
      z = tf.ensure_shape(model.posterior(source, tokens, state.lengths).mean, state.z.shape)
      lengths = state.lengths
      if model.config.latent.axis == "source":
        place = tf.range(tf.shape(z)[0]) % count
        again = tf.gather(length_parallel.likeliest(_length_logits(model, source, z), count), place, batch_dims=1)
        lengths = tf.where(lengths > 0, tf.minimum(again, longest), 0)
      return State(z, lengths, tf.ensure_shape(tokens, state.tokens.shape))

    same = lambda before, after: tf.reduce_all(before.tokens == after.tokens, -1)
    made = refine.refine(step, start, search.steps, done=same if search.stop else None, trace=traced)
    steps = _before(start, made.trace, search.steps) if traced else []
    return Reached(made.state.z, made.state.lengths, 2 * made.passes, steps)
  return refined


def no_refinement(source: lanmt_axes.Encoded, start: State, traced: bool) -> Reached:
  """Keeps the first latents."""
  return Reached(start.z, start.lengths, tf.constant(0), [])


def _before(start, trace, steps):
  """Returns (z, lengths) before each step."""
  return [(start.z, start.lengths)] + [(trace.z[i], trace.lengths[i]) for i in range(steps - 1)]


def _state(z, lengths, positions):
  """Returns the `State` before any step."""
  return State(z, lengths, tf.fill([tf.shape(lengths)[0], positions], types.PAD))


def _drawn(model, prior, search):
  """Returns float32 [R·latents, A, Z] of a `Gaussian` of R rows: the mean first, then draws."""
  shape, latents = tf.shape(prior.mean), search.latents
  if latents == 1:
    return prior.mean
  noise = decode.centred(model.draws(latents, (search.seed, 0), shape[1]))
  z = prior.mean[:, None] + search.temperature * prior.std[:, None] * noise  # [R, latents, A, Z]
  return tf.reshape(z, [shape[0] * latents, shape[1], prior.mean.shape[-1]])


def _length_logits(model, source, z):
  return model.net.length_logits(model.axis.length_memory(source, z))
