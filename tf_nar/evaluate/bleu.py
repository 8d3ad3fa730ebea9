"""BLEU and chrF by sacrebleu, always with the signature that says which of their many kinds it is.

A call for clarity (Post, 2018, arXiv:1804.08771): BLEU on tokenised text depends on the tokeniser of whoever
prepared it and compares only with papers that share the preparation. It is never put beside a detokenised one
under the same name.
"""
from typing import NamedTuple

from tf_nar.data import language


class Score(NamedTuple):
  value: float  # 0 to 100.
  signature: str  # sacrebleu's.


def bleu(hypotheses, references, *, tokenize):
  """Returns the corpus BLEU as a `Score`.

  Args:
    hypotheses: strings, as many as references.
    references: strings, one a hypothesis.
    tokenize: how sacrebleu cuts both sides into words, as a vocabulary's `bleu_tokenize` says: "none" of text that
      is tokenised already, "13a" by the rules of mteval-v13a, "zh", ...

  Raises:
    ValueError: for different counts, or none.
    ImportError: as `language.check`.
  """
  import sacrebleu  # Only evaluation needs it: pip install sacrebleu
  language.check(tokenize)
  metric = sacrebleu.BLEU(tokenize=tokenize, force=tokenize == language.NONE)
  return _corpus(metric, hypotheses, references)


def chrf(hypotheses, references):
  """Returns the corpus chrF2 as a `Score`; white space does not count. Raises as `bleu`."""
  import sacrebleu
  return _corpus(sacrebleu.CHRF(), hypotheses, references)


def _corpus(metric, hypotheses, references):
  if len(hypotheses) != len(references):
    raise ValueError(f"There must be as many hypotheses as references; got {len(hypotheses)} and "
                     f"{len(references)}.")
  if not hypotheses:
    raise ValueError("There is no sentence to measure; give at least one hypothesis and its reference.")
  value = metric.corpus_score(hypotheses, [references]).score
  return Score(value, str(metric.get_signature()))
