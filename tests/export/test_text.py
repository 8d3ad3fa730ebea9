"""The graph's text and ids against those of `data.vocab`, on real text and on unusual words."""
import random

import pytest
import tensorflow as tf

from tests.export import tiny
from tf_nar import types
from tf_nar.data import subwords
from tf_nar.data import vocab as vocab_lib
from tf_nar.export import text
from tf_nar.prepare import learn

LINES = [*tiny.LINES, "aaaa aaa"]
TRICKY = ["", " ", "a", "  the   house ", "the low\u00a0house", "☃ house", "new☃er", "ＮＥＷ café cafe\u0301",
          "<eos> <unk> <mask>", "@@ a@@ b", "a\tb", "aaaaaaaaa aaaaa aaa aa", "<s> </s> </w> lo</w>w",
          "日本語 𝔘nicode 👩\u200d👩\u200d👧", "t▁he", "no\u2028line"]


def words(*tokens, codes=None):
  return vocab_lib.WordList([*types.SPECIALS, *tokens], codes)


VOCABULARIES = {
  "words": lambda: words("a", "the", "house", "low\u00a0house", "☃", "</w>"),
  "no mask": lambda: vocab_lib.WordList([*types.SPECIALS[:4], "the", "house", "a"]),
  "words in parts": lambda: words("@@", "a@@", "@@a", "a@@b", "@@@@", "the", "é@@"),
  "bpe": lambda: learn.merges(iter(LINES), 30),
  "bpe, rare units cut": lambda: learn.merges(iter(LINES), 30, threshold=30, minimum=25),
  "sentencepiece": lambda: learn.pieces(LINES, 24, character_coverage=1.0),
}


@pytest.fixture(scope="module", params=VOCABULARIES)
def vocab(request):
  return VOCABULARIES[request.param]()


def encode(graph, lines):
  """Encodes lines by a function of any batch size, like the exported one."""
  signature = [tf.TensorSpec([None], tf.string)]
  return tf.function(graph.encode, input_signature=signature, autograph=False)(tf.constant(lines, tf.string)).to_list()


def decode(graph, rows):
  ids = tf.ragged.constant(rows, tf.int32, ragged_rank=1).to_tensor(types.PAD)
  signature = [tf.TensorSpec([None, None], tf.int32)]
  return [line.decode() for line in tf.function(graph.decode, input_signature=signature, autograph=False)(ids).numpy()]


def test_encode_equals_the_vocabulary(vocab):
  lines = LINES[:5] + TRICKY
  assert encode(text.build(vocab), lines) == [vocab.encode(line) for line in lines]


def test_split_equals_the_vocabulary(vocab):
  graph, lines = text.build(vocab), LINES[:5] + TRICKY
  split = tf.function(graph.split, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
  found = [[unit.decode() for unit in row] for row in split(tf.constant(lines)).to_list()]
  assert found == list(map(vocab.split, lines))
  assert split(tf.constant(["", ""])).to_list() == [[], []]


def test_copied_tokens_are_decoded_as_the_vocabulary_does(vocab):
  first = next(each for each in (5, 6) if each < len(vocab))
  rows = [[types.UNK, first, types.UNK, first, types.EOS], [first, types.UNK, types.UNK, types.EOS, types.UNK]]
  copied = [["☃@@", "", "@@", "", ""], ["", "", "東京", "", "x"]]
  mixed = [[token or id for id, token in zip(*pair, strict=True)] for pair in zip(rows, copied, strict=True)]
  found = text.build(vocab).decode(tf.constant(rows), tf.constant(copied))
  assert [line.decode() for line in found.numpy()] == [vocab.decode(row) for row in mixed]


def test_encode_nothing(vocab):
  assert encode(text.build(vocab), []) == []
  assert encode(text.build(vocab), ["", ""]) == [[], []]


def test_decode_equals_the_vocabulary(vocab):
  draw = random.Random(0)
  rows = [[draw.randrange(len(vocab)) for _ in range(draw.randrange(9))] for _ in range(200)]
  rows += [[], [types.EOS], [5, 6, types.EOS, 5], [types.PAD, types.BOS, 5, types.MASK, types.UNK, 6]]
  assert decode(text.build(vocab), rows) == [vocab.decode(row) for row in rows]


def test_a_literal_mark_is_decoded_as_a_word():
  vocab = VOCABULARIES["words in parts"]()
  first = len(types.SPECIALS)
  mark, part, behind, inside, four, the, accent = range(first, first + 7)
  rows = {(mark,): "@@", (the, mark, the): "the @@ the", (part, the): "athe", (part, mark): "a@@", (part,): "a",
          (mark, part, the): "@@ athe", (behind, inside, the): "@@a a@@b the", (four, the): "@@the",
          (the, accent, types.EOS, the): "the é", (types.UNK, mark): "<unk> @@", (): ""}
  assert decode(text.build(vocab), list(map(list, rows))) == list(rows.values())


@pytest.mark.parametrize("threshold", [0, 40])
def test_random_words_are_cut_as_by_subword_nmt(threshold):
  draw = random.Random(1)
  word = lambda letters: "".join(draw.choices(letters, k=draw.randint(1, 12)))
  lines = [f"{word('aab')} {word('abcd')}" for _ in range(800)]
  vocab = learn.merges(lines, 120, threshold, minimum=threshold)
  words = [word("aabcdé") for _ in range(1000)]
  assert encode(text.build(vocab), words) == [vocab.encode(word) for word in words]


@pytest.mark.parametrize("codes", [
  "a a\naa aa\naa a</w>\n",  # Pairs that overlap.
  "b c\na bc\nabc d\na b\nab c\n",  # A late result has an early merge: all positions of one pair come first.
  "x y\nxy xy\ny x\nx y</w>\ny x\n",  # A merge twice; the first counts.
  "< /\n</ w\n</w >\na </w\n",  # Text that looks like the mark of a word's end.
])
def test_merges_in_all_orders(codes):
  parts = sorted(set(codes.replace("</w>", "").split()))
  codes = "#version: 0.2\n" + codes
  draw = random.Random(2)
  letters = "".join(parts)
  lines = ["".join(draw.choices(letters, k=draw.randint(1, 9))) for _ in range(300)]
  lines += ["a</w>a", "</w>", "a</w>"]
  cutter = subwords.bpe(codes)
  units = sorted(set(cutter.segment_tokens(lines)))
  for known in (units, units[::2]):
    vocab = words(*known, codes=codes)
    assert encode(text.build(vocab), lines) == [vocab.encode(line) for line in lines]


def test_real_lines_are_cut_as_by_subword_nmt(multi30k):
  lines = next(multi30k.glob("train*.tok.de")).read_text().splitlines()
  vocab = learn.merges(iter(lines[:5000]), 2000)
  lines = lines[-500:]
  assert encode(text.build(vocab), lines) == [vocab.encode(line) for line in lines]


def test_merges_of_the_first_format_are_refused():
  with pytest.raises(ValueError, match="begin with the line `#version: 0.2`, got version 0.1; learn the merges again"):
    text.build(words("ab", codes="a b\n"))
