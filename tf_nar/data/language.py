"""What depends on how a language is written: into which words its text is cut to be measured.

BLEU counts words. Chinese, Japanese, Thai and others are written without spaces between them, so a whole sentence would
be one word and every BLEU 0; sacrebleu has tokenisers for them.
"""
import collections
import functools
import importlib.util
import itertools
import unicodedata
from typing import NamedTuple

NONE = "none"  # Of text that is tokenised already.
DEFAULT = "13a"  # Of languages that are written with spaces.
# Tokeniser of sacrebleu -> what it needs beside it, (module, what to install).
TOKENIZERS = {
  NONE: None, DEFAULT: None, "intl": None, "char": None, "zh": None,
  "ja-mecab": ("MeCab", "sacrebleu[ja]"), "ko-mecab": ("mecab_ko", "sacrebleu[ko]"),
}
# The first word of the name of a letter in Unicode -> how text is cut in which it prevails.
_SCRIPTS = {"CJK": "zh", "HIRAGANA": "ja-mecab", "KATAKANA": "ja-mecab", "HANGUL": "ko-mecab",
            **dict.fromkeys(("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"), "char")}
_LINES = 1_000  # Looked at, of a text.
_KANA = 0.05  # Share of the letters from which on it is Japanese and not Chinese.
_LONG = 30  # Characters a word, on average, from which on a text has hardly any spaces.


class Guess(NamedTuple):
  """What a text seems to want."""

  tokenizer: str
  spaced: bool  # Whether it has spaces, as text that is cut at spaces must.


def guess(lines):
  """Looks at the first lines of a text, strings."""
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


def check(tokenizer):
  """Refuses a tokeniser that there is not, or that lacks its package.

  Raises:
    ValueError, ImportError: for that.
  """
  if tokenizer not in TOKENIZERS:
    raise ValueError(f"--bleu_tokenize is one of {', '.join(TOKENIZERS)}; got {tokenizer!r}.")
  needed = TOKENIZERS[tokenizer]
  if needed and importlib.util.find_spec(needed[0]) is None:
    module, package = needed
    raise ImportError(f"BLEU cuts this text with {tokenizer}, which needs {module}: pip install '{package}', or give "
                      "--bleu_tokenize=char, which counts characters.")


def words(line, tokenizer):
  """Returns the words of a line, as BLEU by that tokeniser counts them; at spaces where a language has them."""
  return (line if tokenizer in {NONE, DEFAULT, "intl"} else _cutter(tokenizer)(line)).split()


@functools.cache
def _cutter(tokenizer):
  import sacrebleu  # Only evaluation needs it.
  return sacrebleu.BLEU(tokenize=tokenizer).tokenizer


@functools.cache
def _script(character):
  return _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0].split("-")[0], DEFAULT)
