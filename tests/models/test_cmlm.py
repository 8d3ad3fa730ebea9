"""The masked language model: its inputs, its loss, and the passes of its search."""
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.layers import transformer
from tf_nar.models import cmlm

BATCH = families.batch(count=40)


@pytest.fixture(scope="module")
def model():
  return families.build("cmlm")


@pytest.fixture
def watched(model, monkeypatch):
  """The model, and lists of the tokens of every canvas and the weights of every token loss."""
  tokens, weights = [], []
  canvas, token_term = model.net.canvas, model.net.token_term
  monkeypatch.setattr(model.net, "canvas", lambda x: tokens.append(x.numpy()) or canvas(x))
  monkeypatch.setattr(
    model.net, "token_term", lambda *args, **kw: weights.append(args[2].numpy()) or token_term(*args, **kw))
  return model, tokens, weights


def test_only_masked_words_are_paid_for(watched):
  model, tokens, weights = watched
  terms = model.objective(BATCH, seed=[1, 2], training=True).terms
  (seen,), (paid,), tgt = tokens, weights, BATCH.tgt.numpy()
  hidden = seen == types.MASK
  assert (seen[~hidden] == tgt[~hidden]).all() and not (hidden & (tgt == types.PAD)).any()
  np.testing.assert_array_equal(paid, hidden * BATCH.weight.numpy()[:, None])
  np.testing.assert_allclose(terms["token"].count, paid.sum(), rtol=1e-6)
  assert hidden.any(1).all() and hidden[tgt == types.EOS].any() and not hidden[tgt == types.EOS].all()
  assert (hidden.sum(1) == np.count_nonzero(tgt, 1)).any()  # A row with all tokens masked.


def test_masks_come_from_the_seed(watched):
  model, tokens, _ = watched
  for seed in ([1, 2], [1, 2], [1, 3]):
    model.objective(BATCH, seed=seed, training=True)
  np.testing.assert_array_equal(tokens[0], tokens[1])
  assert (tokens[0] != tokens[2]).any()


def test_at_rest_all_is_masked_and_the_loss_is_the_score(watched):
  model, tokens, _ = watched
  batch = BATCH._replace(weight=tf.ones([40]))
  model.config, config = cmlm.Config(model.config.net, smoothing=0.0), model.config
  terms = model.objective(batch, seed=[1, 2], training=False).terms
  model.config = config
  np.testing.assert_array_equal(tokens[0], np.where(BATCH.tgt == types.PAD, types.PAD, types.MASK))
  total = sum(float(term.total) for term in terms.values())
  np.testing.assert_allclose(total, -np.sum(model.score(BATCH.src, BATCH.tgt)), rtol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_all_sentences_of_a_length_have_the_lengths_probability(length):
  keras.utils.set_random_seed(0)
  net = transformer.Config(width=8, ffn=16, heads=2, encoder_layers=1, decoder_layers=1, max_length=6)
  model = models.build("cmlm", cmlm.Config(net), 6)
  src = families.padded([[5]], 3)
  memory = model.net.encode(src)
  # No sentence contains PAD, which marks its end.
  model.net.embed.bias.assign(tf.one_hot(types.PAD, 6) * -1e4)
  sentences = np.array(list(itertools.product(range(1, 6), repeat=length)), np.int32)
  scores = model.score(tf.repeat(src, len(sentences), 0), sentences)
  expected = model.net.length_log_prob(memory, tf.constant([length]))
  np.testing.assert_allclose(np.exp(scores).sum(), np.exp(expected)[0], rtol=1e-4)


def test_a_pass_is_the_decoder_on_the_canvas_it_saw(model):
  found, trace = model.trace(BATCH.src, cmlm.Search(passes=4, candidates=2))
  np.testing.assert_array_equal(argmax.finish(trace.predictions[:, :, -1]), found.tokens)
  assert int(found.passes) == 4 and not (trace.predictions == types.MASK).numpy().any()
  memory, lengths = model.net.encode(BATCH.src[:1]), np.count_nonzero(trace.inputs[0, 0, 0], keepdims=True)
  for seen, said in zip(trace.inputs[0, 0], trace.predictions[0, 0], strict=True):
    logits = model.net.embed.logits(model.net.decode(model.net.canvas(seen[None]), lengths, memory))[0].numpy()
    logits[:, [types.PAD, types.UNK, types.BOS, types.MASK]] = -np.inf
    here = seen.numpy() == types.MASK
    np.testing.assert_array_equal(logits.argmax(-1)[here], said.numpy()[here])
    np.testing.assert_array_equal(seen.numpy()[~here], said.numpy()[~here])


def test_candidates_have_the_likeliest_lengths(model):
  _, trace = model.trace(BATCH.src, cmlm.Search(passes=1, candidates=3))
  found = np.sort(np.count_nonzero(trace.inputs[:, :, 0], -1), 1)
  logits = model.net.length_logits(model.net.encode(BATCH.src)).numpy()
  np.testing.assert_array_equal(found, np.sort(2 + np.argsort(-logits[:, 2:])[:, :3], 1))


def test_a_rescorer_ranks_the_candidates(model):
  wants = lambda sign: lambda tokens: sign * tf.math.count_nonzero(tokens, -1, dtype=tf.float32)
  search = cmlm.Search(passes=2, candidates=3, alpha=0.0)
  sizes = [np.count_nonzero(model.translate(BATCH.src, search, rescore=wants(sign)).tokens, 2) for sign in (1.0, -1.0)]
  np.testing.assert_array_equal(sizes[0], -np.sort(-sizes[0], 1))
  np.testing.assert_array_equal(sizes[1], sizes[0][:, ::-1])


@pytest.mark.parametrize("change, got", [(dict(passes=0), "0 and 5"), (dict(candidates=0), "10 and 0")])
def test_search_refuses(change, got):
  with pytest.raises(ValueError, match=f"search.passes and search.candidates must be at least 1; got {got}"):
    cmlm.Search(**change)


def test_search_refuses_another_schedule():
  with pytest.raises(ValueError, match="search.min_masked must be 1, as in the paper's program, or 0, as in .*got 2"):
    cmlm.Search(min_masked=2)
