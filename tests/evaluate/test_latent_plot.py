"""What refinement does to the latents of a sentence, from the model to the plot."""
import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.evaluate import latent_plot
from tf_nar.models import lanmt
from tf_nar.models import lanmt_score
from tf_nar.models import lanmt_search
from tf_nar.models import nat_em

BATCH = families.batch(count=3)
SEARCH = lanmt.Search(steps=2, candidates=4, latents=2, temperature=1.0)


@pytest.fixture(scope="module", params=["target", "source"])
def model(request):
  keras.utils.set_random_seed(0)
  made = lanmt.Config(families.NET, lanmt.Latent(request.param))
  return families.shaken(models.build("lanmt", made, len(families.VOCAB)), 0.1)


def test_a_walk_goes_by_the_search_from_the_mean_of_the_prior(model):
  found = model.latents(BATCH.src, SEARCH, BATCH.tgt)
  walk, source = found.walks["delta"], model.encode(BATCH.src)
  lengths = tf.math.count_nonzero(BATCH.tgt, 1, dtype=tf.int32)
  assert walk.shape[1] == 3 and found.draws.shape[1] == lanmt_search.DRAWS
  np.testing.assert_allclose(walk[:, 0], found.prior, atol=1e-6)
  inside, z, count, size = BATCH.tgt, walk[:, 0], lengths, BATCH.tgt.shape[1]
  if model.config.latent.axis == "source":  # The length is predicted, and then again in each step.
    inside, state = BATCH.src, lanmt_search.begin(model, source, dataclasses.replace(SEARCH, candidates=1, latents=1))
    z, count, size = state.z, state.lengths, state.tokens.shape[1]
  first = count
  for step in (1, 2):
    tokens = lanmt_search.predict(model, source, z, count, size)
    z = model.posterior(source, tokens, count).mean
    np.testing.assert_allclose(walk[:, step], tf.where(inside[..., None] != types.PAD, z, 0.0), atol=1e-5)
    if inside is BATCH.src:
      logits = model.net.length_logits(model.axis.length_memory(source, z))
      count = tf.minimum(length_parallel.likeliest(logits, 1)[:, 0], tf.minimum(first + lanmt_search.GROWTH, 12))
  std = model.prior(source, lengths, BATCH.tgt.shape[1]).std
  np.testing.assert_allclose(np.std(found.draws, 1)[:, 0], std[:, 0], rtol=0.4)


@pytest.mark.parametrize("kind", ["score", "energy"])
def test_a_walk_of_a_network_goes_by_its_steps(kind):
  model = families.build("lanmt_score", config=lanmt_score.Config(families.NET, kind=kind, layers=1, delta=1))
  found = model.latents(BATCH.src, lanmt_score.Search(steps=2, step_size=0.5), BATCH.tgt)
  assert found.walks.keys() == {"delta", kind}
  memory, lengths = model.lanmt.encode(BATCH.src).memory, tf.math.count_nonzero(BATCH.tgt, 1, dtype=tf.int32)
  z = found.prior
  for step in range(3):
    np.testing.assert_allclose(found.walks[kind][:, step], z, rtol=1e-4, atol=1e-5)
    z += 0.5 * tf.where(BATCH.tgt[..., None] != types.PAD, model.step(z, lengths, memory), 0.0)


def test_other_sentences_change_nothing(model):
  whole, size = model.latents(BATCH.src, SEARCH, BATCH.tgt), lambda tokens: int(tf.math.count_nonzero(tokens[1]))
  one = model.latents(*(tokens[1:2, :size(tokens)] if tokens is not SEARCH else tokens
                        for tokens in (BATCH.src, SEARCH, BATCH.tgt)))
  for ours, theirs in ((one.prior, whole.prior), (one.posterior, whole.posterior), (one.walks["delta"],
                                                                                   whole.walks["delta"])):
    theirs = theirs[1:2, ..., :ours.shape[-2], :]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_axes_are_those_of_the_steps():
  z = lambda *rows: tf.constant([rows], tf.float32)[:, :, None]  # One sentence of one position.
  walk = z([1.0, 1.0, 0.0], [4.0, 5.0, 0.0])  # By (3, 4).
  draws = z(*([1.0, 1.0, sign] for sign in (-1.0, 1.0) * 4))
  points, shares = latent_plot.projected(types.Latents(walk[:, 0], draws, {"delta": walk}, None))
  np.testing.assert_allclose(np.abs(points["delta steps"]), [[0, 0], [5, 0]], atol=1e-5)
  np.testing.assert_allclose(np.abs(points["draws from the prior"]), [[0, 1]] * 8, atol=1e-5)
  np.testing.assert_allclose(shares, [12.5 / 13.5, 1 / 13.5], rtol=1e-5)


def test_a_single_latent_has_one_axis(tmp_path):
  z = tf.constant([1.0, 4.0], tf.float32)[None, :, None, None]
  found = types.Latents(z[:, 0], z, {"delta": z}, z[:, 1])
  points, shares = latent_plot.projected(found)
  np.testing.assert_allclose(np.abs(points["delta steps"]), [[0, 0], [3, 0]], atol=1e-5)
  np.testing.assert_allclose(shares, [1, 0])
  latent_plot.draw(str(tmp_path / "plot.png"), found, 0.5)
  assert (tmp_path / "plot.png").stat().st_size > 1_000


@pytest.mark.parametrize("family, reference, message", [
  (nat_em, "", "^runs/x is of family nat_em, which has no Gaussian latents that a search r"),
  (lanmt, " ", "^The reference of a plot of latents must have tokens; got ' '; leave it out"),
])
def test_what_cannot_be_drawn_is_refused(family, reference, message):
  name = family.__name__.rpartition(".")[2]
  run = runs.Run(config.Experiment(name, family.Config(), family.Search()), None, families.VOCAB, "runs/x")
  run = run._replace(model=SimpleNamespace(traits=family.TRAITS))
  with pytest.raises(ValueError, match=message):
    latent_plot.watching(run, [], "plot.png", reference)
