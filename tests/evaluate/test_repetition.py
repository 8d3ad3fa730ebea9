import pytest

from tf_nar.evaluate import repetition


@pytest.mark.parametrize("sentences, share", [
    ([[5, 5, 6, 5]], 1 / 4),
    ([["so", "so", "so"], ["so"]], 2 / 4),  # Not across sentences.
    ([[5], [5]], 0.0),
    ([[]], 0.0),
    ([], 0.0),
])
def test_repetition(sentences, share):
  assert repetition.repetition(sentences) == share


@pytest.mark.parametrize("tokens, once", [
    ([], []),
    ([5, 5, 6, 5], [5, 6, 5]),
    ([7, 7, 7], [7]),
    ([1, 2, 1, 2], [1, 2, 1, 2]),
])
def test_deduplicate(tokens, once):
  assert repetition.deduplicate(tokens) == once
  assert repetition.repetition([once]) == 0


def test_length_ratio_is_of_the_corpus():
  assert repetition.length_ratio([[1], [1, 2, 3]], [[1, 2], [1, 2, 3, 4, 5, 6]]) == 0.5


def test_text_is_not_counted_by_letters():
  with pytest.raises(ValueError, match="lists of words or ids; got a string, 'all good'; split it"):
    repetition.repetition(["all good"])


def test_empty_references_are_refused():
  with pytest.raises(ValueError, match="references have no token"):
    repetition.length_ratio([[1]], [[]])
