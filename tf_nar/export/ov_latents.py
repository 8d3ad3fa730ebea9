"""The graphs of `ov_graphs` for the families with latents: lanmt, lanmt_score, flowseq and latent_codes.

Each function takes a model and its search, and returns {name: a concrete function}; `short` is empty, as no run of
these has a shortlist.
"""
from typing import Any

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.export import ov_layers
from tf_nar.ops import tokens as tokens_lib

IDS = ov_layers.IDS


def lanmt(model: Any, search: Any, short: dict, refining: Any = None) -> dict[str, Any]:
  """The graphs of lanmt or, with the `refining` model whose network makes steps, of lanmt_score."""
  def encode(ids):
    memory = model.net.encode(ids)
    lengths = length_parallel.likeliest(model.net.length_logits(memory), search.candidates)
    return {"lengths": lengths, "prior": tf.zeros(tf.shape(lengths)), "states": memory.states}

  def decode(ids, states, lengths, canvas):
    source, positions = model.projected(ids, ov_layers.memory(ids, states)), tf.shape(canvas)[1]
    inside, z = tf.sequence_mask(lengths, positions), model.prior(source, lengths, positions).mean
    for _ in range(0 if search.refine == "none" else search.steps):
      if search.refine == "delta":
        token = ov_layers.best(
          model.net, model.decode(source, z, lengths, positions), 1, tokens_lib.forbidden(search.unknown))[0]
        z = model.posterior(source, tf.where(inside, token[..., 0], types.PAD), lengths).mean
      else:
        z += search.step_size * refining.step(z, lengths, source.memory)
    return ov_layers.read(model.net, model.decode(source, z, lengths, positions), search)

  return {"model": ov_layers.graph(encode, ids=IDS), "decoder": ov_layers.graph(decode, **ov_layers.inputs(model))}


def lanmt_score(model: Any, search: Any, short: dict) -> dict[str, Any]:
  """The graphs of lanmt_score."""
  return lanmt(model.lanmt, search, short, model)


def flowseq(model: Any, search: Any, short: dict) -> dict[str, Any]:
  """The graphs of flowseq; noise is 0."""
  def encode(ids):
    memory = model.net.encode(ids)
    lengths, prior = model.likeliest(memory, search.candidates)
    return {"lengths": lengths, "prior": prior, "states": memory.states}

  def decode(ids, states, lengths, canvas):
    memory, size = ov_layers.memory(ids, states), -(-tf.shape(canvas)[1] // model.unit) * model.unit
    given = model.given(memory, tf.sequence_mask(lengths, size))
    z = model.prior.sample(tf.zeros([tf.shape(lengths)[0], size, model.config.size]), given)
    return ov_layers.read(model.net, model.decode(memory, z, lengths), search)

  return {"model": ov_layers.graph(encode, ids=IDS), "decoder": ov_layers.graph(decode, **ov_layers.inputs(model))}


def latent_codes(model: Any, search: Any, short: dict) -> dict[str, Any]:
  """The graphs of latent_codes, of which the program calls "codes" once for each code."""
  def following(ids, states, codes):
    log_prob = model.prior.following(codes, ov_layers.memory(ids, states))
    return {"code": tf.argmax(log_prob, -1, tf.int32), "log_prob": tf.reduce_max(log_prob, -1)}

  def decode(ids, states, lengths, canvas, codes):
    embedded, memory = model.bottleneck.embed(codes), ov_layers.memory(ids, states)
    return ov_layers.read(model.net, model.states(embedded, lengths, tf.shape(canvas)[1], memory), search)

  given = ov_layers.inputs(model)
  return {"model": ov_layers.graph(ov_layers.encoder(model), ids=IDS),
          "codes": ov_layers.graph(following, ids=IDS, states=given["states"], codes=IDS),
          "decoder": ov_layers.graph(decode, **given, codes=IDS)}
