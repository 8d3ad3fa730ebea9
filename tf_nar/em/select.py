"""Selects the candidates that the next teacher is trained on, by pure functions of one source's n-best list.

With p the student, A0 the first teacher (of the original text) and At the one whose beam found the candidates:

  merit(y) = log p(y | x) + lambda log A0(y | x)
  hard     y* = argmax merit(y)                          the paper's program, with lambda = 0
  soft     w(y) ~ exp(merit(y)) / At(y | x), sum 1       the paper's posterior q ~ p A0^lambda, by importance
                                                         sampling with At as the proposal

The posterior is that of posterior regularisation (Ganchev et al., 2010): among the distributions of sufficient expected
quality, the one that is closest to the student's; lambda is the multiplier of the quality constraint.
"""
from typing import Sequence

import numpy as np


def merit(student: np.ndarray, lengths: Sequence[int], *, normalize: bool = False, quality: np.ndarray | None = None,
          weight: float = 0.0) -> np.ndarray:
  """Returns the merit of each candidate, float64 [N].

  Args:
    student: float [N], log p(y | x) with EOS and the length term; -inf for a candidate that the student cannot produce.
    lengths: int [N], tokens with EOS.
    normalize: whether to divide the student's part by the length; the original does not, and so favours short ones.
    quality: float [N], log A0(y | x); needed if `weight` is not 0.
    weight: lambda.

  Raises:
    ValueError: if the list is empty or the numbers of candidates and scores differ.
  """
  student, lengths = np.asarray(student, np.float64), np.asarray(lengths)
  if not student.size or student.shape != lengths.shape:
    raise ValueError("A selection needs at least one candidate and a score for each; got "
                     f"{lengths.size} candidates and {student.size} scores.")
  total = student / lengths if normalize else student
  if not weight:
    return total
  if quality is None or np.shape(quality) != student.shape:
    raise ValueError(f"A quality weight of {weight} needs the first teacher's score of each of the "
                     f"{student.size} candidates; score them, or set quality=0.")
  return total + weight * np.asarray(quality, np.float64)


def best(merits: np.ndarray) -> int:
  """Returns the index of the candidate to keep; of equal merits, that of the one that the teacher ranked first."""
  return int(np.argmax(merits))


def weights(merits: np.ndarray, proposal: np.ndarray) -> np.ndarray:
  """Returns the self-normalised importance weights of the candidates, float64 [N], sum 1.

  Args:
    merits: float [N].
    proposal: float [N], log At(y | x) of the whole sentence, without a length penalty.

  If no candidate has a finite merit, the first gets all weight.
  """
  merits, proposal = np.asarray(merits, np.float64), np.asarray(proposal, np.float64)
  if not np.isfinite(merits).any():
    return np.eye(len(merits))[0]
  log_weight = np.where(np.isfinite(merits), merits - proposal, -np.inf)
  unscaled = np.exp(log_weight - log_weight.max())
  return unscaled / unscaled.sum()
