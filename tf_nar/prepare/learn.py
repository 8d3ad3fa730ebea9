"""Learns a vocabulary, of one language or of both, from text. Equal text gives equal bytes."""
import collections
import contextlib
import io
import itertools
import re
import sys
from typing import Iterable

from absl import logging

from tf_nar import types
from tf_nar.data import language
from tf_nar.data import subwords
from tf_nar.data import text
from tf_nar.data import vocab

LONGEST = 4192  # Largest number of bytes of a line that SentencePiece learns from; longer lines are left out.


def pieces(sentences: Iterable[str], size: int, character_coverage: float = 0.9995, normalization: str = "nmt_nfkc",
           byte_fallback: bool = False) -> vocab.Pieces:
  """Learns a SentencePiece unigram model (Kudo, arXiv:1804.10959).

  Args:
    sentences: iterator of lines; all are held in memory during learning.
    size: number of pieces, the reserved ones included.
    character_coverage: share of the characters of the text that get a piece; the rest becomes UNK.
    normalization: one of `options.NORMALIZATIONS`; "identity" keeps every character as it is.
    byte_fallback: whether the rest becomes its bytes instead of UNK; bytes have 256 pieces.

  Returns:
    `vocab.Pieces`.

  Raises:
    ValueError: if the text is too small for so many pieces, or has more characters than pieces.
  """
  import sentencepiece
  model = io.BytesIO()
  pad, eos, unk, bos, mask = types.SPECIALS
  try:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_short(sentences), model_writer=model, model_type="unigram", vocab_size=size,
        character_coverage=character_coverage, minloglevel=2, max_sentence_length=LONGEST,
        normalization_rule_name=normalization, byte_fallback=byte_fallback,
        pad_id=types.PAD, eos_id=types.EOS, unk_id=types.UNK, bos_id=types.BOS,
        pad_piece=pad, eos_piece=eos, unk_piece=unk, bos_piece=bos, unk_surface=unk,
        # A control symbol gets the next id, 4, and is never matched in a text that happens to contain it.
        control_symbols=[mask])
  except RuntimeError as error:
    raise ValueError(_explained(str(error), size)) from error
  return vocab.Pieces(model.getvalue(), language.DEFAULT)


def _short(sentences):
  """Yields the lines that SentencePiece learns from, and warns of the number of longer ones.

  Raises:
    ValueError: if no line is short enough.
  """
  kept = left = 0
  for sentence in sentences:
    if len(sentence.encode()) > LONGEST:
      left += 1
    else:
      kept += 1
      yield sentence
  if left and not kept:
    raise ValueError(f"All {left} lines have more than {LONGEST} bytes, too many to learn pieces from; give one "
                     "sentence per line.")
  if left:
    logging.warning("%d lines have more than %d bytes: no pieces were learned from them.", left, LONGEST)


def merges(sentences: Iterable[str], operations: int, threshold: int = 0, minimum: int = 1) -> vocab.WordList:
  """Learns BPE merges (Sennrich et al., arXiv:1508.07909) with subword-nmt.

  Args:
    sentences: iterator of lines with words separated by spaces; every distinct word is held in memory.
    operations: largest number of merges.
    threshold: subwords with a lower count are split again.
    minimum: subwords with a lower count after that are left out of the vocabulary and become UNK.

  Returns:
    `vocab.WordList` of the subwords of this text, the most frequent first.

  Raises:
    ValueError: if there is nothing to merge.
  """
  words = collections.Counter(word for line in sentences for word in line.split(" ") if word)
  if all(len(word) == 1 for word in words):
    raise ValueError("The text has no word of two characters, so no BPE merge can be learned. "
                     "Give text with spaces between words.")
  if not any(_repeats(words)):
    raise ValueError("No pair of characters occurs twice in the text, so no BPE merge can be learned; give more text, "
                     "or --tokenizer=sentencepiece.")
  codes = _codes(words, operations)
  units = _count_units(words, subwords.bpe(codes))
  if threshold > 1:
    frequent = {unit for unit, count in units.items() if count >= threshold}
    units = _count_units(words, subwords.bpe(codes, frequent))
  kept = [unit for unit, count in sorted(units.items(), key=lambda item: (-item[1], item[0]))
          if count >= minimum and unit not in types.SPECIALS]
  return vocab.WordList([*types.SPECIALS, *kept], codes, language.NONE)


def _repeats(words):
  """Yields True at every pair of adjacent symbols in a word that has occurred before."""
  seen = set()
  for word, count in words.items():
    for pair in itertools.pairwise([*word[:-1], f"{word[-1]}</w>"]):
      if count > 1 or pair in seen:
        yield True
      seen.add(pair)


def _codes(words, operations):
  from subword_nmt import learn_bpe
  counts = io.StringIO("".join(f"{word} {count}\n" for word, count in sorted(words.items())))
  codes = io.StringIO()
  # learn_bpe draws a progress bar on stderr, which would clutter a log.
  quiet = contextlib.nullcontext() if text.is_terminal(sys.stderr) else contextlib.redirect_stderr(io.StringIO())
  with quiet:
    learn_bpe.learn_bpe(counts, codes, operations, is_dict=True)
  return codes.getvalue()


def _count_units(words, bpe):
  units = collections.Counter()
  for word, count in words.items():
    for unit in bpe.segment_tokens([word]):
      units[unit] += count
  return units


def _explained(complaint, size):
  if found := re.search(r"value <= (\d+)", complaint):
    return f"--vocab_size={size} is too large for this text; give {found[1]} or less."
  if found := re.search(r"smaller than required_chars.*?(\d+) vs (\d+)", complaint, re.DOTALL):
    return (f"--vocab_size={size} is too small: the characters of the text alone need {found[2]} pieces. "
            "Raise it or lower --character_coverage.")
  return f"SentencePiece could not learn {size} pieces: {' '.join(complaint.split())}"


def read_counts(path: str, minimum: int = 5, mask: bool = False) -> vocab.WordList:
  """Reads a list of `token count` lines, as subword-nmt get-vocab and the original NAT-EM program write it.

  Args:
    path: the file.
    minimum: tokens with a lower count are left out; the original program uses 5.
    mask: whether `<mask>` is added after the four reserved tokens of the original.

  Returns:
    A `WordList` in the order of the file.

  Raises:
    ValueError: for a line of another form.
  """
  reserved = types.SPECIALS[:5 if mask else 4]
  tokens = list(reserved)
  for number, line in enumerate(text.read(path), 1):
    token, _, count = line.rpartition(" ")
    if not token or " " in token or not count.isdecimal():
      raise ValueError(f"{path}:{number}: expected a token, a space and its count; got {line!r}.")
    if int(count) >= minimum and token not in reserved:
      tokens.append(token)
  return vocab.WordList(tokens)
