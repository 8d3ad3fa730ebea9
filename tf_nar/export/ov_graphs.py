"""The networks of families of few passes as TensorFlow graphs that OpenVINO can convert.

Their searches are in `ov_program`, which needs no TensorFlow. A family without a length head has one graph, any other
family two, so that the program chooses lengths between them and, for cmlm, repeats the second:

  graph     family               takes                              returns
  model     ctc                  ids                                token, log_prob [B, k·S]
            ctc with a beam      ids                                log p of every token, [B, k·S, at least V]
            dag                  ids                                token, log_prob [B, L], and links [B, L, L]
            nat_em, glat, cmlm   ids                                length [B, max_length + 1], states
            ar                   ids                                states
            lanmt, lanmt_score,  ids                                the likeliest lengths, their prior in the score,
            flowseq                                                 [B, N], and states
            nat_fertility        ids                                length, or fertility [B, 1, S] and prior [B, 1]
                                                                  of it; states
  decoder   but for ar           ids, states, lengths [R], canvas   token, log_prob [R, T, K], the best K
            nat_fertility also   source, fertility [R, S]           the same
            ar, drafted by       ids, states, canvas, and in        the best token at this position given those
            another              lengths a position of each row     before, and at the next ones, token, log_prob, and
                                                                    log p of EOS there, ending [R, K]

The decoder of lanmt, lanmt_score and flowseq starts from the latents without noise and makes all steps of refinement.
ids are int32 [B, S], states float32 [B, S', D], canvas int32 [R, T], the input tokens, of which nat_fertility and
families with latents use the shape alone; source has the ids of the sentence of each row. The R = B·N rows are adjacent
for each sentence. The graph with the output layer of a run with a shortlist also takes among, int32 [B, C], the tokens
that it computes.

# Differs: logits are computed for all positions at once; the program keeps batches small.
"""
from typing import Any, Sequence

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.layers import attention
from tf_nar.layers import encoder_decoder
from tf_nar.layers import score_network
from tf_nar.losses import emissions
from tf_nar.ops import fertility as fertility_lib
from tf_nar.ops import masking
from tf_nar.ops import odd
from tf_nar.ops import tokens as tokens_lib

IDS = tf.TensorSpec([None, None], tf.int32)
_SURE = [("search.latents=1", lambda run, search: search.latents == 1),
         ("search.rank=decoder", lambda run, search: search.rank == "decoder")]
NEEDS = {  # What the search and the model of a run must be, so that the program can do the same; the rest it can.
  "ar": [("search.draft_margin=0", lambda run, search: not search.draft_margin)],
  "ctc": [("search.rank=beam", lambda run, search: search.rank == "beam"),
          ("search.beam=1 with a shortlist", lambda run, search: search.beam == 1 or not run.shortlist)],
  "dag": [("search.rank=path", lambda run, search: search.rank == "path")],
  "nat_fertility": [("search.candidates=1", lambda run, search: not run.model.aligned or search.candidates == 1)],
  "flowseq": _SURE,
  "lanmt": [*_SURE, ("model.latent.axis=target", lambda run, search: run.experiment.model.latent.axis == "target")],
  "lanmt_score": [  # OpenVINO has no gradient of an energy.
    *_SURE, ("search.refine=delta", lambda run, search: not _walks(search) or run.experiment.model.kind == "score"),
    ("search.stop=False", lambda run, search: not _walks(search) or not search.stop)],
}


def build(run: Any) -> dict[str, Any]:
  """Returns {name: a concrete function} of a `runs.Run`: the graphs of the module docstring.

  Raises:
    ValueError: as `lacks`.
  """
  if problem := lacks(run):
    raise ValueError(problem)
  among = {"among": IDS} if run.shortlist else {}
  return FAMILIES[run.experiment.family](run.model, run.experiment.search, among)


def lacks(run: Any) -> str:
  """Returns why a `runs.Run` cannot be exported, as its family or its search is not in `ov_program`; "" if it can."""
  family, search = run.experiment.family, run.experiment.search
  if family == "ar" and not run.drafted_by:
    return (f"An OpenVINO export of ar checks the drafts of another run; got {run.workdir} without --draft_with=RUN; "
            "give it, or use bin/export.py.")
  if family not in FAMILIES:
    return (f"Expected a run of a family among {', '.join(ALONE)}; got {run.workdir} of the family {family}; use "
            "bin/export.py.")
  needed = next((what for what, holds in NEEDS.get(family, ()) if not holds(run, search)), "")
  return needed and f"An OpenVINO export of {family} needs {needed}; got {search}; set these, or use bin/export.py."


def _walks(search):
  """Whether latents make steps of a network."""
  return search.refine in score_network.KINDS


