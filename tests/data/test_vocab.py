import io
import sys

import pytest
import sentencepiece

from tf_nar import types
from tf_nar.data import subwords
from tf_nar.data import vocab as vocab_lib
from tf_nar.prepare import learn

CODES = "#version: 0.2\nl o\nlo w</w>\nn e\n"
TEXT = ["a low house", "a new low tower", "the house is new", "lower the tower", "a slow news show"] * 20


@pytest.fixture(scope="module")
def pieces():
  return learn.pieces(TEXT, 24, character_coverage=1.0)


def words(*tokens, codes=None):
  return vocab_lib.WordList([*types.SPECIALS, *tokens], codes)


def test_word_list_reads_and_says_words():
  vocab = words("ein", "Haus")
  assert len(vocab) == 7
  assert vocab.encode("ein  Haus ein Pferd ") == [5, 6, 5, types.UNK]
  assert vocab.decode([5, types.UNK, 6, types.EOS, 5, 5]) == "ein <unk> Haus"
  assert vocab.decode([types.BOS, 5, types.PAD, types.MASK, 6]) == "ein Haus"
  assert vocab.tokenized and vocab.has_mask and vocab.tokenization == "words"


def test_only_the_ascii_space_separates():
  vocab = words("10\u00a0000", "b\u2028c")
  assert vocab.encode("10\u00a0000 b\u2028c") == [5, 6]


def test_reserved_words_in_a_text_are_words_like_others():
  assert words("a").encode("a <eos> <pad> <mask> a") == [5, types.UNK, types.UNK, types.UNK, 5]


def test_the_original_programs_list_has_no_mask():
  vocab = vocab_lib.WordList([*types.SPECIALS[:4], "the", "house"])
  assert not vocab.has_mask
  assert vocab.encode("the house") == [4, 5]
  assert vocab.decode([4, 5, types.EOS]) == "the house"


def test_merges_cut_words_and_decode_joins_them():
  vocab = words("lo@@", "w@@", "low", "n@@", "e@@", "ne@@", "w", codes=CODES)
  cut = [vocab.tokens[i] for i in vocab.encode("low new")]
  assert cut == ["low", "ne@@", "w"]
  assert vocab.decode(vocab.encode("low new")) == "low new"
  assert vocab.decode([5]) == "lo"  # A word whose last subword is missing has no mark in the text.


def test_a_merge_out_of_the_list_is_taken_back():
  vocab = words("lo@@", "w", "n@@", "e@@", codes=CODES)
  assert [vocab.tokens[i] for i in vocab.encode("low new")] == ["lo@@", "w", "n@@", "e@@", "w"]


def test_pieces_round_trip_raw_text(pieces):
  assert pieces.decode([*pieces.encode("a new house"), types.EOS, 7, 8]) == "a new house"
  assert pieces.decode([types.BOS, *pieces.encode("a"), types.PAD, types.MASK]) == "a"
  assert "<unk>" in pieces.decode(pieces.encode("a \u2603 house"))
  assert not {types.PAD, types.EOS, types.BOS, types.MASK} & set(pieces.encode("<mask> <eos> <pad> <bos>"))
  assert len(pieces) == 24 and not pieces.tokenized and pieces.has_mask


def test_spelling_shows_every_token(pieces):
  assert words("a", "b@@").spell([6, types.MASK, 5, types.EOS]) == ["b@@", "<mask>", "a", "<eos>"]
  assert pieces.spell([types.MASK, *pieces.encode("a"), types.EOS]) == ["<mask>", "\u2581", "a", "<eos>"]


