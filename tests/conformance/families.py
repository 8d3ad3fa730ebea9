"""A tiny instance of every family: the list that the conformance tests run over."""
import dataclasses
import os
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import config as config_lib
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import corpus
from tf_nar.evaluate import tracing
from tf_nar.export import saved_model
from tf_nar.layers import flow_prior
from tf_nar.layers import quantizer
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import ctc
from tf_nar.models import dag
from tf_nar.models import flowseq
from tf_nar.models import glat
from tf_nar.models import janus
from tf_nar.models import lanmt
from tf_nar.models import lanmt_score
from tf_nar.models import latent_codes
from tf_nar.models import nat_em
from tf_nar.models import nat_fertility
from tf_nar.models import refinement
from tf_nar.ops import glancing
from tf_nar.ops import masking
from tf_nar.ops import schedule
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

VOCAB = vocab_lib.WordList([*types.SPECIALS, *(f"w{n}" for n in range(15))])
NET = transformer.Config(width=16, ffn=32, heads=2, encoder_layers=1, decoder_layers=1, max_length=12)
STILL = dict(dropout=0.0, attention_dropout=0.0, relu_dropout=0.0)  # For `net`: no dropout.


class Tiny(NamedTuple):
  """A tiny instance of a family: its config, and a search with several candidates."""

  config: Any
  search: Any


MISSING = "Add a tiny {} to TINY in tests/conformance/families.py; docs/adding.md has the whole list."
TINY = {
  "ar": Tiny(ar.Config(NET), ar.Search(beam=3, candidates=3, extra_length=4)),
  "cmlm": Tiny(cmlm.Config(NET), cmlm.Search(passes=3, candidates=3)),
  # Four positions per token: every target of these tests fits on the canvas of every source.
  "ctc": Tiny(ctc.Config(NET, upsample=4, glance=glancing.Glance(updates=200)),
              ctc.Search(beam=4, candidates=3, rank="consensus")),
  "dag": Tiny(dag.Config(NET, upsample=4), dag.Search("joint", candidates=3, rank="consensus")),
  # One level; two are among the variants and in tests/layers/test_flow.py, as each coupling is a block to compile.
  "flowseq": Tiny(flowseq.Config(NET, flow_prior.Config((1,), ("half",), ffn=16), kl=schedule.Linear(updates=100)),
                  flowseq.Search(candidates=3, latents=3)),
  "glat": Tiny(glat.Config(NET), glat.Search(candidates=3)),
  "janus": Tiny(janus.Config(NET), janus.Search(beam=3, candidates=3, extra_length=4)),
  "latent_codes": Tiny(
    latent_codes.Config(
      NET, quantizer.Config(codes=16, decay=0.9, restart=0.01), compress=1, prior_layers=1,
      prior=schedule.Linear(0.0, 1.0, 100), bypass=schedule.Linear(1.0, 0.0, 50), gold=schedule.Linear(0.5, 0.0, 50)),
    latent_codes.Search(beam=3, candidates=3)),
  "lanmt": Tiny(lanmt.Config(NET), lanmt.Search(steps=2, candidates=3, latents=3)),
  # One delta step, as a token that rounding changes would change the loss after several.
  "lanmt_score": Tiny(lanmt_score.Config(NET, layers=1, delta=1),
                      lanmt_score.Search(steps=2, candidates=3, latents=3)),
  "nat_em": Tiny(nat_em.Config(NET), nat_em.Search(candidates=3)),
  "nat_fertility": Tiny(nat_fertility.Config(NET), nat_fertility.Search(candidates=3)),
  "refinement": Tiny(refinement.Config(NET), refinement.Search(passes=3, stop="same", candidates=3)),
}


def each(names, quick):
  """Returns `names` as parameters of a test; those beside `quick`, which go the same way for longer, are slow tests."""
  return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in sorted(names)]


def build(name, seed=0, config=None, **net):
  """Returns a tiny model in which every weight has an effect: those initialised to zero are changed.

  `config` is that of `TINY` if None, and `net` are changes of its sizes.
  """
  keras.utils.set_random_seed(seed)
  assert name in TINY, MISSING.format(name)
  config = config or TINY[name].config
  config = dataclasses.replace(config, net=dataclasses.replace(config.net, **net))
  return shaken(models.build(name, config, len(VOCAB)), 0.1, seed)


