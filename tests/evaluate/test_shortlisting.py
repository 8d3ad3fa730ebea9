"""A shortlist of the whole vocabulary changes nothing; a short one leaves no other tokens; refusals."""
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.export import tiny
from tf_nar import config
from tf_nar import models
from tf_nar import runs
from tf_nar import translator
from tf_nar import types
from tf_nar.data import shortlist
from tf_nar.evaluate import shortlisting
from tf_nar.export import metadata
from tf_nar.export import saved_model
from tf_nar.losses import emissions

SRC = families.padded([*families.sentences(4, 6), []], 7)
SIZE = len(families.VOCAB)
FAMILIES = sorted(name for name in models.FAMILIES if models.family(name).TRAITS.shortlist)


def found(likely, frequent, vocabulary=families.VOCAB.sha256):
  return shortlist.Shortlist(
    np.array(likely, np.int32), np.array([*range(5), *frequent], np.int32), np.array(vocabulary))


WHOLE = found(np.full([SIZE, 2], types.EOS), range(5, SIZE))
FEW = found([[types.EOS, types.EOS]] + [[5 + n % 7, 5 + n % 3] for n in range(SIZE - 1)], [14])


def test_these_families_have_shortlists():
  assert FAMILIES == ["cmlm", "ctc", "dag", "glat", "nat_em", "nat_fertility"]


@pytest.mark.parametrize("name", [each if each in ("ctc", "nat_em") else pytest.param(each, marks=pytest.mark.slow)
                                  for each in FAMILIES])
def test_translations_are_from_the_shortlist(name):
  model, search = families.build(name, seed=3), families.TINY[name].search
  whole, plain = shortlisting.Shortlisted(model, WHOLE).translate(SRC, search), model.translate(SRC, search)
  np.testing.assert_array_equal(whole.tokens, plain.tokens)
  np.testing.assert_allclose(whole.score, plain.score, rtol=1e-4, atol=1e-5)
  short = shortlisting.Shortlisted(model, FEW)
  some = short.translate(SRC, search)
  for row, source in zip(some.tokens.numpy(), SRC.numpy(), strict=True):
    assert {*row.ravel()} <= {types.PAD, types.EOS, types.MASK, 14, *FEW.likely[source].ravel()}
  alone = short.translate(tf.pad(SRC[1:2], [[0, 0], [0, 2]]), search)
  width = min(alone.tokens.shape[2], some.tokens.shape[2])
  np.testing.assert_array_equal(alone.tokens[0, :, :width], some.tokens[1, :, :width])
  assert model.net.among is None and short.config is model.config


def test_a_token_that_is_repeated_counts_once():
  draw = np.random.default_rng(0)
  states, table, bias = (tf.constant(draw.normal(size=size), tf.float32) for size in ([2, 3, 4], [9, 4], [9]))
  among = [[2, 5, 5, 8], [0, 1, 1, 1]]
  token, log_prob = emissions.top_among(states, table, bias, tf.constant(among), 3, (1, 8))
  logits = (tf.einsum("rtd,vd->rtv", states, table) + bias).numpy()
  for row, (tokens, allowed) in enumerate([([2, 5, 8], [2, 5]), ([0, 1], [0])]):
    for t in range(3):
      nats = {v: logits[row, t, v] - np.log(np.exp(logits[row, t, tokens]).sum()) for v in allowed}
      best = sorted(allowed, key=lambda v: -nats[v])
      assert token[row, t, :len(best)].numpy().tolist() == best and np.isneginf(log_prob[row, t, len(best):]).all()
      np.testing.assert_allclose(log_prob[row, t, :len(best)], [nats[v] for v in best], rtol=1e-5)


def test_refused(tmp_path):
  run = lambda name: runs.Run(
    config.Experiment(name, families.TINY[name].config, families.TINY[name].search), families.build(name),
    families.VOCAB, f"runs/{name}")
  with pytest.raises(ValueError, match="runs/ar cannot use a shortlist: it is of family ar, which has no"):
    shortlisting.by(run("ar"), "x")
  path = str(tmp_path / "shortlist.npz")
  shortlist.write(path, WHOLE._replace(vocabulary=np.array("another")))
  student = run("nat_em")
  with pytest.raises(ValueError, match="shortlist.npz is of another vocabulary than runs/nat_em; make one of its data"):
    shortlisting.by(student, path)
  shortlist.write(path, WHOLE)
  assert shortlisting.by(student, path).model.tokens(SRC).shape == [5, SIZE + 14]
  (tmp_path / "shortlist.npz").write_bytes(b"PK")
  with pytest.raises(ValueError, match="shortlist.npz is no shortlist; make one with data_prep/shortlist.py."):
    shortlisting.by(student, path)


@pytest.mark.slow
def test_an_export_has_it(tmp_path):
  vocab = tiny.VOCABULARIES["words"]()
  size, path = len(vocab), str(tmp_path / "shortlist.npz")
  few = found([[types.EOS]] + [[5 + n % 3] for n in range(size - 1)], [], vocab.sha256)
  shortlist.write(path, few)
  workdir, texts = tiny.make(tmp_path / "run", "ctc", vocab, beam=3), ["a low house", "", "the tower is new"]
  model = translator.load(workdir, shortlist=path)
  module, _ = saved_model.build(model.run, model.searcher())
  said = [text.decode() for text in module.translate(tf.constant(texts))["translation"].numpy()]
  assert said == model.translate(texts) != translator.load(workdir).translate(texts)
  assert metadata.describe(model.run, [])["shortlist"] == "shortlist.npz"
