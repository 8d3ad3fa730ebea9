"""The second pass of glancing: which tokens it reveals, its loss, and that both passes drop the same units."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import types
from tf_nar.ops import glancing
from tf_nar.ops import masking

BATCH = families.batch(count=40)
NOISY = dict(dropout=0.5, attention_dropout=0.5, relu_dropout=0.5)


class Watched:
  """A model with a given ratio, the tokens and states of its passes, and the weights of its token losses."""

  def __init__(self, monkeypatch, *glance):
    self.model = families.build("glat", **NOISY)
    self.model.config = dataclasses.replace(self.model.config, glance=glancing.Glance(*glance))
    self.tokens, self.states, self.weights = [], [], []
    for name, log in (("canvas", lambda args, _: self.tokens.append(args[0].numpy())),
                      ("decode", lambda _, states: self.states.append(states.numpy())),
                      ("token_term", lambda args, _: self.weights.append(args[2].numpy()))):
      monkeypatch.setattr(self.model.net, name, self._logged(getattr(self.model.net, name), log))

  def _logged(self, method, log):
    def call(*args, **kw):
      out = method(*args, **kw)
      log(args, out)
      return out
    return call

  def objective(self, seed=(1, 2), training=True, step=0):
    return self.model.objective(BATCH, seed=list(seed), training=training, step=step).terms


@pytest.mark.parametrize("ratio", [0.3, 0.5, 1.0])
def test_as_many_words_are_shown_as_the_distance_says(monkeypatch, ratio):
  watched = Watched(monkeypatch, ratio, ratio)
  terms = watched.objective()
  blank, canvas = watched.tokens
  assert not blank.any()
  guess = watched.model.net.embed.logits(watched.states[0]).numpy().argmax(-1)
  tgt = BATCH.tgt.numpy()
  distance = ((guess != tgt) & (tgt != types.PAD)).sum(1)
  shown = canvas != types.PAD
  np.testing.assert_array_equal(shown.sum(1), np.floor(np.float32(ratio) * distance))
  assert (canvas[shown] == tgt[shown]).all() and shown.any()
  (paid,) = watched.weights
  np.testing.assert_array_equal(paid, ((tgt != types.PAD) & ~shown) * BATCH.weight.numpy()[:, None])
  np.testing.assert_allclose(terms["token"].count, paid.sum(), rtol=1e-6)


def test_both_passes_drop_the_same_units(monkeypatch):
  watched = Watched(monkeypatch, 1e-6, 1e-6)  # With so small a ratio nothing is revealed.
  watched.objective()
  first, second = watched.states
  np.testing.assert_array_equal(first, second)
  watched.objective(seed=(1, 3))
  assert not np.allclose(first, watched.states[2])


def test_nothing_is_shown_at_rest(monkeypatch):
  watched = Watched(monkeypatch, 1.0, 1.0)
  terms = watched.objective(training=False)
  (canvas,) = watched.tokens  # One pass.
  assert not canvas.any()
  assert terms["token"].count == tf.reduce_sum(tf.cast(masking.lengths(BATCH.tgt), tf.float32) * BATCH.weight)


def test_the_share_falls_by_updates(monkeypatch):
  watched = Watched(monkeypatch, 1.0, 0.0, 10)
  for step in (0, 5, 10, 11):
    watched.objective(step=tf.constant(step, tf.int64))
  shown = [np.count_nonzero(canvas) for canvas in watched.tokens[1::2]]
  assert shown[0] > shown[1] > 0 == shown[2] == shown[3]


def test_the_guess_has_no_gradient(monkeypatch):
  model = families.build("glat", **NOISY)
  likeliest, guesses = model.net.likeliest, []

  def gradients():
    with tf.GradientTape() as tape:
      value = types.loss(model.objective(BATCH, seed=[1, 2], training=True))
    return [tf.convert_to_tensor(g).numpy() for g in tape.gradient(value, [v.value for v in model.trainable_variables])]

  monkeypatch.setattr(model.net, "likeliest", lambda states: guesses.append(likeliest(states)) or guesses[-1])
  free = gradients()
  monkeypatch.setattr(model.net, "likeliest", lambda states: tf.constant(guesses[0].numpy()))
  for one, other in zip(free, gradients(), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
