import pytest

from tf_nar.data import words


@pytest.mark.parametrize("tokens, tokenized, expected", [
  ("a b@@ c d", True, [0, 1, 1, 2]),
  ("b@@ a@@ c @@ x", True, [0, 0, 0, 1, 2]),
  ("\u2581a \u2581b c \u2581d", False, [0, 1, 1, 2]),
  ("a b \u2581c", False, [0, 0, 1]),
  ("\u2581a \u2581 \U0001f600 \u2581 \u2581b", False, [0, 1, 1, 2, 2]),
  ("", True, []),
])
def test_numbers(tokens, tokenized, expected):
  assert words.numbers(tokens.split(" ") if tokens else [], tokenized) == expected
