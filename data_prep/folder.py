"""From options to a data folder: survey the text, get the vocabulary, encode, say what was done."""
import collections
import dataclasses
import os

import tensorflow as tf
import tqdm

from data_prep import encode
from data_prep import learn
from data_prep import text
from tf_nar.data import corpus
from tf_nar.data import vocab

TOKENIZERS = ("sentencepiece", "words", "bpe")


@dataclasses.dataclass(frozen=True)
class Options:
  """What `prepare.py` takes; its flags say what each is."""

  source: tuple
  target: tuple
  valid_source: str
  valid_target: str
  out: str
  tokenizer: str = "sentencepiece"
  vocab_size: int = 32_000
  character_coverage: float = 0.9995
  learn_lines: int = 1_000_000
  operations: int = 10_000
  vocabulary_threshold: int = 0
  vocab: str | None = None
  minimum_count: int = 1
  reuse_vocab: str | None = None
  max_length: int = 256
  max_ratio: float = 3.0
  shards: int = 4
  processes: int = 1


def prepare(options):
  """Makes the data folder `options.out`.

  Args:
    options: `Options`.

  Returns:
    Its `corpus.Manifest`.

  Raises:
    FileExistsError, FileNotFoundError, ValueError: for text or options that cannot be used, each saying why.
  """
  if options.tokenizer == "words" and not (options.vocab or options.reuse_vocab):
    raise ValueError("--tokenizer=words needs --vocab, a file of `token count` lines, or --reuse_vocab.")
  with corpus.building(options.out) as folder:
    found = text.survey(options.source, options.target)
    valid = text.survey([options.valid_source], [options.valid_target])
    words = _vocabulary(options, found.pairs)
    words.save(folder)
    splits = {"train": _train(options, found, folder), "valid": _valid(options, valid, words, folder)}
    manifest = corpus.Manifest(words.tokenization, words.tokenized, len(words), words.sha256, splits)
    corpus.write(folder, manifest)
  return manifest


def _vocabulary(options, count):
  if options.reuse_vocab:
    return vocab.load(options.reuse_vocab)
  if options.tokenizer == "words":
    return vocab.read_counts(options.vocab, options.minimum_count, mask=True)
  pairs = _watched(text.pairs(options.source, options.target), count, "read")
  if options.tokenizer == "bpe":
    return learn.merges((line for pair in pairs for line in pair), options.operations,
                        options.vocabulary_threshold, options.minimum_count)
  step = -(-count // options.learn_lines) if options.learn_lines else 1
  spread = (line for number, pair in enumerate(pairs) if number % step == 0 for line in pair)
  return learn.pieces(spread, options.vocab_size, options.character_coverage)


def _train(options, found, folder):
  pairs = text.pairs(options.source, options.target)
  limits = encode.Limits(options.max_length, options.max_ratio)
  dropped = collections.Counter()
  with corpus.Writer(folder, options.shards) as writer, _bar(found.pairs, "encode") as bar:
    for part in encode.encode(pairs, folder, limits, options.processes):
      for pair in part.pairs:
        writer.add(*pair)
      dropped += part.dropped
      bar.update(part.lines)
  return writer.split(dict(sorted(dropped.items())), found.inputs)


def _valid(options, found, words, folder):
  lengths, tokens = collections.Counter(), [0, 0]
  with tf.io.gfile.GFile(os.path.join(folder, corpus.SOURCE), "wb") as sources, \
       tf.io.gfile.GFile(os.path.join(folder, corpus.TARGET), "wb") as targets:
    for source, target in text.pairs([options.valid_source], [options.valid_target]):
      both = [len(words.encode(line)) + 1 for line in (source, target)]
      tokens = [total + length for total, length in zip(tokens, both, strict=True)]
      lengths[max(both)] += 1
      sources.write(f"{source}\n".encode())
      # BLEU counts whole words: what is given in parts is joined.
      targets.write(f"{vocab.join(target) if words.tokenized else target}\n".encode())
  return corpus.Split(found.pairs, *tokens, dict(sorted(lengths.items())), inputs=tuple(found.inputs))


def _bar(total, what):
  return tqdm.tqdm(total=total, desc=what, unit="pair", unit_scale=True, disable=None)


def _watched(pairs, total, what):
  with _bar(total, what) as bar:
    for pair in pairs:
      yield pair
      bar.update()


def summary(manifest, out):
  """Returns what a person wants to know of a new data folder, and what to do next."""
  train, valid = manifest.splits["train"], manifest.splits["valid"]
  dropped = ", ".join(f"{count} {why}" for why, count in train.dropped.items()) or "none"
  return "\n".join([
      f"{out}: {train.pairs} training pairs, {valid.pairs} for validation, {manifest.vocabulary_size} words.",
      f"Tokens a pair: {train.source_tokens / train.pairs:.1f} source, "
      f"{train.target_tokens / train.pairs:.1f} target; the longest side has {max(train.lengths)}.",
      f"Dropped: {dropped}.",
      f"Next: python bin/train.py --config=configs/... --data_dir={out} --workdir=runs/...",
  ])
