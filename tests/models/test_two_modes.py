"""One source with two equally good translations without a common token, where each kind of model's optimum is known.

  y is "7 8" or "9 10", each with p = 1/2        H(y | x) = ln 2

A model that predicts both tokens independently has a loss of at least ln 2 for each, together 2 ln 2, whatever the
training. One that predicts them in turn is always wholly in one mode. What CTC and graphs can fit is tested with free
logits in the tests of their losses.
"""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import types
from tf_nar.models import cmlm
from tf_nar.models import glat
from tf_nar.ops import glancing
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

MODES = [[7, 8], [9, 10]]
SRC, TGT = families.padded([[5, 6]] * 2, 3), families.padded(MODES, 3)
BEST = 2 * np.log(2)


def trained(name, copies, steps, tgt=TGT, **changes):
  """Returns a tiny model after `steps` updates on `copies` of the pair of sentences."""
  model = families.build(name, width=32, ffn=64, **families.STILL)
  model.config = dataclasses.replace(model.config, smoothing=0.0, length_factor=1.0, **changes)
  recipe = config.Optimizer(learning_rate=1e-2, warmup=50)
  update = step_lib.Update(
    model, optimizer.Adam(recipe, model.trainable_variables), config.Train(optimizer=recipe))
  batch = types.Batch(tf.tile(SRC, [copies, 1]), tf.tile(tgt, [copies, 1]), tf.ones([2 * copies]))
  for step in range(steps):
    update([batch], step)
  return model


def nats(model, tgt=TGT):
  return -np.mean(model.score(SRC, tgt))


def test_one_pass_cannot_go_below_the_closed_form():
  model = trained("glat", copies=1, steps=150, glance=glancing.OFF)
  assert BEST - 1e-4 < nats(model) < BEST + 0.01
  # Both tokens of a position are equally likely, so that half of the samples mix the modes.
  states = model.net.decode(model.net.mask_canvas(2, 3), tf.constant([3, 3]), model.net.encode(SRC))
  logits = model.net.embed.logits(states)
  p = tf.gather(tf.nn.softmax(logits), TGT, batch_dims=2).numpy()
  np.testing.assert_allclose(p[:, :2], 0.5, atol=0.05)
  np.testing.assert_allclose(p.prod(1).sum(), 0.5, atol=0.05)


def test_one_pass_learns_one_mode():
  tgt = tf.repeat(TGT[:1], 2, 0)  # Translations of a teacher that has one mode.
  model = trained("glat", copies=1, steps=150, tgt=tgt, glance=glancing.OFF)
  assert nats(model, tgt) < 0.01
  assert model.translate(SRC, glat.Search(odd=False)).tokens[0, 0].numpy().tolist() == TGT[0].numpy().tolist() + [0]


@pytest.fixture(scope="module")
def masked():
  return trained("cmlm", copies=12, steps=150)


@pytest.mark.parametrize("passes", [2, 3, 4])
def test_mask_predict_stays_in_one_mode(masked, passes):
  found = masked.translate(SRC, cmlm.Search(passes=passes, candidates=1))
  assert found.tokens[0, 0].numpy().tolist() in [[*mode, types.EOS, types.PAD] for mode in MODES]


def test_the_words_of_the_first_pass_do_not_know_of_each_other(masked):
  assert BEST - 1e-4 < nats(masked) < BEST + 0.2
  # But given one token, the other has probability 1.
  memory, lengths = masked.net.encode(SRC), tf.constant([3, 3])
  for shown, other in ((0, 1), (1, 0)):
    seen = tf.where(tf.range(3) == shown, TGT, types.MASK)
    logits = masked.net.embed.logits(masked.net.decode(masked.net.canvas(seen), lengths, memory))
    p = tf.gather(tf.nn.softmax(logits), TGT, batch_dims=2)
    assert p[:, other].numpy().min() > 0.9
