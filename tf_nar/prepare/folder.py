"""Makes a data folder: checks the text, learns or loads the vocabulary, encodes the text and summarises the result."""
import collections
import contextlib
import dataclasses
import os
from typing import NamedTuple

from absl import logging

from tf_nar import display
from tf_nar import pretrained
from tf_nar.data import corpus
from tf_nar.data import engine as engine_lib
from tf_nar.data import language
from tf_nar.data import text
from tf_nar.data import vocab
from tf_nar.prepare import bitext
from tf_nar.prepare import encode
from tf_nar.prepare import learn
from tf_nar.prepare import mixing
from tf_nar.prepare import options as options_lib

MOST_UNKNOWN = 0.9  # Share of UNK tokens above which the vocabulary is assumed to be of another text.
# ODD lets a part of a word stand twice in a row if it does so this often, and in this share of its occurrences.
LEAST_REPEATS, SHARE_OF_REPEATS = 5, 0.05


class Made(NamedTuple):
  """The result of `prepare`."""

  manifest: corpus.Manifest
  vocab: object
  guessed: bool  # Whether the BLEU tokeniser of the target language was guessed by its script.
  weights: tuple  # The weight of a pair of each source file.


def prepare(options: options_lib.Options) -> Made:
  """Makes the data folder `options.out`; input that can be read only once, such as a pipe, is copied first.

  Args:
    options: `options.Options`.

  Returns:
    A `Made`.

  Raises:
    FileExistsError, FileNotFoundError, ValueError: for text or options that cannot be used.
  """
  if options.tokenizer == "words" and not (options.vocab or options.reuse_vocab):
    raise ValueError("--tokenizer=words needs --vocab, a file of `token count` lines, or --reuse_vocab.")
  _check_separate(options)
  if options.bleu_tokenize != options_lib.AUTO:
    language.check(options.bleu_tokenize)
  given = *options.source, *options.target, options.valid_source, options.valid_target
  if options.runner:
    engine_lib.check(_engine(options), *options.source, *options.target, options.out)
  with corpus.building(options.out) as folder, text.kept(*given) as paths:
    count = len(options.source)
    options = dataclasses.replace(options, source=tuple(paths[:count]), target=tuple(paths[count:-2]),
                                  valid_source=paths[-2], valid_target=paths[-1])
    found = bitext.survey(options.source, options.target, options.deduplicate)
    valid = bitext.survey([options.valid_source], [options.valid_target])
    weights = mixing.weights(found.files, _numbers(options.weights), options.temperature)
    words = _vocabulary(options, found.pairs)
    guessed = _measured(options, words)
    words.save(folder)
    with text.writing(options.dropped) if options.dropped else contextlib.nullcontext() as tell:
      train, repeats = _train(options, found, weights, folder, tell)
    if not options.reuse_vocab:
      words.repeats = repeats
      words.save(folder)
    splits = {"train": train, "valid": _valid(options, valid, words, folder)}
    manifest = corpus.Manifest(words.tokenization, words.tokenized, len(words), words.sha256, splits)
    _check_known(manifest, options)
    corpus.write(folder, manifest)
  return Made(manifest, words, guessed, weights.values)


def _numbers(weights):
  try:
    return [float(weight) for weight in weights]
  except ValueError:
    raise ValueError(f"--weights must be numbers, as 2,1; got {','.join(weights)}.") from None


def _check_separate(options):
  if options.reuse_vocab and (options.separate_vocab or options.source_vocab):
    raise ValueError("--reuse_vocab takes one vocabulary or two, as that folder has; leave out --separate_vocab and "
                     "--source_vocab.")
  if options.source_vocab and options.tokenizer != "words":
    raise ValueError(f"--source_vocab is for --tokenizer=words; --tokenizer={options.tokenizer} learns a separate "
                     "source vocabulary by --separate_vocab.")
  if options.separate_vocab and options.tokenizer == "words" and not options.source_vocab:
    raise ValueError("--separate_vocab with --tokenizer=words needs --source_vocab, the list of the source language.")


def _vocabulary(options, count):
  if options.reuse_vocab:
    return vocab.load(pretrained.find(options.reuse_vocab))
  if options.tokenizer == "words":
    read = lambda path: learn.read_counts(path, options.minimum_count, mask=True)
    found, source = read(options.vocab), read(options.source_vocab) if options.source_vocab else None
  elif options.separate_vocab:
    source, found = (_learnt(options, count, [side]) for side in (0, 1))
  else:
    source, found = None, _learnt(options, count, [0, 1])
  found.separate_source = source
  return found


