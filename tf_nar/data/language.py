"""Chooses the sacrebleu tokeniser by the script of the target language.

BLEU counts words. Chinese, Japanese, Thai and others are written without spaces between words, so that a whole sentence
would count as one word and BLEU would be 0; sacrebleu has tokenisers for them.
"""
import collections
import functools
import importlib.util
import itertools
import unicodedata
from typing import NamedTuple

NONE = "none"  # For text that is already tokenised.
DEFAULT = "13a"  # For languages that are written with spaces.
# Tokeniser of sacrebleu -> (module that it needs, package to install), or None.
TOKENIZERS = {
  NONE: None, DEFAULT: None, "intl": None, "char": None, "zh": None,
  "ja-mecab": ("MeCab", "sacrebleu[ja]"), "ko-mecab": ("mecab_ko", "sacrebleu[ko]"),
}
# The first word of a letter's Unicode name, which is its script -> tokeniser of text in which the script prevails.
_SCRIPTS = {"CJK": "zh", "HIRAGANA": "ja-mecab", "KATAKANA": "ja-mecab", "HANGUL": "ko-mecab",
            **dict.fromkeys(("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"), "char")}
_LINES = 1_000  # Lines of a text that are examined.
_KANA = 0.05  # Share of kana among the letters above which text is Japanese rather than Chinese.
_LONG = 30  # Mean number of characters between spaces from which a text counts as written without spaces.


class Guess(NamedTuple):
  """The result of examining a text."""

  tokenizer: str  # The sacrebleu tokeniser that suits its script.
  spaced: bool  # Whether words are separated by spaces, as text that is split at spaces must be.


def guess(lines):
  """Returns the `Guess` for a text by its first lines, strings."""
  scripts, characters, words = collections.Counter(), 0, 0
  for line in itertools.islice(lines, _LINES):
    parts = line.split()
    words += len(parts)
    characters += sum(map(len, parts))
    scripts.update(_script(character) for character in line if character.isalpha())
  letters = max(sum(scripts.values()), 1)
  best, count = scripts.most_common(1)[0] if scripts else (DEFAULT, 0)
  if best in {"zh", "ja-mecab"}:
    best = "ja-mecab" if scripts["ja-mecab"] > _KANA * letters else "zh"
  return Guess(best if 2 * count > letters else DEFAULT, characters < _LONG * max(words, 1))


def repeats(part):
  """Whether a part of a word may well stand twice in a row: digits, and what is written without spaces."""
  return bool(part) and all(each.isnumeric() or _script(each) != DEFAULT for each in part)


def check(tokenizer):
  """Checks that a sacrebleu tokeniser can be used.

  Raises:
    ValueError: for an unknown tokeniser.
    ImportError: if its package is not installed.
  """
  if tokenizer not in TOKENIZERS:
    raise ValueError(f"--bleu_tokenize is one of {', '.join(TOKENIZERS)}; got {tokenizer!r}.")
  needed = TOKENIZERS[tokenizer]
  if needed and importlib.util.find_spec(needed[0]) is None:
    module, package = needed
    raise ImportError(f"BLEU tokenises this text with {tokenizer}, which needs {module}: pip install '{package}', or "
                      "choose char in its place, which counts characters.")


def words(line, tokenizer):
  """Returns the words of a line as the tokeniser splits it; at spaces if the language is written with spaces."""
  return (line if is_spaced(tokenizer) else _cutter(tokenizer)(line)).split()


def is_spaced(tokenizer):
  """Whether a tokeniser is for languages that are written with spaces between words."""
  return tokenizer in {NONE, DEFAULT, "intl"}


@functools.cache
def _cutter(tokenizer):
  import sacrebleu  # Imported here, as only evaluation needs it.
  return sacrebleu.BLEU(tokenize=tokenizer).tokenizer


@functools.cache
def _script(character):
  return _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0].split("-")[0], DEFAULT)
