"""Compares translations with references, and two systems with each other.

The difference of two systems is tested by paired bootstrap resampling (Koehn, "Statistical Significance Tests for
Machine Translation Evaluation", EMNLP 2004), in sacrebleu's implementation.
"""
import logging as python_logging
from typing import Any, Iterable, Iterator, Sequence

from absl import logging

from tf_nar.data import language
from tf_nar.evaluate import bleu
from tf_nar.evaluate import repetition
from tf_nar.evaluate import report

SAMPLES = 1000  # Resampled test sets.


class References:
  """References, and how translations are compared with them.

  Attributes:
    given: the first reference translation, as it was given.
    texts: lists of strings in whole words, one list for each reference translation.
    tokenize: sacrebleu's tokeniser.
    kind: "tokenized" or "detokenized", which is in the names of the measures.
    plain: a function that joins the subwords of a line.
  """

  def __init__(self, *texts, vocab=None, tokenize=None, lowercase=False, ter=False):
    """Args:
      *texts: one reference translation or several, each a list of as many strings.
      vocab: the vocabulary whose kind of text they are; None: they are tokenised if `tokenize` is "none".
      tokenize: sacrebleu's tokeniser; None: that of the vocabulary, without one by the script of the text.
      lowercase: whether upper and lower case are the same, for BLEU, chrF and TER.
      ter: whether to measure TER, which takes long if translations and references differ much.

    Raises:
      ValueError, ImportError, FileNotFoundError: as `language.check`.
    """
    guess = (lambda: language.guess(texts[0]).tokenizer) if vocab is None else (lambda: vocab.bleu_tokenize)
    self.tokenize = tokenize or guess()
    language.check(self.tokenize)
    tokenized = self.tokenize == language.NONE if vocab is None else vocab.tokenized
    self.kind = "tokenized" if tokenized else "detokenized"
    self.plain = vocab.plain if vocab else str
    self.given = texts[0]
    self.texts = [[self.plain(line) for line in text] for text in texts]
    self._lowercase, self._ter = lowercase, ter

  def bleu(self, hypotheses: Sequence[str]) -> bleu.Score:
    """Returns the BLEU of translations as a `bleu.Score`."""
    return bleu.bleu(hypotheses, *self.texts, tokenize=self.tokenize, lowercase=self._lowercase)

  def similarity(self, hypotheses: Sequence[str]) -> Iterator[report.Row]:
    """Yields the rows of BLEU, chrF and perhaps TER."""
    yield report.Row(f"bleu_{self.kind}", *self.bleu(hypotheses))
    yield report.Row(f"chrf_{self.kind}", *bleu.chrf(hypotheses, *self.texts, lowercase=self._lowercase))
    if self._ter:
      found = bleu.ter(hypotheses, *self.texts, tokenize=self.tokenize, lowercase=self._lowercase)
      yield report.Row(f"ter_{self.kind}", *found)

  def words(self, texts: Iterable[str]) -> list[list[str]]:
    """Returns the words of each string, as BLEU counts them in a language without spaces, else between spaces."""
    return [language.words(line, self.tokenize) for line in texts]

  def length_ratio(self, hypotheses: Iterable[str], name: str = "length_ratio") -> Iterator[report.Row]:
    """Yields the row of the length ratio in words, under `name`; none if the references are empty."""
    yield from length_ratio(self.words(hypotheses), self.words(self.texts[0]),
                            "words of the translations divided by words of the references", len(self.texts), name)

  def difference(self, hypotheses: Sequence[str], others: Sequence[str], name: str) -> Iterator[report.Row]:
    """Yields the rows of the differences of BLEU and chrF to another system, and of their p-values.

    Args:
      hypotheses: strings.
      others: those of the other system, as many.
      name: the name of the other system.
    """
    from sacrebleu import significance
    python_logging.getLogger("sacrebleu").setLevel(python_logging.WARNING)  # It logs every step.
    metrics = {"bleu": bleu.bleu_metric(self.tokenize, self._lowercase), "chrf": bleu.chrf_metric(self._lowercase)}
    test = significance.PairedTest([(name, others), ("this", hypotheses)], metrics, self.texts, "bs", SAMPLES)
    signatures, found = test()
    for metric, (key, signature) in zip(metrics, signatures.items(), strict=True):
      theirs, ours = found[key]
      yield report.Row(f"{metric}_{self.kind}_difference", float(ours.score - theirs.score),
                       f"minus the {theirs.score:.2f} of {name}")
      # Differs: sacrebleu counts only larger differences, so that p of two equal systems would be 0.001.
      p = float(ours.p_value) if ours.score != theirs.score else 1.0
      yield report.Row(f"{metric}_{self.kind}_difference_p", p,
                       f"share of resampled test sets with so large a difference by chance; {signature}")


def references(given: References | Sequence[str], vocab: Any) -> References:
  """Returns `given` if these are `References`, else those of a list of strings, as the vocabulary has it."""
  return given if isinstance(given, References) else References(given, vocab=vocab)


def of_texts(hypotheses: Sequence[str], against: References) -> Iterator[report.Row]:
  """Yields the rows of translations, strings in whole words, of which no tokens are known.

  Args:
    hypotheses: the translations.
    against: `References`.
  """
  yield from against.similarity(hypotheses)
  yield report.Row("repetition_words", repetition.repetition(against.words(hypotheses)),
                   "share of words equal to the one before")
  yield from against.length_ratio(hypotheses)
  yield report.Row("sentences", len(hypotheses), "lines of the test set, empty ones included")


def length_ratio(hypotheses: Sequence[Sequence], references: Sequence[Sequence], definition: str,
                 several: int = 1, name: str = "length_ratio") -> Iterator[report.Row]:
  """Yields the row of the length ratio of two texts, lists of words or tokens; none if the references are empty.

  Args:
    hypotheses, references: a list of words or tokens for each sentence.
    definition: what is divided by what.
    several: the number of references, of which these are the first.
    name: the name of the row.
  """
  if any(references):
    which = ", the first of them" if several > 1 else ""
    yield report.Row(name, repetition.length_ratio(hypotheses, references), f"{definition}{which}")
  else:
    logging.warning("The references are empty, so there is no length ratio.")
