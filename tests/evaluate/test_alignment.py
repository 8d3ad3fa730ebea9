import numpy as np

from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import alignment

VOCAB = vocab_lib.WordList([*types.SPECIALS, "a", "b@@", "c"])
A, B, C = 5, 6, 7


def test_words_have_the_links_of_their_tokens():
  weights = np.array([[0.0, 0.6, 0.4, 0.0], [0.1, 0.0, 0.9, 0.0], [0.0, 0.0, 0.9, 0.1], [0.0] * 4])
  assert alignment.pharaoh(weights, "a b@@ c", [C, B, A, types.EOS], VOCAB) == "1-0 1-1"
  assert alignment.pharaoh(weights[:, [2, 1, 0, 3]], "a b@@ c", [C, B, A, 1], VOCAB) == "0-1 1-0"


def test_no_link_to_the_end_of_the_source_nor_without_a_weight():
  weights = np.array([[0.2, 0.8], [0.0, 0.0], [0.0, 0.0]])
  assert alignment.pharaoh(weights, "a", [A, C, types.EOS], VOCAB) == ""
  assert alignment.pharaoh(None, "a", [A], VOCAB) == "" and alignment.pharaoh(np.zeros([1, 1]), "", [1], VOCAB) == ""


def test_a_source_that_was_cut_has_links_to_what_is_left():
  weights = np.array([[0.0, 1.0, 0.0], [0.0] * 3])
  assert alignment.pharaoh(weights, "a c a c a", [A, types.EOS], VOCAB) == "1-0"


def test_drawn(tmp_path):
  alignment.draw(str(tmp_path / "plot.png"), np.array([[0.2, 0.8]]), ["a", "c"], ["a"])
  assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
