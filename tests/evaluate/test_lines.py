import pytest

from tf_nar import types
from tf_nar.data import text
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import corpus
from tf_nar.evaluate import lines

VOCAB = vocab_lib.WordList([*types.SPECIALS, "a", "b", "c"])
A, B, C = 5, 6, 7


@pytest.fixture
def warnings(monkeypatch):
  said = []
  monkeypatch.setattr(lines.logging, "warning", lambda text, *values: said.append(text % values))
  return said


def test_encode_cuts_what_the_model_does_not_take(warnings):
  text = ["a b", "a b c", "", "c c c c"]
  assert list(lines.encode(text, VOCAB, 3)) == [[A, B, 1], [A, B, 1], [1], [C, C, 1]]
  assert warnings == ["Line 2 has 4 tokens with EOS, but the model takes 3: it is cut, as is every such "
                      "line.", "2 of 4 lines were cut to 3 tokens."]


def test_encode_is_quiet_where_all_fits(warnings):
  assert list(lines.encode(["a b"], VOCAB, 3)) == [[A, B, 1]]
  assert warnings == []


def test_pairs_keep_their_whole_targets(warnings):
  pairs = lines.encode_pairs(iter([("a b c", "c b a"), ("b", "")]), VOCAB, 3)
  assert list(pairs) == [([A, B, 1], [C, B, A, 1]), ([B, 1], [1])]
  assert len(warnings) == 2


FOUND = [corpus.Candidate([A, B, 1], -1.5), corpus.Candidate([C, 1], -2.0)]


@pytest.mark.parametrize("found, options, expected", [
    (FOUND, {}, ["a b"]),
    (FOUND, {"scores": True}, ["a b ||| -1.500000"]),
    (FOUND, {"nbest": 1}, ["3 ||| a b ||| -1.500000"]),
    (FOUND, {"nbest": 9}, ["3 ||| a b ||| -1.500000", "3 ||| c ||| -2.000000"]),
    ([corpus.NOTHING], {}, [""]),
    ([corpus.NOTHING], {"nbest": 2}, ["3 |||  ||| 0.000000"]),
    ([], {}, [""]),
    ([], {"scores": True}, [" ||| -inf"]),
    ([], {"nbest": 2}, []),
])
def test_formatted(found, options, expected):
  assert lines.formatted(3, found, VOCAB, **options) == expected


@pytest.mark.parametrize("options, expected", [
    ({}, ["a b ||| a b <eos> ||| -0.5000 -1.2500 0.0000"]),
    ({"scores": True}, ["a b ||| -1.500000 ||| a b <eos> ||| -0.5000 -1.2500 0.0000"]),
    ({"nbest": 2}, ["3 ||| a b ||| -1.500000 ||| a b <eos> ||| -0.5000 -1.2500 0.0000",
                    "3 ||| c ||| -2.000000 ||| c <eos> ||| -inf -inf"]),
])
def test_formatted_with_scores_of_tokens(options, expected):
  scores = [[-0.5, -1.25, -0.0], [float("-inf")] * 2]
  assert lines.formatted(3, FOUND, VOCAB, of_tokens=scores, **options) == expected
  assert lines.formatted(3, [], VOCAB, of_tokens=[]) == [" |||  ||| "]


def test_paired(tmp_path):
  (tmp_path / "x").write_text("a\nb\n")
  (tmp_path / "y").write_text("c\n\n")
  assert list(lines.paired(*(text.read(str(tmp_path / name)) for name in "xy"))) == [("a", "c"), ("b", "")]


@pytest.mark.parametrize("first, second, message", [
    (4, 2, "Parallel files must have the same number of lines; x has 4 and y has 2"),
    (0, 3, "lines; x has 0 and y has 3"),
])
def test_paired_refuses_other_counts(tmp_path, monkeypatch, first, second, message):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "x").write_text("a\n" * first)
  (tmp_path / "y").write_text("b\n" * second)
  with pytest.raises(ValueError, match=message):
    list(lines.paired(text.read("x"), text.read("y")))
