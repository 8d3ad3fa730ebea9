"""The sentences that are translated."""
import pytest

from tf_nar.latency import texts


def test_lines_of_a_file(tmp_path):
  (tmp_path / "text").write_text("a b c\n\n" + "".join(" ".join("abcdefghij"[:n]) + "\n" for n in (9, 10, 4)))
  found = texts.of_file(f"{tmp_path}/text", count=3, lengths=[10, 3, 40], each=1)
  assert len(found.lines) == 3 and "" not in found.lines
  assert found.by_length == {10: ["a b c d e f g h i j"], 3: ["a b c"]}  # Nothing is near 40.
  assert len(texts.of_file(f"{tmp_path}/text", count=9, lengths=[10], each=9).by_length[10]) == 2


def test_made_up_lines_have_the_words_asked_for():
  vocab = texts.vocabulary(30)
  found = texts.made_up(vocab, words=7, count=4, lengths=[2, 5], each=3)
  assert len(vocab) == 30 and [len(line.split()) for line in found.lines] == [7] * 4
  assert {length: [len(line.split()) for line in lines] for length, lines in found.by_length.items()} == {
    2: [2] * 3, 5: [5] * 3}
  assert all(min(vocab.encode(line)) >= 5 for line in found.lines)


def test_no_sentence(tmp_path):
  (tmp_path / "text").write_text("\n \n")
  with pytest.raises(ValueError, match="Expected a sentence a line in --text, got none in .*text; give another file"):
    texts.of_file(f"{tmp_path}/text", count=1, lengths=[], each=1)
