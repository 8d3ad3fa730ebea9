"""Normalised corpus-level multi-modality, NCM (Sun & Yang, ICML 2020), a measure to compare training targets."""
from typing import Any, Sequence

import numpy as np


def name(model: Any) -> str:
  """Returns what NCM is called under a model: "ncm", or "ncm_bound" if its score is only a lower bound of log p."""
  return "ncm_bound" if model.traits.likelihood(model.config) == "bound" else "ncm"


def normalised_multimodality(log_probs: Sequence[float] | np.ndarray, target_lengths: Sequence[int] | np.ndarray,
                             weights: float | np.ndarray = 1.0) -> float:
  """Returns NCM = -Σ w log p_NAR(y | x) / Σ w |y|, in nats per target token; data of lower NCM are easier to model.

  It compares two corpora only under models that were trained equally long, each on its own corpus. Under an
  autoregressive model the same number is the negative log-likelihood per token. Pairs with log p -inf, whose target the
  model cannot produce, are left out of both sums.

  Args:
    log_probs: float [n], log p(y | x) with EOS and, if the model has one, the length term; no label smoothing. With
      log p(|y| | x) subtracted they give the tokens-only variant.
    target_lengths: int [n], tokens with EOS.
    weights: float [n], or one number for all.

  Raises:
    ValueError: for different numbers of scores and targets, a score that is NaN or +inf, or if no target with a token
      has a finite score.
  """
  log_probs, lengths = np.asarray(log_probs, np.float64), np.asarray(target_lengths)
  if log_probs.shape != lengths.shape:
    raise ValueError(f"There must be as many scores as targets; got {log_probs.size} and {lengths.size}.")
  wrong = ~(log_probs < np.inf)  # NaN or +inf.
  if wrong.any():
    raise ValueError(f"{wrong.sum()} of {log_probs.size} scores are not log probabilities; was the model trained?")
  sayable = log_probs != -np.inf
  tokens = np.where(sayable, weights * lengths, 0).sum()
  if not tokens:
    raise ValueError(
      f"None of {log_probs.size} targets has a token and a finite score, so NCM is not defined; give at least one.")
  return float(-(weights * np.where(sayable, log_probs, 0)).sum() / tokens)
