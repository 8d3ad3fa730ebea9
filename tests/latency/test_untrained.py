"""Random weights whose translations have the lengths that were planted."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import runs
from tf_nar import types
from tf_nar.data import shortlist
from tf_nar.evaluate import corpus
from tf_nar.latency import texts
from tf_nar.latency import untrained

CONFIG = """
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import {0}


def get_config():
  net = transformer.Config(width=32, ffn=32, heads=2, encoder_layers=1, decoder_layers=1, max_length=20)
  return config.Experiment("{0}", {0}.Config(net=net), {0}.Search())
"""
VOCAB = texts.vocabulary(40)
TEXTS = texts.made_up(VOCAB, words=6, count=3, lengths=[2, 9], each=2)
LINES = [*TEXTS.lines, *TEXTS.by_length[2], *TEXTS.by_length[9]]


def make(folder, family, *settings):
  (folder / "config.py").write_text(CONFIG.format(family))
  untrained.make(f"{folder}/config.py", VOCAB, LINES, f"{folder}/run", settings)


def translated(folder, *settings):
  """Returns the candidates of each of `LINES`, by the run that `make` made."""
  run = runs.load(f"{folder}/run", settings)
  search = corpus.searcher(run.model, run.experiment.search)
  return corpus.translate(search, [[*VOCAB.encode(line), types.EOS] for line in LINES], tokens_per_batch=200)


@pytest.mark.parametrize("family, dtype", [
  *((family, "float32") for family in (
    "ar", "flowseq", "janus", "lanmt", "lanmt_score", "latent_codes", "nat_em", "refinement")),
  ("nat_em", "mixed_bfloat16")])
def test_translations_are_as_long_as_their_sources(tmp_path, family, dtype):
  unfilled = ["model.flow.levels=1,", "model.dimensions=8", "model.flow.ffn=8"] * (family == "flowseq")
  make(tmp_path, family, f"model.net.dtype={dtype}", *unfilled)
  assert runs.load(f"{tmp_path}/run").experiment.model.net.dtype == dtype
  whole = ["search.collapse=False"] * (family == "refinement")
  found = translated(tmp_path, *whole)
  lengths = [len(candidates[0].tokens) for candidates in found]
  # The NAR model predicts a token at the last position, where EOS would be, and gets its EOS after it.
  assert lengths == [len(line.split()) + 1 + (family not in ("ar", "janus")) for line in LINES]


def test_other_candidates_have_lengths_nearby(tmp_path):
  make(tmp_path, "lanmt")
  found = translated(tmp_path, "search.candidates=3")
  lengths = [sorted(len(each.tokens) for each in candidates) for candidates in found]
  assert lengths == [[count + 1, count + 2, count + 3] for count in (len(line.split()) for line in LINES)]


def test_family_without_lengths(tmp_path):
  with pytest.raises(ValueError, match="config.py is of the family ctc, which has no length head"):
    make(tmp_path, "ctc")
  assert not (tmp_path / "run/weights.npz").exists()


def test_lengths_that_cannot_be_told_apart():
  class Blind:
    config = type("Config", (), {"max_length": 9})

    def encode(self, ids):
      return type("Memory", (), {"states": tf.ones([len(ids), 1, 4])})

  with pytest.raises(ValueError, match="The length of 1 of 2 sentences cannot be planted in a net of width 4"):
    untrained._lengths(Blind(), [[5, 1], [5, 6, 1]])
  assert np.shape(untrained._lengths(Blind(), [[5, 1]])) == (10, 4)


def test_a_shortlist_of_random_tokens_has_the_size(tmp_path):
  path = f"{tmp_path}/short.npz"
  untrained.shortlist(VOCAB, 26, 6, path)
  found = shortlist.read(path)
  assert len(found.frequent) == len(set(found.frequent)) == 13 and found.likely.shape == (40, 2)  # 13 + 2 (6 + 1) = 27.
  assert {*range(5)} < {*found.frequent} and 5 <= found.likely.min() and found.likely.max() < 40
  assert str(found.vocabulary) == VOCAB.sha256
  with pytest.raises(ValueError, match="A shortlist of random tokens has 10 to 40 tokens; got 41."):
    untrained.shortlist(VOCAB, 41, 6, path)
