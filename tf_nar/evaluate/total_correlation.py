"""Conditional total correlation: what a model loses by predicting all tokens independently (Huang et al., ICML 2022).

  C = H(T | X) + Σ_i H(y_i | X, T) - H(Y | X)      in nats; 0 if the tokens are independent given the source
  Ĉ = ([CE of T + Σ_i CE of y_i] of a factorised model - CE of an autoregressive model) / target tokens

No training can bring a factorised model closer than C to the distribution of its training text, in KL divergence.

Read Ĉ with care:
- A cross-entropy exceeds its entropy by the error of its model, so Ĉ exceeds C by the student's error less the
  teacher's, and may even be negative. Compare models of equal capacity, dropout and number of updates.
- Both models must be trained on the distribution that is measured, and the text be held out. Distilled text is another
  distribution than the original: translate held-out sources too, and take as teacher a model trained on such text.
- Labels are not smoothed here. A model that was trained with smoothed labels has a greater cross-entropy; if only one
  of the two was, the difference is in Ĉ.
- T counts EOS, and log p of T belongs to the student's score, since the teacher's EOS decides the length. Without it Ĉ
  would lack H(T | X).
- A model that reads Z, such as some target tokens, is measured with none of it, as in a first pass. With Z the
  teacher's term would be that of an autoregressive model given Z; the stream AUX of `janus` is one: its `correlation`,
  which is logged.
- For a model of paths or latents, which is not factorised, the difference is no total correlation but its excess
  negative log likelihood: what that structure loses. If its score is a bound, so is the excess.
- Ĉ is a small difference of large sums: bin/measure.py computes both in float32, EM and bin/evaluate.py in the types of
  the runs.
- The interval is that of the choice of sentences alone, not of training: another seed may lie outside.
"""
from typing import NamedTuple, Sequence

import numpy as np

from tf_nar import types
from tf_nar.evaluate import corpus
from tf_nar.evaluate import lines
from tf_nar.evaluate import report
from tf_nar.evaluate import testset

SAMPLES, LEVEL = 1_000, 0.95  # Of the bootstrap.
NAMES = {"factorised": "total_correlation", "structured": "excess_nll", "bound": "excess_nll_bound"}


class Estimate(NamedTuple):
  """An estimate, in nats per target token."""

  value: float  # Ĉ.
  low: float  # The ends of the interval.
  high: float
  student: float  # Cross-entropies of the two models.
  teacher: float
  pairs: int
  left_out: int  # Pairs to which a model gives the probability 0.


def estimate(student: np.ndarray, teacher: np.ndarray, lengths: Sequence[int], *, samples: int = SAMPLES,
             seed: int = 0) -> Estimate:
  """Estimates C of a text, with a bootstrap interval over its sentences.

  Args:
    student: float [n], log p(y | x) of a non-autoregressive model, with the length and EOS.
    teacher: float [n], those of an autoregressive one.
    lengths: int [n], target tokens with EOS.
    samples: number of bootstrap samples.
    seed: of the bootstrap.

  Returns:
    An `Estimate`.

  Raises:
    ValueError: if the numbers of pairs differ, or no pair has a positive probability under both models.
  """
  student, teacher, lengths = (np.asarray(x, np.float64) for x in (student, teacher, lengths))
  if not student.shape == teacher.shape == lengths.shape:
    raise ValueError(f"There must be as many scores of both models as targets; got {student.size}, {teacher.size} and "
                     f"{lengths.size}.")
  kept = np.isfinite(student) & np.isfinite(teacher) & (lengths > 0)
  if not kept.any():
    raise ValueError(f"None of {student.size} targets has a positive probability under both models; were both trained "
                     "on such text?")
  student, teacher, lengths = student[kept], teacher[kept], lengths[kept]
  draw = np.random.default_rng(seed)
  means = []
  for _ in range(samples):
    some = draw.integers(len(lengths), size=len(lengths))
    means.append((teacher - student)[some].sum() / lengths[some].sum())
  low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
  nats = lambda log_probs: float(-log_probs.sum() / lengths.sum())
  return Estimate(nats(student) - nats(teacher), float(low), float(high), nats(student), nats(teacher),
                  int(kept.sum()), int((~kept).sum()))


def of_texts(student: tuple, teacher: tuple, sources: Sequence[str], targets: Sequence[str] | Sequence[list[int]], *,
             tokens_per_batch: int) -> list[report.Row]:
  """Measures C of a text; returns `rows`.

  Args:
    student, teacher: pairs of a `runs.Run` and its graph from `corpus.scorer`.
    sources: sentences.
    targets: their translations, as texts or as token ids with EOS, of the kind that both runs were trained on.
    tokens_per_batch: see `corpus.score`.

  Raises:
    ValueError: if the teacher's score is not autoregressive or the student's is, if they have different vocabularies,
      or if the vocabulary expects subwords and the targets are whole words.
  """
  (run, _), (other, _) = student, teacher
  kinds = [each.model.traits.likelihood(each.experiment.model) for each in (run, other)]
  if kinds[0] == "autoregressive" or kinds[1] != "autoregressive":
    raise ValueError("Total correlation needs an autoregressive score of the teacher, and another of the student; got "
                     f"{other.experiment.family} and {run.experiment.family}. The score of a janus has both kinds: "
                     "model.scores=nar, or ar.")
  if other.vocab.sha256 != run.vocab.sha256:
    raise ValueError(f"{other.workdir} has another vocabulary than {run.workdir}; give runs of the same data.")
  if texts := [target for target in targets if isinstance(target, str)]:
    if testset.whole_words(texts, run.vocab):
      raise ValueError("The targets are in whole words, but the vocabulary expects subwords; give targets split as "
                       "the training text.")
    targets = [[*run.vocab.encode(target), types.EOS] for target in texts]
  return rows(estimate(*scored(student, teacher, sources, targets, tokens_per_batch=tokens_per_batch)), kinds[0])


def scored(student: tuple, teacher: tuple, sources: Sequence[str], targets: Sequence[list[int]], *,
           tokens_per_batch: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
  """Returns what `estimate` takes: log p under the student and the teacher, and lengths. Arguments as of `of_texts`."""
  longest = min(run.experiment.model.net.max_length for run, _ in (student, teacher))
  pairs = list(zip(lines.encode(sources, student[0].vocab, longest), targets, strict=True))
  ours, theirs = (corpus.score(graph, pairs, tokens_per_batch=tokens_per_batch, longest=longest)
                  for _, graph in (student, teacher))
  return ours, theirs, [len(target) for target in targets]


def rows(found: Estimate, likelihood: str) -> list[report.Row]:
  """Returns an `Estimate` as a list of `report.Row`, of which the first is Ĉ or the excess.

  Args:
    found: the `Estimate`.
    likelihood: what the student's score is, as `Traits.likelihood` returns it; a key of `NAMES`.
  """
  name, per = NAMES[likelihood], "nats per target token, EOS included, unsmoothed"
  interval = f"{LEVEL:.0%} interval over sentences {found.low:.4f} to {found.high:.4f}"
  pairs = f"{found.pairs} pairs, {found.left_out} of probability 0 left out"
  return [
    report.Row(name, found.value, f"nll_student - nll_teacher; {per}; {interval}; {pairs}"),
    *(report.Row(f"{name}_{end}", getattr(found, end), f"the {end} end of that interval") for end in ("low", "high")),
    report.Row("nll_student", found.student, f"-log p of the {likelihood} model, with the length; {per}"),
    report.Row("nll_teacher", found.teacher, f"-log p of the autoregressive model; {per}"),
  ]
