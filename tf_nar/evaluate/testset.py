"""Translates a test set and measures quality, cost and speed, for a line of a results table."""
import statistics
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import tensorflow as tf
from absl import logging

from tf_nar import types
from tf_nar.evaluate import bleu
from tf_nar.evaluate import corpus
from tf_nar.evaluate import cost
from tf_nar.evaluate import lines
from tf_nar.evaluate import multimodality
from tf_nar.evaluate import quality as quality_lib
from tf_nar.evaluate import repetition
from tf_nar.evaluate import report

TIMES = ("sentences_per_second",)  # Rows of `measure` that differ from call to call.
SINGLE, CROWD = 100, 128  # Number of sentences that are timed one by one; batch size of those timed together.


class Measured(NamedTuple):
  hypotheses: list[str]
  rows: list[report.Row]


def measure(search: Callable[..., types.Translation], vocab: Any, sources: Sequence[str],
            references: Sequence[str] | quality_lib.References, *, tokens_per_batch: int, longest: int,
            copier: Callable | None = None, **options: Any) -> Measured:
  """Translates `sources` and compares the translations with `references`.

  Args:
    search: maps int32 [B, S] to a `types.Translation`.
    vocab: the run's vocabulary.
    sources: strings, as many as references.
    references: strings; tokenised if the vocabulary is of tokenised text, otherwise raw text. If it expects text split
      into subwords (`vocab.takes_parts`), they may be split or whole words. Or `quality.References`.
    tokens_per_batch: padded source tokens per batch.
    longest: the most tokens that the model takes.
    copier: an `unknown.Copier`, which replaces UNK in the translations; None: it stays.
    options: `progress` and `limit` of `corpus.translate`.

  Returns:
    A `Measured`.

  Raises:
    ValueError: if the numbers of sources and references differ or are 0.
    ImportError: as `language.check`.
  """
  references = quality_lib.references(references, vocab)
  for each in references.texts:
    if len(sources) != len(each):
      raise ValueError(f"There must be as many sources as references; got {len(sources)} and {len(each)}.")
  meter = cost.Meter(search)
  meter.warm_up()
  ids = list(lines.encode(sources, vocab, longest))
  found = corpus.translate(meter, ids, tokens_per_batch=tokens_per_batch, longest=longest, **options)
  predictions, hypotheses = _said(copier(list(zip(sources, ids, found, strict=True))) if copier else found, vocab)
  rows = [*quality(hypotheses, predictions, references, vocab), *_cost(meter, len(sources), tokens_per_batch)]
  return Measured(hypotheses, rows)


def brief(search: Callable[..., types.Translation], vocab: Any, ids: Sequence[list[int]], references: Sequence[str],
          **options: Any) -> tuple[list[list[int]], list[str], dict[str, float]]:
  """Returns the translations as ids without EOS and as strings, and {"bleu", "chrf", "repeats"} of them.

  Args:
    search, vocab, references: as for `measure`.
    ids: the sources, lists of ids with EOS.
    options: keyword arguments of `corpus.translate`.
  """
  predictions, texts = _said(corpus.translate(search, ids, **options), vocab)
  plain = [vocab.plain(line) for line in references]
  value = bleu.bleu(texts, plain, tokenize=vocab.bleu_tokenize).value
  measures = {"bleu": value, "chrf": bleu.chrf(texts, plain).value, "repeats": repetition.repetition(predictions)}
  return predictions, texts, measures


def _said(found, vocab):
  """Returns the best candidates as lists of ids without EOS and as texts; empty if none was found."""
  words = lambda candidates: [token for token in candidates[0].tokens if token != types.EOS] if candidates else []
  predictions = [words(candidates) for candidates in found]
  return predictions, [vocab.decode(each) for each in predictions]


def quality(hypotheses: Sequence[str], predictions: Sequence[list[int]],
            references: Sequence[str] | quality_lib.References, vocab: Any) -> Iterator[report.Row]:
  """Yields the rows of translation quality.

  Args:
    hypotheses: strings.
    predictions: the token ids of each hypothesis, without EOS.
    references: as for `measure`.
    vocab: the vocabulary; its `tokenized` is whether the strings are tokenised.
  """
  references = quality_lib.references(references, vocab)
  once = [repetition.deduplicate(ids) for ids in predictions]
  once_text = [vocab.decode(ids) for ids in once]
  yield from references.similarity(hypotheses)
  value, signature = references.bleu(once_text)
  yield report.Row(f"bleu_{references.kind}_deduplicated", value, f"{signature}, adjacent equal model tokens merged")
  for name, ids, text, when in (("", predictions, hypotheses, "in the output of the search, which may merge some"),
                                ("_deduplicated", once, once_text, "adjacent equal model tokens merged")):
    yield report.Row(f"repetition_tokens{name}", repetition.repetition(ids),
                     f"share of model tokens equal to the one before, {when}")
    yield report.Row(f"repetition_words{name}", repetition.repetition(references.words(text)),
                     f"share of words equal to the one before, {when}")
  if whole_words(references.given, vocab):
    yield from references.length_ratio(hypotheses)
  else:
    yield from quality_lib.length_ratio(
      predictions, [vocab.encode(line) for line in references.given],
      "model tokens of the translations divided by those of the references, without EOS", len(references.texts))
    # References have rarer words, thus more tokens a word: a ratio in tokens is below that in words.
    yield from references.length_ratio(hypotheses, "length_ratio_words")


def whole_words(references: Sequence[str], vocab: Any) -> bool:
  """Whether references are in whole words although the vocabulary expects subwords, so that it cannot encode them."""
  return vocab.takes_parts and references == [vocab.plain(line) for line in references]


