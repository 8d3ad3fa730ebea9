"""A planted language with two equally good translations of every sentence, without a common token.

A source of 4 to 8 tokens is translated by adding 20 or 40 to all of its ids, by the toss of a coin for each sentence. A
model that predicts all tokens at once mixes both, unless a code tells which it is.
"""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import models
from tf_nar import types
from tf_nar.layers import quantizer
from tf_nar.layers import transformer
from tf_nar.models import latent_codes
from tf_nar.ops import schedule
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

WORDS, FIRST, ROWS, UPDATES = 20, len(types.SPECIALS), 64, 360
NET = transformer.Config(
  width=64, ffn=128, heads=4, encoder_layers=2, decoder_layers=2, max_length=10, **families.STILL)
PLAIN = latent_codes.Search()


def pairs(count, draw):
  sources = [(FIRST + draw.integers(WORDS, size=draw.integers(4, 9))).tolist() for _ in range(count)]
  targets = [[token + WORDS * mode for token in line] for line, mode in
             zip(sources, draw.integers(1, 3, count), strict=True)]
  return families.padded(sources, 9), families.padded(targets, 9)


def trained(codes):
  keras.utils.set_random_seed(0)
  model = models.build("latent_codes", latent_codes.Config(
    NET, quantizer.Config(codes=codes, decay=0.9, restart=0.5), prior_layers=1, smoothing=0.0,
    prior=schedule.Linear(0.0, 1.0, 240), bypass=schedule.Linear(1.0, 0.0, 240), gold=schedule.Linear(0.0, 0.0)),
    FIRST + 3 * WORDS)
  draw, recipe = np.random.default_rng(0), config.Optimizer(learning_rate=3e-3, warmup=100, cooldown=120)
  batch = lambda: types.Batch(*pairs(ROWS, draw), tf.ones([ROWS]))
  model.initialise(batch(), seed=[0, 2])
  adam = optimizer.Adam(recipe, model.trainable_variables, UPDATES)
  update = step_lib.Update(model, adam, config.Train(optimizer=recipe))
  for step in range(UPDATES):
    update([batch()], step)
  return model


def share_in_one_mode(src, tokens):
  """The share of sentences that are wholly right in one of the two modes."""
  real = src.numpy() > types.EOS
  wanted = [np.where(real, src + WORDS * mode, src) for mode in (1, 2)]
  tokens = np.pad(tokens.numpy(), [[0, 0], [0, 9]])[:, :9]
  return np.mean(np.any([(tokens == each).all(1) for each in wanted], 0))


@pytest.mark.slow  # Both models took less than ten minutes, on two cores that ten processes shared.
@pytest.mark.parametrize("codes, within", [(8, (0.9, 1.0)), (1, (0.0, 0.3))])
def test_codes_carry_the_mode_and_without_them_it_is_mixed(codes, within):
  model = trained(codes)
  src, tgt = pairs(500, np.random.default_rng(99))
  found = model.translate(src, PLAIN)
  assert within[0] <= share_in_one_mode(src, found.tokens[:, 0]) <= within[1]
  again = share_in_one_mode(src, model.reconstruct(src, tgt))
  assert within[0] <= again <= within[1]
  assert (int(found.passes), int(found.steps)) == (1, 2)  # Nine positions, eight to a code.
