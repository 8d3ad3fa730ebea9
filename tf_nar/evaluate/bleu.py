"""BLEU and chrF by sacrebleu, always with the signature that identifies the variant.

BLEU on tokenised text depends on the tokeniser with which the text was prepared, and is comparable only with papers
that share the preparation ("A Call for Clarity", Post, 2018, arXiv:1804.08771). It is therefore never reported under
the same name as detokenised BLEU.
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
    references: strings, one for each hypothesis.
    tokenize: sacrebleu's tokeniser for both sides, a vocabulary's `bleu_tokenize`: "none" for text that is already
      tokenised, "13a" for the rules of mteval-v13a, "zh", ...

  Raises:
    ValueError: if the numbers of hypotheses and references differ or are 0.
    ImportError: as `language.check`.
  """
  import sacrebleu  # Imported here, as only evaluation needs it.
  language.check(tokenize)
  metric = sacrebleu.BLEU(tokenize=tokenize, force=tokenize == language.NONE)
  return _corpus(metric, hypotheses, references)


def chrf(hypotheses, references):
  """Returns the corpus chrF2 as a `Score`; white space is ignored. Raises as `bleu`."""
  import sacrebleu
  return _corpus(sacrebleu.CHRF(), hypotheses, references)


def _corpus(metric, hypotheses, references):
  if len(hypotheses) != len(references):
    raise ValueError(f"There must be as many hypotheses as references; got {len(hypotheses)} and "
                     f"{len(references)}.")
  if not hypotheses:
    raise ValueError("There is no sentence to evaluate; give at least one hypothesis and its reference.")
  value = metric.corpus_score(hypotheses, [references]).score
  return Score(value, str(metric.get_signature()))