def _cost(meter, sentences, tokens_per_batch):
  yield report.Row("sentences", sentences, "lines of the test set, empty ones included")
  yield report.Row("passes", meter.passes / max(meter.calls, 1),
                   "decoder passes per batch, including those of a ranking teacher, mean over batches")
  if meter.steps:
    yield report.Row("code_steps", meter.steps / meter.calls,
                     "steps of the predictor of codes per batch, which come before the passes, mean over batches")
  rate = sentences / meter.seconds if meter.seconds else 0.0
  yield report.Row("sentences_per_second", rate,
                   f"wall clock time of the search and the copy to the host, after one warm-up call; sorted by length, "
                   f"up to {tokens_per_batch} padded source tokens per batch, {meter.calls} batches")


def of_references(run: Any, score: Callable[..., tf.Tensor], sources: Sequence[str], references: Sequence[str], *,
                  tokens_per_batch: int, longest: int) -> Iterator[report.Row]:
  """Yields the rows of what a model makes of the references themselves: NCM, and of latents the reconstruction and KL.

  Args:
    run: a `runs.Run`.
    score, sources, references, tokens_per_batch, longest: as for `surprise`.
  """
  vocab = run.vocab
  size = {"tokens_per_batch": tokens_per_batch, "longest": longest}
  yield from surprise(score, vocab, sources, references, name=multimodality.name(run.model), **size)
  if "reconstruct" in run.model.traits.offers and not whole_words(references, vocab):
    pairs = list(lines.encode_pairs(zip(sources, references, strict=True), vocab, longest))
    made = corpus.by_token(corpus.of_pairs(run.model.reconstruct), pairs, **size)
    texts = ["" if each is None else vocab.decode(each.tolist()) for each in made]
    plain = [vocab.plain(line) for line in references]
    value, signature = bleu.bleu(texts, plain, tokenize=vocab.bleu_tokenize)
    yield report.Row("bleu_reconstruction", value, f"{signature}, of the references decoded from their own latents")
    nats = corpus.mean_terms(corpus.terms(run.model), pairs, **size).get("kl_sentence")
    if nats is not None:  # A model without a prior yet has none.
      yield report.Row("kl_sentence", nats, "nats a reference, of the posterior from the prior of its latents")


def surprise(score: Callable[..., tf.Tensor], vocab: Any, sources: Sequence[str], references: Sequence[str], *,
             tokens_per_batch: int, longest: int, name: str = "ncm") -> Iterator[report.Row]:
  """Yields the row of NCM of the references; no row if all have probability 0.

  Args:
    score: maps int32 [B, S], int32 [B, T] to log p float32 [B].
    name: of the row, see `multimodality.name`.
    vocab, sources, references, tokens_per_batch, longest: as for `measure`.
  """
  if whole_words(references, vocab):
    logging.warning("The references are in whole words, but the vocabulary expects subwords, so there is no NCM; give "
                    "references split as the training text.")
    return
  pairs = list(lines.encode_pairs(zip(sources, references, strict=True), vocab, longest))
  log_probs = corpus.score(score, pairs, tokens_per_batch=tokens_per_batch, longest=longest)
  left_out = int((log_probs == -float("inf")).sum())
  if left_out < len(pairs):
    ncm = multimodality.normalised_multimodality(log_probs, [len(target) for _, target in pairs])
    yield report.Row(name, ncm, "nats per model token of the references, EOS included, by "
                     f"the score of the family; {left_out} pairs of probability 0 are left out")


def check_speed(sources: Sequence[str]) -> None:
  """Checks that a test set is large enough for `speed`.

  Raises:
    ValueError: for fewer than `CROWD` sentences.
  """
  if len(sources) < CROWD:
    raise ValueError(f"Speed is measured on at least {CROWD} sentences; got {len(sources)}; give a larger test set.")


def speed(search: Callable[..., types.Translation], baseline: Callable[..., types.Translation], name: str, vocab: Any,
          sources: Sequence[str], *, longest: int) -> Iterator[report.Row]:
  """Yields the rows of the speed of a search and of a baseline, which translate the same sentences in turns.

  Args:
    search, baseline: int32 [B, S] -> `types.Translation`.
    name: the description of the baseline.
    vocab, sources, longest: as for `measure`.

  Raises:
    ValueError: as `check_speed`.
  """
  check_speed(sources)
  ids = list(lines.encode(sources, vocab, longest))
  alone = corpus.neighbours(ids[::max(len(ids) // SINGLE, 1)][:SINGLE], 1, longest)
  took = {1: cost.in_turns({"ours": search, "baseline": baseline}, alone),
          CROWD: cost.in_turns({"ours": search, "baseline": baseline}, corpus.neighbours(ids, CROWD, longest))}
  how = "wall clock time of the search and the copy to the host, ids to ids, in turns with the baseline"
  milliseconds = [1000 * each for each in took[1]["ours"]]
  yield report.Row("milliseconds_batch_1", statistics.median(milliseconds), f"median of {len(alone)} sentences; {how}")
  rate = CROWD * len(took[CROWD]["ours"]) / sum(took[CROWD]["ours"])
  yield report.Row(f"sentences_per_second_batch_{CROWD}", rate, f"batches of sentences of similar length; {how}")
  for size, of in took.items():
    yield report.Row(f"times_baseline_batch_{size}", sum(of["baseline"]) / sum(of["ours"]),
                     f"seconds of {name} by seconds of this, the same sentences in turns, batches of {size}")
