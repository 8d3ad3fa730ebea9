"""Translates stdin, line by line, with the CTranslate2 model of this folder; `Translator` does so for a program.

  python translate.py < text

Needs the package ctranslate2 and, depending on the vocabulary, subword-nmt or sentencepiece; nothing else. The search
options are those of metadata.json; CTranslate2 divides log p by |y|^alpha, where the model's own search divides by
((5 + |y|) / 6)^alpha.
"""
import json
import math
import os
import sys

import ctranslate2


class Translator:
  """Translates raw text to raw text, or tokenised to tokenised text if the vocabulary is one of tokenised text."""

  def __init__(self, folder, **options):
    """Args: folder: that of model.bin; options: of `ctranslate2.Translator`, such as compute_type or intra_threads."""
    with open(os.path.join(folder, "metadata.json"), encoding="utf-8") as file:
      self.about = json.load(file)
    self.model = ctranslate2.Translator(folder, **options)
    self._cut, self._join = _tokenizer(folder, self.about["tokenization"])

  def __call__(self, lines, **options):
    """Returns the translation of each line, blank for a blank line; options: of `translate_batch`, e.g. beam_size."""
    cut = [self._cut(line) for line in lines]
    nonempty = [tokens for tokens in cut if tokens]
    search, longest = self.about["search"], self.about["max_length"]
    source = max(map(len, nonempty), default=0) + 1  # + 1 for EOS.
    limit = math.ceil(source * (search["length_ratio"] or 1)) + search["extra_length"]
    given = {"beam_size": search["beam"], "length_penalty": search["alpha"], "max_input_length": longest,
             "max_decoding_length": min(limit, longest), "min_decoding_length": 0}
    found = iter(self.model.translate_batch(nonempty, **given | options))
    return [self._join(next(found).hypotheses[0]) if tokens else "" for tokens in cut]


def _tokenizer(folder, kind):
  """Returns two functions: from a line to the list of its tokens, and from tokens to a line."""
  path = lambda name: os.path.join(folder, name)
  first = lambda *names: next(filter(os.path.exists, map(path, names)))  # A separate source vocabulary if there is one.
  if kind == "sentencepiece":
    import sentencepiece
    source, target = (sentencepiece.SentencePieceProcessor(model_file=file) for file in (
      first("source.vocab.model", "vocab.model"), path("vocab.model")))
    return lambda line: source.encode(line, out_type=str), lambda tokens: target.decode(_said(tokens))
  words = lambda line: [word for word in line.split(" ") if word]
  join = lambda tokens: "".join(map(_surface, _said(tokens))).removesuffix(" ")
  if kind == "words":
    return words, join
  from subword_nmt import apply_bpe
  with open(first("source_vocabulary.json", "shared_vocabulary.json"), encoding="utf-8") as file:
    known = set(json.load(file))
  with open(first("source.bpe.codes", "bpe.codes"), encoding="utf-8") as file:
    merges = apply_bpe.BPE(file, vocab=known)
  return lambda line: merges.segment_tokens(words(line)), join


def _surface(token):
  """Returns the text of a token: a subword that `@@` continues, else a word and a space; `@@` alone is a word."""
  return token.removesuffix("@@") if token.endswith("@@") and token != "@@" else f"{token} "


def _said(tokens):
  """Drops reserved tokens, whose names begin with a space, so that no text contains them."""
  return [token for token in tokens if not token.startswith(" ")]


def main() -> None:
  translate = Translator(os.path.dirname(os.path.abspath(__file__)))
  for line in sys.stdin:
    print(translate([line.rstrip("\n")])[0], flush=True)


if __name__ == "__main__":
  main()