def _learnt(options, count, sides):
  """Returns the vocabulary of the source language, side 0, of the target language, 1, or of both."""
  pairs = _watched(bitext.pairs(options.source, options.target), count, "read")
  if options.tokenizer == "bpe":
    return learn.merges((pair[side] for pair in pairs for side in sides), options.operations,
                        options.vocabulary_threshold, options.minimum_count)
  step = -(-count // options.learn_lines) if options.learn_lines else 1
  spread = (pair[side] for number, pair in enumerate(pairs) if number % step == 0 for side in sides)
  return learn.pieces(spread, options.vocab_size, options.character_coverage, options.normalization,
                      options.byte_fallback)


def _measured(options, words):
  """Sets the BLEU tokeniser of the vocabulary, and returns whether it was guessed by the script of the text."""
  told = options.bleu_tokenize != options_lib.AUTO
  guess = language.guess(text.read(options.target[0], warn=False))
  if not guess.spaced and words.tokenized:
    logging.warning("%s has hardly any spaces, but --tokenizer=%s expects words separated by spaces; segment it into "
                    "words first, or use --tokenizer=sentencepiece.", text.name(options.target[0]), options.tokenizer)
  guessed = not (told or words.tokenized or options.reuse_vocab)
  if told or guessed:
    words.bleu_tokenize = options.bleu_tokenize if told else guess.tokenizer
  language.check(words.bleu_tokenize)
  if not guess.spaced and words.bleu_tokenize == language.DEFAULT:
    logging.warning("%s has hardly any spaces, so BLEU with tok:%s would count a sentence as one word; give another "
                    "tokeniser, as --bleu_tokenize=char.", text.name(options.target[0]), language.DEFAULT)
  return guessed


def _train(options, found, weights, folder, tell):
  """Writes the training pairs; returns their `Split`, and the tokens that the targets often repeat at once.

  `tell` writes a line for each pair that is left out, if it is not None.
  """
  dropped, tokens, repeats = collections.Counter(), collections.Counter(), collections.Counter()
  unknown = changed = 0
  with corpus.Writer(folder, options.shards) as writer, _bar(found.pairs, "encode") as bar:
    for part in _encoded(options, found, weights, folder):
      for pair in part.pairs:
        writer.add(*pair)
      dropped.update(why for _, why in part.dropped)
      for number, why in part.dropped if tell else ():
        tell(f"{number + 1}\t{why}")
      unknown += part.unknown
      changed += part.changed
      tokens.update(part.tokens)
      repeats.update(part.repeats)
      bar.update(part.lines)
  often = [each for each, count in repeats.items() if count >= max(LEAST_REPEATS, SHARE_OF_REPEATS * tokens[each])]
  return writer.split(dict(sorted(dropped.items())), found.inputs, unknown=unknown, changed=changed), sorted(often)


def _encoded(options, found, weights, folder):
  """Yields the `encode.Encoded` of the training pairs, a range of lines at a time."""
  limits = encode.Limits(options.max_length, options.max_ratio, found.doubles, weights)
  if not options.runner:
    return encode.encode(bitext.pairs(options.source, options.target), folder, limits, options.processes)
  from tf_nar.prepare import engine  # It imports Apache Beam.
  return engine.encode(found.ranges, folder, limits, _engine(options))


def _engine(options):
  return engine_lib.Engine(options.runner, options.runner_options)


def _check_known(manifest, options):
  split = manifest.splits["train"]
  words = split.source_tokens + split.target_tokens - 2 * split.pairs
  if split.unknown > MOST_UNKNOWN * words:
    whose = options.reuse_vocab or options.vocab or "the vocabulary"
    raise ValueError(f"{100 * split.unknown / words:.0f} % of the tokens are unknown to {whose}, which must be of "
                     "another text. Give the vocabulary of this text, or leave it out to learn one.")


def _valid(options, found, words, folder):
  lengths, tokens = collections.Counter(), [0, 0]
  with text.writing(os.path.join(folder, corpus.SOURCE)) as write_source, \
       text.writing(os.path.join(folder, corpus.TARGET)) as write_target:
    for source, target in bitext.pairs([options.valid_source], [options.valid_target]):
      both = [len(words.source.encode(source)) + 1, len(words.encode(target)) + 1]
      tokens = [total + length for total, length in zip(tokens, both, strict=True)]
      lengths[max(both)] += 1
      write_source(source)
      write_target(target)
  return corpus.Split(found.pairs, *tokens, dict(sorted(lengths.items())), inputs=tuple(found.inputs))


def _bar(total, what):
  return display.bar(what, total, unit="pairs")


def _watched(pairs, total, what):
  with _bar(total, what) as bar:
    for pair in pairs:
      yield pair
      bar.update()


def summary(made: Made, out: str) -> str:
  """Returns the summary of a new data folder that is printed, with the next command."""
  manifest = made.manifest
  train, valid = manifest.splits["train"], manifest.splits["valid"]
  dropped = ", ".join(f"{count} {why}" for why, count in train.dropped.items()) or "none"
  words = train.source_tokens + train.target_tokens - 2 * train.pairs
  lines = [
      f"{out}: {train.pairs} training pairs, {valid.pairs} validation pairs, {made.vocab.size_text} in the "
      "vocabulary.",
      f"Tokens per pair: {train.source_tokens / train.pairs:.1f} source, "
      f"{train.target_tokens / train.pairs:.1f} target; the longest side has {max(train.lengths)}.",
      f"Unknown: {100 * train.unknown / max(words, 1):.2f} % of the tokens of the training pairs.",
      f"Dropped: {dropped}.",
  ]
  if len(set(made.weights)) > 1:
    sources = train.inputs[:len(made.weights)]
    told = [f"{weight:.4g} for {name}" for (name, _), weight in zip(sources, made.weights, strict=True)]
    lines.append(f"Weights: {', '.join(told)}.")
  if not manifest.tokenized:
    lines.append(f"Normalization changes {100 * train.changed / (2 * train.pairs):.1f} % of the lines "
                 "(--normalization=identity changes none).")
  how = "guessed by its script; --bleu_tokenize sets it" if made.guessed else "as requested, or as in the vocabulary"
  lines += [
      f"BLEU tokenises the target language with tok:{made.vocab.bleu_tokenize} ({how}).",
      f"Next: python bin/train.py --config=configs/... --data_dir={out} --workdir=runs/...",
  ]
  return "\n".join(lines)