def export(name, model, search, folder, searcher=None):
  """Exports a model of the family; another process compares the SavedModel's results with the run's.

  `searcher` is the search as a graph, if there is one already; else it is traced.
  """
  run = runs.Run(config_lib.Experiment(name, model.config, search), model, VOCAB, str(folder))
  trace = tracing.searcher(model, search) if "trace" in model.traits.offers else None
  saved_model.export(run, searcher or corpus.searcher(model, search), f"{folder}/out", trace=trace)
  assert os.listdir(folder) == ["out"] and tf.saved_model.contains_saved_model(f"{folder}/out")


def shaken(layer, scale, seed=0):
  """Moves all weights of a built layer or model by random numbers of a standard deviation; returns the layer."""
  draw = np.random.default_rng(seed)
  for variable in layer.variables:
    variable.assign(variable.numpy() + draw.normal(size=variable.shape, scale=scale))
  return layer


def padded(sentences, length):
  """Lists of ids, without EOS -> int32 [B, length]."""
  rows = [[*tokens, types.EOS] if tokens else [] for tokens in sentences]
  return tf.constant([row + [types.PAD] * (length - len(row)) for row in rows], tf.int32)


def sentences(count, longest, seed=0):
  """Returns `count` lists of 1 to `longest` tokens, without repeats."""
  draw = np.random.default_rng(seed)
  steps = lambda length: [draw.integers(15), *draw.integers(1, 15, length - 1)]
  tokens = lambda length: np.cumsum(steps(length)) % 15 + len(types.SPECIALS)
  return [tokens(draw.integers(1, longest + 1)).tolist() for _ in range(count)]


def batch(count=6, longest=7, length=9):
  """Returns a `Batch` of random pairs, all padded to `length`."""
  src, tgt = (padded(sentences(count, longest, seed), length) for seed in (1, 2))
  return types.Batch(src, tgt, tf.linspace(0.5, 1.5, count))


def given(model, pairs):
  """Returns a `Batch` as the model's objective takes it: one that learns from alignments has the diagonal and EOS."""
  if model.traits.batch(model.config) is types.Batch:
    return pairs
  ends = [masking.lengths(tokens)[:, None] - 1 for tokens in (pairs.src, pairs.tgt)]  # Where EOS is.
  position = tf.range(tf.shape(pairs.tgt)[1])
  token = tf.where(position < ends[1], position * ends[0] // tf.maximum(ends[1], 1), ends[0])  # [B, T]
  token = tf.where(position <= ends[1], token, -1)
  return types.Aligned(*pairs, tf.reduce_sum(tf.one_hot(token, tf.shape(pairs.src)[1], dtype=tf.int32), 1))


def nonempty(translation, row):
  """The candidates of one sentence without their padding, [(ids, score)]."""
  tokens, scores = translation.tokens[row].numpy(), translation.score[row].numpy()
  return [(tokens[tokens != types.PAD].tolist(), score) for tokens, score in zip(tokens, scores, strict=True)]


def learns_by_heart(model, search):
  """Trains a model, without dropout, on eight pairs until it is as sure of the targets as their smoothed labels are."""
  src, tgt = (padded(sentences(8, 6, seed), 7) for seed in (3, 4))
  pairs = given(model, types.Batch(src, tgt, tf.ones([8])))
  for frozen in model.traits.frozen(model.config):  # The part that another run trains is an attribute of that name.
    part = getattr(model, frozen)
    part.config, part.trainable = dataclasses.replace(part.config, smoothing=0.0), True
    _learn(part, pairs)
    part.trainable = False
  _learn(model, pairs)

  smoothing, tokens = (model.config.smoothing if model.traits.smoothed else 0.0), len(VOCAB)
  q = (1 - smoothing) * np.eye(tokens)[0] + smoothing / tokens
  floor = -np.sum(q * np.log(np.maximum(q, 1e-37)))
  token = model.objective(pairs, seed=None, training=False).terms["token"]
  assert floor - 0.1 < token.total / token.count < floor + 0.1
  found = model.translate(src, search)
  right = [row[row != types.PAD].tolist() for row in tgt.numpy()]
  assert [nonempty(found, row)[0][0] for row in range(8)] == right


def _learn(model, pairs):
  recipe = config_lib.Optimizer(learning_rate=5e-3, warmup=20)
  update = step_lib.Update(
    model, optimizer.Adam(recipe, model.trainable_variables), config_lib.Train(optimizer=recipe))
  for step in range(250):
    update([pairs], step)
