"""The shortlist of a data folder: the likeliest translations, the most frequent tokens, and how much they cover."""
import numpy as np
import pytest

from tests.data import folders
from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import shortlist as shortlist_lib
from tf_nar.prepare import fast_align
from tf_nar.prepare import shortlist


def test_the_likeliest_come_first():
  keys = [3, 4, 5 * 9 + 6, 5 * 9 + 7, 5 * 9 + 8, 7 * 9 + 5]  # f * 9 + e; f = 0 is the empty word.
  lexicon = fast_align.Lexicon(np.array(keys), np.array([0.5, 0.5, 0.2, 0.5, 0.3, 1.0]), 9, 4.0)
  found = shortlist.likeliest(lexicon, 8, 2)
  assert found[5].tolist() == [7, 8] and found[7].tolist() == [5, types.EOS]
  assert (np.delete(found, [5, 7], 0) == types.EOS).all()


def test_a_folder_has_a_shortlist(tmp_path):
  pairs = folders.random_pairs(40, longest=8)
  data, out = folders.make(tmp_path / "data", pairs), str(tmp_path / "new/shortlist.npz")
  share = shortlist.make(data, out, each=1, frequent=2)
  found = shortlist_lib.read(out)
  assert str(found.vocabulary) == corpus.read(data).vocabulary_sha256
  assert found.frequent[:5].tolist() == [0, 1, 2, 3, 4] and len(found.frequent) <= 7 and found.likely.shape[1] == 1
  tokens = [(token, source) for source, target in (pair[:2] for pair in pairs) for token in target[:-1]]
  there = [token in found.frequent or token in found.likely[list(source[:-1])] for token, source in tokens]
  assert share == pytest.approx(np.mean(there)) and 0 < share < 1
  assert shortlist.make(data, out, each=99, frequent=99) == 1


def test_refuses_options(tmp_path):
  with pytest.raises(ValueError, match="--each and --frequent must be at least 1; got 0 and 5."):
    shortlist.make("x", "y", each=0, frequent=5)