@pytest.mark.parametrize("make", [
    lambda: words("a", "10\u00a0000"),
    lambda: words("lo@@", "w", codes=CODES),
    lambda: learn.pieces(TEXT, 24),
], ids=["words", "bpe", "sentencepiece"])
def test_saved_and_loaded_is_the_same(make, tmp_path):
  vocab = make()
  vocab.save(str(tmp_path))
  again = vocab_lib.load(str(tmp_path))
  assert (type(again), len(again), again.sha256) == (type(vocab), len(vocab), vocab.sha256)
  assert again.encode("low a 10\u00a0000") == vocab.encode("low a 10\u00a0000")
  assert not list(tmp_path.glob("*.tmp"))


def test_the_hash_tells_vocabularies_apart(pieces):
  different = [words("a"), words("b"), words("a", codes=CODES), words("a", codes=CODES + "a b\n"), pieces]
  assert len({vocab.sha256 for vocab in different}) == 5


def test_read_counts(tmp_path):
  path = tmp_path / "counts"
  path.write_text("the 9\n<unk> 8\n10\u00a0000 5\nrare 4\n")
  assert learn.read_counts(str(path)).tokens == [*types.SPECIALS[:4], "the", "10\u00a0000"]
  assert learn.read_counts(str(path), minimum=9, mask=True).tokens == [*types.SPECIALS, "the"]


@pytest.mark.parametrize("line", ["the", "the x", "the house 7", " 5"])
def test_read_counts_refuses(line, tmp_path):
  path = tmp_path / "counts"
  path.write_text(f"a 7\n{line}\n")
  with pytest.raises(ValueError, match="counts:2: expected a token, a space and its count; got"):
    learn.read_counts(str(path))


def test_a_part_is_joined_and_the_mark_alone_is_a_word():
  assert subwords.join(["lo@@", "w", "@@", "a@@b", "c@@"]) == "low @@ a@@b c"
  assert subwords.join([]) == "" and subwords.join(["@@"]) == "@@" and subwords.join(["@@@@", "a"]) == "@@a"
  vocab = words("@@", "lo@@", "w", "a")
  for line in ("a @@ w", "@@", "@@ @@", "low @@ low"):
    parts = line.replace("low", "lo@@ w")
    assert vocab.decode(vocab.encode(parts)) == line == vocab.plain(parts)


def test_merges_leave_a_literal_mark_in_the_text():
  vocab = learn.merges(["a @@ low house"] * 9 + ["x@@ @@y"] * 9, 30)
  assert vocab.encode("@@") and vocab.decode(vocab.encode("a @@ low @@ house")) == "a @@ low @@ house"
  assert vocab.decode(vocab.encode("@@y a")) == "@@y a"
  assert vocab.plain("a @@ lo@@ w") == "a @@ lo@@ w"  # Its text is in whole words: nothing is joined.


def test_which_vocabularies_take_words_in_parts(pieces):
  assert words("lo@@", "w").takes_parts and not words("low", "@@").takes_parts
  assert not words("lo@@", "w", codes=CODES).takes_parts and not pieces.takes_parts
  assert words("low", "w").plain("lo@@ w") == "lo@@ w" and pieces.plain("lo@@ w") == "lo@@ w"


def test_digits_and_characters_without_spaces_may_stand_twice_in_a_row():
  assert words("0", "0@@", "lo@@", "@@", "人@@").repeatable() == [False] * 5 + [False, True, False, False, True]
  numbers = learn.pieces(["a1000人人b", "100 人"] * 20, 269, byte_fallback=True)
  of = dict(zip(numbers.spell(range(len(numbers))), numbers.repeatable(), strict=True))
  assert of["0"] and of["人"] and of["<0xE4>"] and not of["a"]
  assert not [each for each in of if each[0] == "\u2581" and of[each]]


def test_how_the_target_is_measured_is_kept(tmp_path, pieces):
  for vocab in (vocab_lib.Pieces(learn.pieces(TEXT, 24)._model, "zh"), words("a")):
    vocab.save(str(tmp_path / vocab.tokenization))
    again = vocab_lib.load(str(tmp_path / vocab.tokenization))
    assert (again.bleu_tokenize, again.sha256) == (vocab.bleu_tokenize, vocab.sha256)
  assert [words("a").bleu_tokenize, pieces.bleu_tokenize] == ["none", "13a"]
  for folder, value in (("sentencepiece", "13a"), ("words", "none")):
    (tmp_path / folder / "target.json").unlink()  # As written by older versions.
    assert vocab_lib.load(str(tmp_path / folder)).bleu_tokenize == value


