"""Makes a data folder, which training reads, from parallel text: a vocabulary, records, a manifest.

From raw text, with a SentencePiece vocabulary for both languages:

  python data_prep/prepare.py --source=train.en --target=train.de \\
      --valid_source=valid.en --valid_target=valid.de --out=data/en_de

From text that is tokenised (as by Moses), with joint byte-pair merges, the route of the papers:

  python data_prep/prepare.py --tokenizer=bpe --operations=10000 --source=train.tok.en --target=train.tok.de ...

From text that is tokenised and cut by merges already, with its `token count` list:

  python data_prep/prepare.py --tokenizer=words --vocab=vocab.txt --source=train.bpe.en --target=train.bpe.de ...

Other text for a vocabulary that exists: --reuse_vocab=data/en_de.

Files may be several (a.en,b.en), compressed (.gz) and remote (gs://). The result does not depend on --processes.
"""
import collections
import dataclasses
import os
import sys

import tensorflow as tf
import tqdm
from absl import app, flags

# Run as a program, Python looks beside this file; what it needs is beside its folder.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from data_prep import encode, learn, text
from tf_nar.data import corpus, vocab

TOKENIZERS = ("sentencepiece", "words", "bpe")

SOURCE = flags.DEFINE_list("source", None, "Training text to translate from, one sentence a line.", required=True)
TARGET = flags.DEFINE_list("target", None, "Its translation, line by line, file by file.", required=True)
VALID_SOURCE = flags.DEFINE_string("valid_source", None, "Validation text.", required=True)
VALID_TARGET = flags.DEFINE_string("valid_target", None, "Its translation, the reference of BLEU.", required=True)
OUT = flags.DEFINE_string("out", None, "The data folder to make.", required=True)
TOKENIZER = flags.DEFINE_enum("tokenizer", "sentencepiece", TOKENIZERS, "What the text is and becomes: see above.")
VOCAB_SIZE = flags.DEFINE_integer("vocab_size", 32_000, "sentencepiece: pieces to learn, 5 reserved ones included.")
COVERAGE = flags.DEFINE_float("character_coverage", 0.9995, "sentencepiece: share of characters that get a piece.")
LEARN_LINES = flags.DEFINE_integer("learn_lines", 1_000_000, "sentencepiece: pairs to learn from, evenly spread over "
                                   "the text; they must fit in memory (about 2 kB a pair). 0: all.")
OPERATIONS = flags.DEFINE_integer("operations", 10_000, "bpe: merges to learn.")
THRESHOLD = flags.DEFINE_integer("vocabulary_threshold", 0, "bpe: units seen fewer times are taken apart again.")
VOCAB = flags.DEFINE_string("vocab", None, "words: the file of `token count` lines.")
MINIMUM = flags.DEFINE_integer("minimum_count", 1, "words, bpe: tokens seen fewer times become <unk>; "
                               "the original NAT-EM program has 5.")
REUSE = flags.DEFINE_string("reuse_vocab", None, "A data or run folder whose vocabulary is used; none is learned.")
MAX_LENGTH = flags.DEFINE_integer("max_length", 256, "Pairs with more tokens on a side, EOS included, are dropped.")
MAX_RATIO = flags.DEFINE_float("max_ratio", 3.0, "Pairs are dropped if one side has more than so many times the "
                               "tokens of the other; 0 drops none. The papers on WMT14 and IWSLT14 have 1.5.")
SHARDS = flags.DEFINE_integer("shards", 4, "Record files to write; for a large corpus, 100 MB or so each.")
PROCESSES = flags.DEFINE_integer("processes", 1, "Processes that encode.")


@dataclasses.dataclass(frozen=True)
class Options:
  """The flags, for a call from Python."""

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
    manifest = corpus.Manifest(options.tokenizer, words.tokenized, len(words), words.sha256, splits)
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
      f"Tokens a pair: {train.source_tokens / train.pairs:.1f} source, {train.target_tokens / train.pairs:.1f} target; "
      f"the longest side has {max(train.lengths)}.",
      f"Dropped: {dropped}.",
      f"Next: python bin/train.py --config=configs/... --data_dir={out} --workdir=runs/...",
  ])


def main(argv):
  if len(argv) > 1:
    raise app.UsageError(f"Arguments that no flag takes: {argv[1:]}.")
  given = flags.FLAGS.flag_values_dict()
  options = Options(**{field.name: given[field.name] for field in dataclasses.fields(Options)})
  try:
    manifest = prepare(options)
  except (OSError, ValueError, ImportError) as error:
    sys.exit(f"{error}")
  print(summary(manifest, options.out))


if __name__ == "__main__":
  app.run(main)
