"""Translates a test set and measures the translations: all that a line of a results table needs."""
from typing import NamedTuple

from tf_nar import types
from tf_nar.evaluate import bleu
from tf_nar.evaluate import corpus
from tf_nar.evaluate import cost
from tf_nar.evaluate import lines
from tf_nar.evaluate import repetition
from tf_nar.evaluate import report


class Measured(NamedTuple):
  hypotheses: list[str]
  rows: list[report.Row]


def measure(search, vocab, sources, references, *, tokens_per_batch, longest, progress=None):
  """Translates `sources` and compares with `references`.

  Args:
    search: maps int32 [B, S] to a `types.Translation`.
    vocab: the run's vocabulary.
    sources: strings, as many as references.
    references: strings; tokenised if the vocabulary is of tokenised text, otherwise as people write.
    tokens_per_batch: padded source places in a group.
    longest: the most tokens that the model takes.
    progress: called with the number of sentences just done.

  Returns:
    A `Measured`.

  Raises:
    ValueError: for different counts, or none.
  """
  if len(sources) != len(references):
    raise ValueError(f"There must be as many sources as references; got {len(sources)} and "
                     f"{len(references)}.")
  meter = cost.Meter(search)
  meter.warm_up()
  ids = list(lines.encode(sources, vocab, longest))
  found = corpus.translate(meter, ids, tokens_per_batch=tokens_per_batch, longest=longest, progress=progress)
  said = [_words(candidates[0].tokens) if candidates else [] for candidates in found]
  hypotheses = [vocab.decode(ids) for ids in said]
  rows = [*quality(hypotheses, said, references, vocab), *_cost(meter, len(sources), tokens_per_batch)]
  return Measured(hypotheses, rows)


def _words(ids):
  return [token for token in ids if token != types.EOS]


def quality(hypotheses, said, references, vocab):
  """Yields the rows that say how good translations are.

  Args:
    hypotheses: strings.
    said: the ids that each of them is the text of, without EOS.
    references: strings.
    vocab: the vocabulary; its `tokenized` says of which kind the strings are.
  """
  kind = "tokenized" if vocab.tokenized else "detokenized"
  once = [repetition.deduplicate(ids) for ids in said]
  once_text = [vocab.decode(ids) for ids in once]
  yield report.Row(f"bleu_{kind}", *bleu.bleu(hypotheses, references, tokenized=vocab.tokenized))
  yield report.Row(f"chrf_{kind}", *bleu.chrf(hypotheses, references))
  value, signature = bleu.bleu(once_text, references, tokenized=vocab.tokenized)
  yield report.Row(f"bleu_{kind}_deduplicated", value, f"{signature}, adjacent equal model tokens said once")
  for name, ids, text, when in (("", said, hypotheses, "as translated"),
                                ("_deduplicated", once, once_text, "adjacent equal model tokens said once")):
    yield report.Row(f"repetition_tokens{name}", repetition.repetition(ids),
                     f"share of model tokens equal to the one before, {when}")
    yield report.Row(f"repetition_words{name}", repetition.repetition([line.split() for line in text]),
                     f"share of words equal to the one before, {when}")
  yield report.Row("length_ratio", repetition.length_ratio(said, [vocab.encode(line) for line in references]),
                   "model tokens said by model tokens of the references, without EOS")


def _cost(meter, sentences, tokens_per_batch):
  yield report.Row("sentences", sentences, "lines of the test set, empty ones included")
  yield report.Row("passes", meter.passes / max(meter.calls, 1), "decoder passes a batch, mean over batches")
  rate = sentences / meter.seconds if meter.seconds else 0.0
  yield report.Row("sentences_per_second", rate,
                   f"wall clock of the search and the copy back, after one warm-up call; sorted by length, "
                   f"up to {tokens_per_batch} padded source tokens a batch, {meter.calls} batches")
