"""Texts and paths as they occur in practice."""
import gzip
import os
import pathlib
import threading
from typing import NamedTuple

import pytest

from tf_nar import types
from tf_nar.data import vocab as vocab_lib

COUNTS = [*"abcdefgh", "@@", "a@@", "▁", "é"]
VOCAB = vocab_lib.WordList([*types.SPECIALS, *COUNTS])


class Good(NamedTuple):
  """A text that every program can read."""

  data: bytes
  said: list  # The model's translations: up to 5 words of each line, backwards.
  words: list  # The number of words of each line.
  warns: str = ""


def lines(text, said, words, **more):
  return Good(text.encode(), said, words, **more)


PLAIN = lines("a b\nc\n", ["b a", "c"], [2, 1])
GOOD = {
  "no line": lines("", [], []),
  "a line without its end": lines("a b", ["b a"], [2]),
  "a blank line": lines("\n", [""], [0]),
  "blanks": lines("  \n a  b \n\n", ["", "b a", ""], [0, 2, 0]),
  "a word of 100,000 characters": lines("x" * 100_000 + "\n", ["<unk>"], [1]),
  "100,000 characters in words": lines("a " * 50_000 + "\n", ["a a a a a"], [50_000],
                                       warns="1 of 1 lines were cut to 6 tokens."),
  "10,000 lines": lines("a b\n" * 10_000, ["b a"] * 10_000, [2] * 10_000),
  "NUL": lines("a\0 b\n\0\n", ["b <unk>", "<unk>"], [2, 1]),
  "literal pieces": lines("@@ b\na@@ b @@\n▁ <unk> </s>\n<eos> <pad> a\n",
                          ["b @@", "@@ b a", "<unk> <unk> ▁", "a <unk> <unk>"], [2, 3, 3, 3]),
  "separators of Unicode": lines("a\u2028 b\u0085\n\u00a0 c\x0c\n", ["<unk> <unk>", "<unk> <unk>"], [2, 2]),
  "CRLF": lines("a b\r\n\r\nc\r\n", ["b a", "", "c"], [2, 0, 1]),
  "a CR inside": lines("a\rb\nc\n", ["b a", "c"], [2, 1], warns="1 lines have a carriage return inside"),
  "a mark": lines("\ufeffa b\né\n", ["b a", "é"], [2, 1]),
  "packed": Good(gzip.compress(PLAIN.data, mtime=0), PLAIN.said, PLAIN.words),
  "two archives in one": Good(
    gzip.compress(b"a b\n", mtime=0) + gzip.compress(b"c\n", mtime=0), PLAIN.said, PLAIN.words),
}
BAD = {
  "Latin-1": ("a\nsch\xf6n\n".encode("latin-1"), r"{}, line 2: not UTF-8 \(byte 4 is 0xf6\); convert it first"),
  "surrogates": ("a \ud800\n".encode("utf-8", "surrogatepass"), r"{}, line 1: not UTF-8 \(byte 3 is 0xed\)"),
  "UTF-16": ("a b\n".encode("utf-16"), "{} must be UTF-8, but is UTF-16; convert it: iconv"),
  "a cut archive": (
    gzip.compress(b"a b\n" * 999, mtime=0)[:40], r"{} is a broken .gz archive \(.*\); fetch or pack it again"),
}
NAMES = ["with space", "run[1]", "a*b?", "quo'te", 'dou"ble', "üml 日本", "-dash", "in.gz.txt"]


def fed(path, data):
  """Makes a FIFO and writes to it as another program would."""
  os.mkfifo(path)
  threading.Thread(target=pathlib.Path(path).write_bytes, args=[data], daemon=True).start()


def listed(folder):
  """Returns the paths of all files and links below a folder."""
  return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())


def refused(program, *arguments, **more):
  """Calls a program that fails; returns its only line of output."""
  with pytest.raises(SystemExit) as exit:
    program(*arguments, **more)
  assert isinstance(exit.value.code, str) and "\n" not in exit.value.code  # Python prints it and exits with 1.
  return exit.value.code
