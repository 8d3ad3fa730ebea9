import collections

import pytest
from subword_nmt import apply_bpe

from tf_nar import types
from tf_nar.data import subwords
from tf_nar.prepare import learn

TEXT = ["the lower house is lowest", "a new tower by the low house", "newest towers lower the house"] * 9
TEXT += ["rarely"]


def units(vocab, lines):
  return collections.Counter(vocab.tokens[i] for line in lines for i in vocab.encode(line))


def test_merges_list_the_units_of_the_text_by_count():
  vocab = learn.merges(TEXT, 30)
  found = units(vocab, TEXT)
  assert vocab.tokens[:5] == list(types.SPECIALS)
  assert vocab.tokens[5:] == sorted(found, key=lambda unit: (-found[unit], unit))
  assert [vocab.decode(vocab.encode(line)) for line in TEXT] == TEXT


def test_threshold_is_that_of_subword_nmt():
  plain = learn.merges(TEXT, 40)
  counts = units(plain, TEXT)
  vocab = learn.merges(TEXT, 40, threshold=10)
  frequent = {unit for unit, count in counts.items() if count >= 10}
  theirs = subwords.bpe(plain.codes, frequent)
  assert isinstance(theirs, apply_bpe.BPE)
  ours = [[vocab.tokens[i] for i in vocab.encode(line)] for line in TEXT]
  assert ours == [theirs.segment_tokens(line.split(" ")) for line in TEXT]
  assert units(vocab, TEXT) != counts


def test_rare_units_become_unknown():
  assert types.UNK not in learn.merges(TEXT, 30).encode("rarely")
  assert types.UNK in learn.merges(TEXT, 30, minimum=2).encode("rarely")  # No other word has a y after l.


def test_learning_twice_gives_the_same():
  assert learn.merges(TEXT, 30).sha256 == learn.merges(reversed(TEXT), 30).sha256
  assert learn.pieces(TEXT, 26).sha256 == learn.pieces(TEXT, 26).sha256


def test_refusals():
  with pytest.raises(ValueError, match="no word of two characters, so no BPE merge can be learned"):
    learn.merges(["a b", "c"], 5)
  with pytest.raises(ValueError, match=r"vocab_size=5000 is too large for this text; give \d+ or less\."):
    learn.pieces(TEXT, 5000)
  with pytest.raises(ValueError, match=r"vocab_size=8 is too small: the characters .* alone need \d+"):
    learn.pieces(TEXT, 8)
  with pytest.raises(ValueError, match="SentencePiece could not learn 30 pieces: .*character_coverage"):
    learn.pieces(TEXT, 30, character_coverage=2.0)