def best(net: Any, states: tf.Tensor, count: int, forbid: Sequence[int],
         among: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
  """float [B, T, D] -> the best tokens at each position and their log p, int32 and float32 [B, T, count].

  `among` is as for `emissions.top_among`; None: all tokens.
  """
  if among is not None:
    return emissions.top_among(states, net.embed.table, tf.convert_to_tensor(net.embed.bias), among, count, forbid)
  return best_of(logits(net, states), count, forbid)


def best_of(every: tf.Tensor, count: int, forbid: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
  """Does what `best` does, for the logits of every token, float32 [B, T, V]."""
  never = np.where(np.isin(np.arange(every.shape[-1]), forbid), -attention.HIDDEN, 0).astype(np.float32)
  top, token = tokens_lib.largest(every + never, min(count, every.shape[-1]))
  return token, top - tf.reduce_logsumexp(every, -1, keepdims=True)


def logits(net: Any, states: tf.Tensor) -> tf.Tensor:
  """float [B, T, D] -> float32 [B, T, at least V], by a copy of the table of tokens; the logits from V on never count.

  OpenVINO computes a product in 8 bits only if nothing else reads its weights, as embeddings do. It copies all logits
  for `tokens_lib.largest` unless they are whole runs.
  """
  with tf.init_scope():
    table, bias = (tf.convert_to_tensor(each).numpy() for each in (net.embed.table, net.embed.bias))
  more = -len(bias) % tokens_lib.RUN
  bias = np.pad(bias, [0, more], constant_values=-attention.HIDDEN)
  return tf.matmul(states, tf.constant(np.pad(table, [(0, more), (0, 0)])), transpose_b=True) + bias


def _graph(function, **inputs):
  with attention.transposed():
    return tf.function(function, autograph=False).get_concrete_function(**inputs)


def _ctc(model, search, short):
  forbid = (*tokens_lib.forbidden(search.unknown), types.EOS)

  def whole(ids, among=None):
    memory = model.net.encode(ids)
    states = model.net.decode(model.canvas(memory), model.positions(ids), memory)
    if search.beam == 1:
      token, log_prob = best(model.net, states, 1, forbid, among)
      return {"token": token[..., 0], "log_prob": log_prob[..., 0]}
    every = logits(model.net, states)
    return {"every": every - tf.reduce_logsumexp(every, -1, keepdims=True)}

  return {"model": _graph(whole, ids=IDS, **short)}


def _dag(model, search, short):
  forbid = (*tokens_lib.forbidden(search.unknown), types.EOS, types.MASK)

  def whole(ids, among=None):
    canvas, vertices = model.canvas(ids)
    states, links = model.graph(canvas, vertices, model.net.encode(ids))
    token, log_prob = best(model.net, states, 1, forbid, among)
    return {"token": token[..., 0], "log_prob": log_prob[..., 0], "links": links}

  return {"model": _graph(whole, ids=IDS, **short)}


def _one_pass(model, search, short):
  return _with_lengths(model, odd.KEPT if search.odd else 1, tokens_lib.forbidden(search.unknown), short)


def _cmlm(model, search, short):
  return _with_lengths(model, 1, (*tokens_lib.forbidden(search.unknown), types.MASK), short)


def _with_lengths(model, kept, forbid, short):
  """The graphs of nat_em, glat and cmlm; `decoder` returns the `kept` best tokens but those of `forbid`."""

  def encode(ids):
    memory = model.net.encode(ids)
    return {"length": model.net.length_logits(memory), "states": memory.states}

  def decode(ids, states, lengths, canvas, among=None):
    states = model.net.decode(model.net.canvas(canvas), lengths, _memory(ids, states))
    return dict(zip(("token", "log_prob"), best(model.net, states, kept, forbid, among), strict=True))

  return {"model": _graph(encode, ids=IDS), "decoder": _graph(decode, **_inputs(model), **short)}


def _fertility(model, search, short):
  forbid, kept = tokens_lib.forbidden(search.unknown), odd.KEPT if search.odd else 1

  def encode(ids):
    memory = model.net.encode(ids)
    if not model.aligned:
      return {"length": model.net.length_logits(memory), "states": memory.states}
    log_prob = model.log_fertility(memory, ids)
    found = tf.argmax(log_prob, -1, tf.int32)[:, None]
    found = fertility_lib.bounded(found, ids, model.config.net.max_length)
    return {"fertility": found, "prior": fertility_lib.of(log_prob, found), "states": memory.states}

  def decode(ids, states, lengths, canvas, source, fertility=None, among=None):
    given = model.canvas(source, lengths, tf.shape(canvas)[1], fertility)
    states = model.net.decode(given, lengths, _memory(ids, states))
    return dict(zip(("token", "log_prob"), best(model.net, states, kept, forbid, among), strict=True))

  more = short | ({"fertility": IDS} if model.aligned else {})
  return {"model": _graph(encode, ids=IDS), "decoder": _graph(decode, **_inputs(model), source=IDS, **more)}


def _ar(drafted, search, short):
  """The graphs of an `evaluate.drafting.Drafted`; its drafter is an export of its own, which has the shortlist."""
  model, forbid = drafted.teacher, tokens_lib.forbidden(search.unknown)

  def encode(ids):
    return {"states": model.encode(ids)}

  def decode(ids, states, lengths, canvas):
    states = model.decode(states, ids, canvas)
    position = lengths[:, None] + tf.range(search.draft_block)  # [R, K]
    states = tf.gather(states, tf.minimum(position, tf.shape(canvas)[1] - 1), batch_dims=1)
    every = logits(model, states)
    log_sum = tf.reduce_logsumexp(every, -1)
    token, log_prob = best_of(every, 1, forbid)
    return {"token": token[..., 0], "log_prob": log_prob[..., 0], "ending": every[..., types.EOS] - log_sum}

  return {"model": _graph(encode, ids=IDS), "decoder": _graph(decode, **_inputs(drafted))}


def _lanmt(model, search, short, refining=None):
  """The graphs of lanmt or, with the `refining` model whose network makes steps, of lanmt_score."""
  forbid, kept = tokens_lib.forbidden(search.unknown), odd.KEPT if search.odd else 1

  def encode(ids):
    memory = model.net.encode(ids)
    lengths = length_parallel.likeliest(model.net.length_logits(memory), search.candidates)
    return {"lengths": lengths, "prior": tf.zeros(tf.shape(lengths)), "states": memory.states}

  def decode(ids, states, lengths, canvas):
    source, positions = model.projected(ids, _memory(ids, states)), tf.shape(canvas)[1]
    inside, z = tf.sequence_mask(lengths, positions), model.prior(source, lengths, positions).mean
    for _ in range(0 if search.refine == "none" else search.steps):
      if search.refine == "delta":
        token = best(model.net, model.decode(source, z, lengths, positions), 1, forbid)[0][..., 0]
        z = model.posterior(source, tf.where(inside, token, types.PAD), lengths).mean
      else:
        z += search.step_size * refining.step(z, lengths, source.memory)
    return dict(zip(("token", "log_prob"), best(model.net, model.decode(source, z, lengths, positions), kept, forbid),
                    strict=True))

  return {"model": _graph(encode, ids=IDS), "decoder": _graph(decode, **_inputs(model))}


def _flowseq(model, search, short):
  forbid, kept = tokens_lib.forbidden(search.unknown), odd.KEPT if search.odd else 1

  def encode(ids):
    memory = model.net.encode(ids)
    lengths, prior = model.likeliest(memory, search.candidates)
    return {"lengths": lengths, "prior": prior, "states": memory.states}

  def decode(ids, states, lengths, canvas):
    memory, size = _memory(ids, states), -(-tf.shape(canvas)[1] // model.unit) * model.unit
    given = model.given(memory, tf.sequence_mask(lengths, size))
    z = model.prior.sample(tf.zeros([tf.shape(lengths)[0], size, model.config.size]), given)
    return dict(zip(("token", "log_prob"), best(model.net, model.decode(memory, z, lengths), kept, forbid),
                    strict=True))

  return {"model": _graph(encode, ids=IDS), "decoder": _graph(decode, **_inputs(model))}


def _lanmt_score(model, search, short):
  return _lanmt(model.lanmt, search, short, model)


LATENT = {"lanmt": _lanmt, "lanmt_score": _lanmt_score, "flowseq": _flowseq}
ALONE = {"nat_em": _one_pass, "glat": _one_pass, "ctc": _ctc, "dag": _dag, "nat_fertility": _fertility,
         "cmlm": _cmlm, **LATENT}  # Those whose export needs no other run.
FAMILIES = ALONE | {"ar": _ar}


def _inputs(model):
  """Returns the types of ids, states, lengths and canvas, by name."""
  return {"ids": IDS, "states": tf.TensorSpec([None, None, model.config.net.width]),
          "lengths": tf.TensorSpec([None], tf.int32), "canvas": IDS}


def _memory(ids, states):
  """Returns the `Memory` that `EncoderDecoder.encode` made of ids int32 [B, S]."""
  seen = tf.sequence_mask(masking.lengths(ids), tf.shape(states)[1])
  return encoder_decoder.Memory(states, seen[:, None])
