import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.layers import transformer
from tf_nar.models import nat_em
from tf_nar.models import one_pass

WORDS = 6
SPOKEN = (types.UNK, types.MASK, 5)  # The tokens that the model predicts, besides an appended EOS.
SRC = families.padded([[4, 5], [4]], 4)
PLAIN = nat_em.Search(odd=False, candidates=1, alpha=0.0)


@pytest.fixture(scope="module")
def model():
  """A model that never predicts PAD, BOS or EOS, so that no sentence is shorter than its length."""
  keras.utils.set_random_seed(0)
  net = transformer.Config(width=8, ffn=16, heads=2, encoder_layers=1, decoder_layers=1, max_length=6)
  model = families.shaken(models.build("nat_em", nat_em.Config(net), WORDS), 0.3)
  bias = model.net.embed.bias.numpy()
  bias[[types.PAD, types.BOS, types.EOS]] = -1e4, -1e4, -20.0
  model.net.embed.bias.assign(bias)
  return model


def length_log_probs(model, src=SRC):
  return tf.nn.log_softmax(model.net.length_logits(model.net.encode(src))).numpy()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_all_sentences_of_a_length_have_the_lengths_probability(model, length):
  sentences = np.array(list(itertools.product((types.EOS, *SPOKEN), repeat=length)), np.int32)
  scores = model.score(tf.repeat(SRC[:1], len(sentences), 0), sentences)
  np.testing.assert_allclose(np.exp(scores).sum(), np.exp(length_log_probs(model)[0, length]), rtol=1e-4)


def without_end(tokens):
  """The tokens predicted at the positions of the length, without the EOS that is appended."""
  return np.where(tokens == types.EOS, types.PAD, tokens)


def test_search_ranks_by_the_words_at_the_likeliest_length(model):
  found = model.translate(SRC, PLAIN)
  tokens, lengths = without_end(found.tokens[:, 0]), length_log_probs(model).argmax(1).clip(2)
  assert np.count_nonzero(tokens, 1).tolist() == lengths.tolist()
  expected = model.score(SRC, tokens).numpy() - length_log_probs(model)[range(2), lengths]
  np.testing.assert_allclose(found.score[:, 0], expected, rtol=1e-4)
  assert int(found.passes) == 1


def test_no_sentence_of_that_length_is_likelier(model):
  said = without_end(model.translate(SRC[:1], PLAIN).tokens[0, 0].numpy())
  length = np.count_nonzero(said)
  every = np.array(list(itertools.product(SPOKEN, repeat=length)), np.int32)
  scores = model.score(tf.repeat(SRC[:1], len(every), 0), every)
  assert every[np.argmax(scores)].tolist() == said[:length].tolist()


def test_odd_never_repeats_a_word(model):
  plain = model.translate(SRC, nat_em.Search(odd=False, candidates=5)).tokens.numpy()
  odd = model.translate(SRC, nat_em.Search(odd=True, candidates=5)).tokens.numpy()
  repeats = lambda tokens: ((tokens[..., 1:] == tokens[..., :-1]) & (tokens[..., 1:] != types.PAD)).sum()
  assert repeats(plain) > 0 == repeats(odd)


def test_a_rescorer_ranks_the_candidates(model):
  search = dataclasses.replace(PLAIN, candidates=3)
  lengths = lambda translation: np.count_nonzero(translation.tokens, 2)
  wants = lambda sign: lambda tokens: sign * tf.math.count_nonzero(tokens, -1, dtype=tf.float32)
  longest, shortest = (lengths(model.translate(SRC, search, rescore=wants(sign))) for sign in (1.0, -1.0))
  np.testing.assert_array_equal(longest, -np.sort(-longest, 1))
  np.testing.assert_array_equal(shortest, longest[:, ::-1])
  assert (longest[:, 0] == longest[:, 2] + 2).all()  # Consecutive lengths.


def test_decoder_does_not_see_the_sources_eos(model):
  memory, lengths = model.net.encode(SRC), tf.constant([3, 3])
  said = lambda states: one_pass.decode(model.net, memory._replace(states=states), lengths, 3)
  spoiled = tf.tensor_scatter_nd_add(memory.states, [[0, 3], [1, 2]], tf.fill([2, 8], 9.0))  # EOS, shifted by the slot.
  np.testing.assert_array_equal(said(memory.states), said(spoiled))
  slot = tf.tensor_scatter_nd_add(memory.states, [[0, 0]], tf.fill([1, 8], 9.0) * tf.range(8.0))  # Attended to.
  assert not np.allclose(said(memory.states)[0], said(slot)[0])


def test_loss_weighs_the_length_by_its_factor(model):
  batch = types.Batch(SRC, SRC, tf.constant([1.0, 2.0]))
  terms = model.objective(batch, seed=None, training=False).terms
  assert (terms["token"].scale, terms["length"].scale) == (1.0, model.config.length_factor)
  assert (float(terms["token"].count), float(terms["length"].count)) == (3 * 1 + 2 * 2, 3)
