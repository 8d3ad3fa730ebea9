"""The networks of families of few passes as TensorFlow graphs that OpenVINO can convert.

Their searches are in `ov_program`, which needs no TensorFlow. A family without a length head has one graph, any other
family two, so that the program chooses lengths between them and, for cmlm, repeats the second, or three:

  graph     family               takes                              returns
  model     ctc                  ids                                token, log_prob [B, k·S]
            ctc with a beam      ids                                log p of every token, [B, k·S, at least V]
            dag                  ids                                token, log_prob [B, L], and links [B, L, L]
            nat_em, glat, cmlm,  ids                                length [B, max_length + 1], states
            latent_codes
            ar                   ids                                states
            lanmt, lanmt_score,  ids                                the likeliest lengths, their prior in the score,
            flowseq                                                 [B, N], and states
            nat_fertility        ids                                length, or fertility [B, 1, S] and prior [B, 1]
                                                                  of it; states
  codes     latent_codes         ids, states, codes int32 [R, M]    the best code at each position given those
                                                                    before, code, log_prob [R, M]
  decoder   but for ar           ids, states, lengths [R], canvas   token, log_prob [R, T, K], the best K
            nat_fertility also   source, fertility [R, S]           the same
            latent_codes also    codes                              the same
            ar, drafted by       ids, states, canvas, and in        the best token at this position given those
            another              lengths a position of each row     before, and at the next ones, token, log_prob, and
                                                                    log p of EOS there, ending [R, K]

The decoder of lanmt, lanmt_score and flowseq starts from the latents without noise and makes all steps of refinement.
ids are int32 [B, S], states float32 [B, S', D], canvas int32 [R, T], the input tokens, of which nat_fertility and
families with latents use the shape alone; source has the ids of the sentence of each row. The R = B·N rows are adjacent
for each sentence. The graph with the output layer of a run with a shortlist also takes among, int32 [B, C], the tokens
that it computes.
"""
import operator
from typing import Any

import tensorflow as tf

from tf_nar import types
from tf_nar.export import ov_latents
from tf_nar.export import ov_layers
from tf_nar.layers import score_network
from tf_nar.ops import fertility as fertility_lib
from tf_nar.ops import tokens as tokens_lib

IDS = ov_layers.IDS
_SURE = [("search.latents=1", lambda run, search: search.latents == 1),
         ("search.rank=decoder", lambda run, search: search.rank == "decoder")]
NEEDS = {  # What the search and the model of a run must be, so that the program can do the same; the rest it can.
  "ar": [("search.draft_margin=0", lambda run, search: not search.draft_margin)],
  "ctc": [("search.rank=beam", lambda run, search: search.rank == "beam"),
          ("search.beam=1 with a shortlist", lambda run, search: search.beam == 1 or not run.shortlist)],
  "dag": [("search.rank=path", lambda run, search: search.rank == "path")],
  "nat_fertility": [("search.candidates=1", lambda run, search: not run.model.aligned or search.candidates == 1)],
  "latent_codes": [("search.beam=1", lambda run, search: search.beam == 1)],
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
  if not needed:
    return ""
  name = needed.partition("=")[0]
  return (f"An OpenVINO export of {family} needs {needed}; got {operator.attrgetter(name)(run.experiment)}; set it, or "
          "use bin/export.py.")


def _walks(search):
  """Whether latents make steps of a network."""
  return search.refine in score_network.KINDS


def _ctc(model, search, short):
  forbid = (*tokens_lib.forbidden(search.unknown), types.EOS)

  def whole(ids, among=None):
    memory = model.net.encode(ids)
    states = model.net.decode(model.canvas(memory), model.positions(ids), memory)
    if search.beam == 1:
      token, log_prob = ov_layers.best(model.net, states, 1, forbid, among)
      return {"token": token[..., 0], "log_prob": log_prob[..., 0]}
    every = ov_layers.logits(model.net, states)
    return {"every": every - tf.reduce_logsumexp(every, -1, keepdims=True)}

  return {"model": ov_layers.graph(whole, ids=IDS, **short)}


def _dag(model, search, short):
  forbid = (*tokens_lib.forbidden(search.unknown), types.EOS, types.MASK)

  def whole(ids, among=None):
    canvas, vertices = model.canvas(ids)
    states, links = model.graph(canvas, vertices, model.net.encode(ids))
    token, log_prob = ov_layers.best(model.net, states, 1, forbid, among)
    return {"token": token[..., 0], "log_prob": log_prob[..., 0], "links": links}

  return {"model": ov_layers.graph(whole, ids=IDS, **short)}


def _one_pass(model, search, short, never=()):
  """The graphs of nat_em and glat, and of cmlm, which does not output the tokens `never`."""
  def decode(ids, states, lengths, canvas, among=None):
    states = model.net.decode(model.net.canvas(canvas), lengths, ov_layers.memory(ids, states))
    return ov_layers.read(model.net, states, search, among, never)

  return {"model": ov_layers.graph(ov_layers.encoder(model), ids=IDS),
          "decoder": ov_layers.graph(decode, **ov_layers.inputs(model), **short)}


def _cmlm(model, search, short):
  return _one_pass(model, search, short, (types.MASK,))


def _fertility(model, search, short):
  def encode(ids):
    if not model.aligned:
      return ov_layers.encoder(model)(ids)
    memory = model.net.encode(ids)
    log_prob = model.log_fertility(memory, ids)
    found = tf.argmax(log_prob, -1, tf.int32)[:, None]
    found = fertility_lib.bounded(found, ids, model.config.net.max_length)
    return {"fertility": found, "prior": fertility_lib.of(log_prob, found), "states": memory.states}

  def decode(ids, states, lengths, canvas, source, fertility=None, among=None):
    given = model.canvas(source, lengths, tf.shape(canvas)[1], fertility)
    return ov_layers.read(model.net, model.net.decode(given, lengths, ov_layers.memory(ids, states)), search, among)

  more = short | ({"fertility": IDS} if model.aligned else {})
  return {"model": ov_layers.graph(encode, ids=IDS),
          "decoder": ov_layers.graph(decode, **ov_layers.inputs(model), source=IDS, **more)}


def _ar(drafted, search, short):
  """The graphs of an `evaluate.drafting.Drafted`; its drafter is an export of its own, which has the shortlist."""
  model, forbid = drafted.teacher, tokens_lib.forbidden(search.unknown)

  def encode(ids):
    return {"states": model.encode(ids)}

  def decode(ids, states, lengths, canvas):
    states = model.decode(states, ids, canvas)
    position = lengths[:, None] + tf.range(search.draft_block)  # [R, K]
    states = tf.gather(states, tf.minimum(position, tf.shape(canvas)[1] - 1), batch_dims=1)
    every = ov_layers.logits(model, states)
    log_sum = tf.reduce_logsumexp(every, -1)
    token, log_prob = ov_layers.best_of(every, 1, forbid)
    return {"token": token[..., 0], "log_prob": log_prob[..., 0], "ending": every[..., types.EOS] - log_sum}

  return {"model": ov_layers.graph(encode, ids=IDS), "decoder": ov_layers.graph(decode, **ov_layers.inputs(drafted))}


ALONE = {"nat_em": _one_pass, "glat": _one_pass, "ctc": _ctc, "dag": _dag, "nat_fertility": _fertility,
         "cmlm": _cmlm, "lanmt": ov_latents.lanmt, "lanmt_score": ov_latents.lanmt_score,
         "flowseq": ov_latents.flowseq, "latent_codes": ov_latents.latent_codes}  # Those that need no other run.
FAMILIES = ALONE | {"ar": _ar}
