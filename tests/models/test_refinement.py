"""Passes by hand, what a pass reads in training, refused settings, and a toy pair that one pass cannot translate."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar import warm_starts
from tf_nar.layers import highway
from tf_nar.losses import cross_entropy
from tf_nar.models import refinement
from tf_nar.ops import corruption
from tf_nar.ops import masking

BATCH = families.batch()._replace(weight=tf.ones([6]))
NET = dataclasses.replace(families.NET, vocab=len(families.VOCAB), **families.STILL)


@pytest.fixture(scope="module")
def model():
  return families.build("refinement", encoder_layers=2, decoder_layers=2)


def by_hand(model, tokens=None):
  """Returns the states and the input of two passes over the batch; the second reads the argmax of the first."""
  lengths, memory = masking.lengths(BATCH.tgt), model.net.encode(BATCH.src)
  one = model.first(BATCH.src, memory, lengths, BATCH.tgt.shape[1])
  read = tf.where(masking.valid(BATCH.tgt), tf.argmax(model.net.embed.logits(one), -1, tf.int32), types.PAD)
  later = memory._replace(states=model.refiner.project(memory.states))
  return one, read, model.again(read, one, later)


def nats(model, states):
  return cross_entropy.cross_entropy(
    model.net.embed.logits(states), BATCH.tgt, tf.cast(masking.valid(BATCH.tgt), tf.float32))


def test_loss_is_the_mean_of_the_passes(model):
  two = families.build("refinement", encoder_layers=2, decoder_layers=2)
  two.config = dataclasses.replace(two.config, iterations=2)
  with tf.GradientTape(persistent=True) as tape:
    one, _, other = by_hand(two)
    wanted = nats(two, one) + nats(two, other)
    token = two.objective(BATCH, seed=None, training=False).terms["token"]
  np.testing.assert_allclose(token.total, wanted, rtol=1e-5)
  assert token.count == 2 * np.count_nonzero(BATCH.tgt)
  first = [v.value for v in two.net.decoder.trainable_variables]  # The second pass has a gradient by them too.
  for own, theirs in zip(tape.gradient(token.total, first), tape.gradient(wanted, first), strict=True):
    np.testing.assert_allclose(own, theirs, rtol=1e-3, atol=1e-4)


def test_score_is_the_likelihood_of_the_first_guess(model):
  one, *_ = by_hand(model)
  length = model.net.length_log_prob(model.net.encode(BATCH.src), masking.lengths(BATCH.tgt))
  np.testing.assert_allclose(
    tf.reduce_sum(model.score(BATCH.src, BATCH.tgt)), tf.reduce_sum(length) - nats(model, one), rtol=1e-5)


def test_later_passes_read_states_through_which_gradients_flow(model):
  with tf.GradientTape() as tape:
    value = nats(model, by_hand(model)[2])
  first = [v.value for v in model.net.decoder.trainable_variables]
  assert min(np.abs(g).max() for g in tape.gradient(value, first)) > 0


def test_each_decoder_block_attends_to_the_encoder_block_of_its_depth(model):
  states = model.net.encode(BATCH.src).states
  assert len(states) == 2
  blocks = model.net.decoder.blocks
  for projected, block, each in zip(model.net.decoder.project(states), blocks, states, strict=True):
    np.testing.assert_array_equal(projected[0][0], block.project(each)[0][0])


def test_a_new_block_is_a_residual_one():
  block = highway.Block(NET, True, name="block")
  block.build((None, None, NET.width))
  x, out = tf.random.normal([2, 3, NET.width], seed=1)
  np.testing.assert_allclose(block.join(3, x, out), (x + out) / 2, rtol=1e-6)
  np.testing.assert_array_equal(block.join(1, x, out), x + out)


@pytest.mark.parametrize("denoise, share", [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_coin_for_each_sentence_chooses_what_a_pass_reads(monkeypatch, denoise, share):
  monkeypatch.setattr(corruption, "corrupted", lambda seed, tgt, rate, vocab: tf.fill(tf.shape(tgt), 7))
  model = families.build("refinement")
  model.config = dataclasses.replace(model.config, denoise=denoise)
  read = model._corrupted(tf.constant([1, 2]), 1, tf.zeros([400, 3], tf.int32), tf.fill([400, 3], 9)).numpy()
  assert set(read[:, 0]) <= {7, 9} and (read == read[:, :1]).all()
  assert np.mean(read[:, 0] == 7) == pytest.approx(share, abs=0.1)
  later = model._corrupted(tf.constant([1, 2]), 2, tf.zeros([400, 3], tf.int32), tf.fill([400, 3], 9)).numpy()
  assert np.mean(later[:, 0] == read[:, 0]) == pytest.approx(share**2 + (1 - share)**2, abs=0.1)  # Each has its coin.


def test_corruption_fades_over_the_passes():
  rates = [refinement.Config(NET).noise(iteration) for iteration in (1, 2, 3)]
  np.testing.assert_allclose(rates, [0.63, 0.365, 0.1])


def test_odd_keeps_the_lengths_that_collapsing_shortens(model):
  search = refinement.Search(passes=2, candidates=3)
  found = {name: model.translate(BATCH.src, dataclasses.replace(search, **change)) for name, change in {
    "collapsed": {}, "raw": {"collapse": False}, "odd": {"odd": True, "odd_everywhere": True}}.items()}
  lengths = {name: masking.lengths(tf.reshape(each.tokens, [-1, each.tokens.shape[-1]])).numpy().sum()
             for name, each in found.items()}
  assert lengths["odd"] == lengths["raw"] > lengths["collapsed"]  # The model repeats tokens.
  tokens = found["odd"].tokens.numpy()
  assert not ((tokens[..., 1:] == tokens[..., :-1]) & (tokens[..., 1:] != types.PAD)).any()
  assert (found["odd"].score.numpy() <= found["raw"].score.numpy() + 1e-5).all()


@pytest.mark.parametrize("made, message", [
  (lambda: refinement.Config(NET, iterations=0), "^model.iterations is at least 1; got 0"),
  (lambda: refinement.Config(NET, denoise=1.5), "^model.denoise is from 0 to 1; got 1.5"),
  (lambda: refinement.Config(dataclasses.replace(NET, decoder_layers=2)),
   "^refinement needs as many encoder as decoder layers, .* got 1 and 2; set model.net.encoder_layers"),
  (lambda: refinement.Search(passes=0), "^search.passes is at least 1; got 0"),
  (lambda: refinement.Search(stop="soon"), "^search.stop is one of never, same, bag; got 'soon'"),
  (lambda: models.check(config.Experiment("refinement", refinement.Config(NET, iterations=1), refinement.Search())),
   "^A model trained with model.iterations=1 cannot refine its first guess; got search.passes=4; set search.passes=1"),
  (lambda: config.override(models.family("glat").Search(), "passes=4"), "^--set passes=4: no field 'passes'"),
])
def test_settings_are_refused(made, message):
  with pytest.raises(ValueError, match=message):
    made()


def test_a_model_of_one_iteration_has_one_decoder():
  model = models.build("refinement", refinement.Config(NET, iterations=1), NET.vocab)
  assert not hasattr(model, "refiner")
  terms = model.objective(BATCH, seed=[0, 0], training=True).terms
  assert terms["token"].count == np.count_nonzero(BATCH.tgt)
  assert int(model.translate(BATCH.src, refinement.Search(passes=1)).passes) == 1
  with pytest.raises(ValueError, match="cannot refine its first guess"):
    model.translate(BATCH.src, refinement.Search(passes=2))


def test_both_decoders_start_from_a_teachers(tmp_path):
  teacher = families.build("ar")
  ours = config.Experiment("refinement", refinement.Config(families.NET), refinement.Search())
  theirs = config.Experiment("ar", teacher.config, families.TINY["ar"].search)
  runs.create(theirs, families.VOCAB, str(tmp_path))
  runs.save_weights({v.path: v.numpy() for v in teacher.variables}, str(tmp_path))
  run = runs.plan(ours, families.VOCAB, str(tmp_path / "new"))
  warm_starts.start_from(run, str(tmp_path))
  block, *others = teacher.decoder.blocks[0], run.model.net.decoder.blocks[0], run.model.refiner.blocks[0]
  for other in others:
    np.testing.assert_array_equal(other.cross_attend[0].query.kernel, block.cross_attend[0].query.kernel)
    np.testing.assert_array_equal(other.norms[3].gamma, block.norms[2].gamma)  # After positional attention, one more.


def test_a_guess_may_be_a_sample():
  model = families.build("refinement")
  model.config = dataclasses.replace(model.config, guess="sample", denoise=0.0)
  loss = lambda seed: float(model.objective(BATCH, seed=seed, training=True).terms["token"].total)
  assert np.isfinite(loss([1, 2])) and loss([1, 2]) == loss([1, 2])