def test_a_byte_order_mark_is_no_token(tmp_path):
  words("lo@@", "w", codes=CODES).save(str(tmp_path))
  sha256 = vocab_lib.load(str(tmp_path)).sha256
  for name in ("vocab.txt", "bpe.codes"):
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
  marked = vocab_lib.load(str(tmp_path))
  assert marked.tokens[0] == "<pad>" and marked.sha256 == sha256
  path = tmp_path / "counts"
  path.write_bytes("\ufeffthe 9\r\nHaus 8\r\n".encode())
  assert learn.read_counts(str(path)).tokens[4:] == ["the", "Haus"]


def test_another_encoding_is_refused_by_name(tmp_path):
  words("schön", codes=CODES).save(str(tmp_path))
  (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in [*types.SPECIALS, "schön"]), "latin-1")
  with pytest.raises(ValueError, match=r"vocab.txt is not UTF-8 \(byte 35\); restore it, or convert it with iconv"):
    vocab_lib.load(str(tmp_path))
  (tmp_path / "counts").write_text("a 9\nschön 7\n", "latin-1")
  with pytest.raises(ValueError, match=r"counts, line 2: not UTF-8 \(byte 4 is 0xf6\); convert it first"):
    learn.read_counts(str(tmp_path / "counts"))


def test_normalization_that_changes_a_line_is_seen():
  lines = [*TEXT, "Ｆull！ 10² …"] * 2
  loses = learn.pieces(lines, 33, character_coverage=1.0)
  keeps = learn.pieces(lines, 33, character_coverage=1.0, normalization="identity")
  assert loses.changes("10²") and loses.decode(loses.encode("10²")) == "102"
  assert not keeps.changes("Ｆull！ 10² …") and keeps.decode(keeps.encode("Ｆull！ 10² …")) == "Ｆull！ 10² …"
  assert not any(vocab.changes("  a  low house ") for vocab in (loses, keeps, words("a")))  # Not white space.


def test_bytes_in_place_of_the_unknown():
  vocab = learn.pieces(TEXT, 280, byte_fallback=True)
  assert vocab.decode(vocab.encode("a Łódź ☃ house")) == "a Łódź ☃ house"
  assert types.UNK not in vocab.encode("日本 \U0001f600 \0")
  assert vocab.has_mask and len(vocab) == 280


def test_refusals(tmp_path):
  with pytest.raises(ValueError, match="must begin with <pad> <eos> <unk> <bos> <mask>, one per.* 'the a'"):
    vocab_lib.WordList(["the", "a"])
  with pytest.raises(ValueError, match="has the token 'a' twice"):
    words("a", "b", "a")
  with pytest.raises(FileNotFoundError, match="No vocab.model or vocab.txt .* data_prep/prepare.py"):
    vocab_lib.load(str(tmp_path))


def test_refuses_a_model_with_other_reserved_ids():
  model = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(TEXT), model_writer=model, vocab_size=24, minloglevel=2)
  with pytest.raises(ValueError, match=r"pad, eos, unk, bos at 0, 1, 2, 3; it has them at \(-1, 2, 0, 1\)"):
    vocab_lib.Pieces(model.getvalue())


@pytest.mark.parametrize("module, make", [
    ("subword_nmt", lambda: subwords.bpe(CODES)),
    ("sentencepiece", lambda: vocab_lib.Pieces(b"")),
])
def test_a_missing_library_is_named(module, make, monkeypatch):
  monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(ImportError, match=f"pip install {module.replace('_', '-')}"):
    make()
