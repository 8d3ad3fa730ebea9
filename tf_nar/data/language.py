"""Chooses the sacrebleu tokeniser by the script of the target language.

BLEU counts words. Chinese, Japanese, Thai and others are written without spaces between words, so that a whole sentence
would count as one word and BLEU would be 0; sacrebleu has tokenisers for them. Its SentencePiece tokenisers, flores101
and flores200, are for any language.
"""
import collections
import functools
import hashlib
import importlib.util
import itertools
import os
import unicodedata
from typing import Any, Iterable, NamedTuple

NONE = "none"  # For text that is already tokenised.
DEFAULT = "13a"  # For languages that are written with spaces.
# Tokeniser of sacrebleu -> (module that it needs, package to install), or None.
TOKENIZERS = {
  NONE: None, DEFAULT: None, "intl": None, "char": None, "zh": None,
  "ja-mecab": ("MeCab", "sacrebleu[ja]"), "ko-mecab": ("mecab_ko", "sacrebleu[ko]"),
  "flores101": ("sentencepiece", "sentencepiece"), "flores200": ("sentencepiece", "sentencepiece"),
}
SPM = "spm:"  # Begins the name of a tokeniser that is a SentencePiece model; its path follows.
NAMES = f"{', '.join(TOKENIZERS)}, or {SPM}FILE of a SentencePiece model"  # For help and messages.
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


def guess(lines: Iterable[str]) -> Guess:
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


def repeats(part: str) -> bool:
  """Whether a part of a word may well stand twice in a row: digits, and what is written without spaces."""
  return bool(part) and all(each.isnumeric() or _script(each) != DEFAULT for each in part)


def check(tokenizer: str) -> None:
  """Checks that a sacrebleu tokeniser can be used.

  Raises:
    ValueError: for an unknown tokeniser.
    ImportError: if its package is not installed.
    FileNotFoundError: if its SentencePiece model is missing; none is ever downloaded.
  """
  if tokenizer not in TOKENIZERS and not tokenizer.startswith(SPM):
    raise ValueError(f"BLEU's tokeniser is one of {NAMES}; got {tokenizer!r}.")
  needed = TOKENIZERS.get(tokenizer, ("sentencepiece", "sentencepiece"))
  if needed and importlib.util.find_spec(needed[0]) is None:
    module, package = needed
    raise ImportError(f"BLEU tokenises this text with {tokenizer}, which needs {module}: pip install '{package}', or "
                      "choose char in its place, which counts characters.")
  path, url = _model_file(tokenizer)
  if path and not os.path.isfile(path):
    raise FileNotFoundError(f"BLEU's tokeniser {tokenizer} needs the SentencePiece model {path}, which is missing"
                            + (f"; download it from {url} or choose another." if url else "; give another file."))


def _model_file(tokenizer):
  """Returns the path of the SentencePiece model of a tokeniser and where sacrebleu gets it from; "" for none."""
  if tokenizer.startswith(SPM):
    return tokenizer.removeprefix(SPM), ""
  if not tokenizer.startswith("flores"):
    return "", ""
  from sacrebleu.tokenizers import tokenizer_spm
  url = tokenizer_spm.SPM_MODELS[tokenizer]["url"]
  return os.path.join(tokenizer_spm.SACREBLEU_DIR, "models", os.path.basename(url)), url


class _Pieces:
  """A tokeniser for sacrebleu that is a SentencePiece model file."""

  def __init__(self, path):
    import sentencepiece
    with open(path, "rb") as file:
      model = file.read()
    self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    self._signature = f"spm-{hashlib.sha256(model).hexdigest()[:8]}"

  def __call__(self, line):
    return " ".join(self._processor.encode(line, out_type=str))

  def signature(self):
    return self._signature


def bleu(tokenizer: str, **options: Any) -> Any:
  """Returns sacrebleu's BLEU with a tokeniser; the options are sacrebleu's. Raises as `check`."""
  import sacrebleu  # Imported here, as only evaluation needs it.
  check(tokenizer)
  own = tokenizer.startswith(SPM)
  metric = sacrebleu.BLEU(tokenize=NONE if own else tokenizer, force=own or tokenizer == NONE, **options)
  if own:
    metric.tokenizer = _Pieces(_model_file(tokenizer)[0])
    metric.tokenizer_signature = metric.tokenizer.signature()
  return metric


def words(line: str, tokenizer: str) -> list[str]:
  """Returns the words of a line as the tokeniser splits it; at spaces if the language is written with spaces."""
  return (line if is_spaced(tokenizer) else _cutter(tokenizer)(line)).split()


def is_spaced(tokenizer: str) -> bool:
  """Whether a tokeniser is for languages that are written with spaces between words."""
  return tokenizer in {NONE, DEFAULT, "intl"}


@functools.cache
def _cutter(tokenizer):
  return bleu(tokenizer).tokenizer


@functools.cache
def _script(character):
  return _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0].split("-")[0], DEFAULT)
