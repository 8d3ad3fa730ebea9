"""BLEU, chrF and TER by sacrebleu, always with the signature that identifies the variant.

BLEU on tokenised text depends on the tokeniser with which the text was prepared, and is comparable only with papers
that share the preparation ("A Call for Clarity", Post, 2018, arXiv:1804.08771). It is therefore never reported under
the same name as detokenised BLEU.
"""
from typing import Any, NamedTuple, Sequence

from tf_nar.data import language


class Score(NamedTuple):
  value: float  # 0 to 100; TER may be above.
  signature: str  # sacrebleu's.


def bleu(hypotheses: Sequence[str], *references: Sequence[str], tokenize: str, lowercase: bool = False) -> Score:
  """Returns the corpus BLEU as a `Score`.

  Args:
    hypotheses: strings.
    *references: one list or several, each of as many strings.
    tokenize: sacrebleu's tokeniser for both sides, a vocabulary's `bleu_tokenize`: "none" for text that is already
      tokenised, "13a" for the rules of mteval-v13a, "zh", "spm:FILE", ...
    lowercase: whether upper and lower case are the same.

  Raises:
    ValueError: if the numbers of hypotheses and references differ or are 0.
    ImportError, FileNotFoundError: as `language.check`.
  """
  return _corpus(bleu_metric(tokenize, lowercase), hypotheses, references)


def chrf(hypotheses: Sequence[str], *references: Sequence[str], lowercase: bool = False) -> Score:
  """Returns the corpus chrF2 as a `Score`; white space is ignored. Args and errors are as for `bleu`."""
  return _corpus(chrf_metric(lowercase), hypotheses, references)


def ter(hypotheses: Sequence[str], *references: Sequence[str], tokenize: str, lowercase: bool = False) -> Score:
  """Returns the translation edit rate as a `Score`: edits and shifts of words per 100 words of the references.

  Words are those between spaces; those of a language without spaces are first made by `tokenize`. Args and errors are
  as for `bleu`.
  """
  import sacrebleu  # Imported here, as only evaluation needs it.
  if spaced := language.is_spaced(tokenize):
    texts = hypotheses, *references
  else:
    texts = [[" ".join(language.words(line, tokenize)) for line in text] for text in (hypotheses, *references)]
  value, signature = _corpus(sacrebleu.TER(case_sensitive=not lowercase), texts[0], texts[1:])
  return Score(value, signature if spaced else f"{signature}, words by tok:{tokenize}")


def bleu_metric(tokenize: str, lowercase: bool = False) -> Any:
  """Returns sacrebleu's BLEU; args and errors as for `bleu`."""
  return language.bleu(tokenize, lowercase=lowercase)


def chrf_metric(lowercase: bool = False) -> Any:
  """Returns sacrebleu's chrF2."""
  import sacrebleu
  return sacrebleu.CHRF(lowercase=lowercase)


def _corpus(metric, hypotheses, references):
  for texts in references:
    if len(hypotheses) != len(texts):
      raise ValueError(f"There must be as many hypotheses as references; got {len(hypotheses)} and {len(texts)}.")
  if not hypotheses:
    raise ValueError("There is no sentence to evaluate; give at least one hypothesis and its reference.")
  value = metric.corpus_score(hypotheses, list(references)).score
  return Score(value, str(metric.get_signature()))
