"""Corpus-level multi-modality (Sun & Yang, ICML 2020), as a number to compare training targets with."""
import numpy as np


def normalised_multimodality(log_probs, target_lengths, *, length_log_probs=None):
  """Returns NCM = -Σ log p_NAR(y | x) / Σ |y|, nats a target token; lower data are easier for the model.

  It compares two corpora only under models trained as long as each other, each on its own corpus. Under an
  autoregressive model the same number is the plain negative log-likelihood of a token.

  Args:
    log_probs: float [n], log p(y | x) with EOS and, where the model has one, the length term; no smoothing.
    target_lengths: int [n], tokens with EOS.
    length_log_probs: float [n], log p(|y| | x) to take out, which leaves the tokens-only variant.

  Raises:
    ValueError: for different counts, no token, or a target that the model cannot say.
  """
  log_probs, lengths = np.asarray(log_probs, np.float64), np.asarray(target_lengths)
  if log_probs.shape != lengths.shape:
    raise ValueError(f"There must be as many scores as targets; got {log_probs.size} and {lengths.size}.")
  if not lengths.sum():
    raise ValueError("There is no target token to divide by; give at least one sentence pair.")
  if not np.isfinite(log_probs).all():
    raise ValueError(f"{np.sum(~np.isfinite(log_probs))} of {log_probs.size} scores are not finite; leave "
                     "out the pairs that the model cannot say.")
  if length_log_probs is not None:
    log_probs = log_probs - np.asarray(length_log_probs, np.float64)
  return float(-log_probs.sum() / lengths.sum())
