"""Corpus-level multi-modality (Sun & Yang, ICML 2020), as a number to compare training targets with."""
import numpy as np


def normalised_multimodality(log_probs, target_lengths, weights=1.0):
  """Returns NCM = -Σ w log p_NAR(y | x) / Σ w |y|, nats a target token; lower data are easier for the model.

  It compares two corpora only under models trained as long as each other, each on its own corpus. Under an
  autoregressive model the same number is the plain negative log-likelihood of a token. Pairs that the model cannot
  say, of log p -inf, are left out on both sides of the ratio.

  Args:
    log_probs: float [n], log p(y | x) with EOS and, where the model has one, the length term; no smoothing. Less
      log p(|y| | x) they give the tokens-only variant.
    target_lengths: int [n], tokens with EOS.
    weights: float [n], or one for all.

  Raises:
    ValueError: for different counts, a score that is no number, or no token that the model can say.
  """
  log_probs, lengths = np.asarray(log_probs, np.float64), np.asarray(target_lengths)
  if log_probs.shape != lengths.shape:
    raise ValueError(f"There must be as many scores as targets; got {log_probs.size} and {lengths.size}.")
  wrong = ~(log_probs < np.inf)  # No number, or a certainty beyond all.
  if wrong.any():
    raise ValueError(f"{wrong.sum()} of {log_probs.size} scores are no log probabilities; was the model trained?")
  sayable = log_probs != -np.inf
  tokens = np.where(sayable, weights * lengths, 0).sum()
  if not tokens:
    raise ValueError(
      f"Of {log_probs.size} targets the model can say no token, which NCM is divided by; give at least one.")
  return float(-(weights * np.where(sayable, log_probs, 0)).sum() / tokens)
