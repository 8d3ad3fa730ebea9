"""Repeats and length: the two faults of a model that says all words at once.

Neighbouring places that lean to different translations say one word twice in a row; the share of such words
shows how far a model has got away from that (Ghazvininejad et al., arXiv:1904.09324).
"""
import itertools


def repetition(sentences):
  """Returns the share of tokens that equal the one before, over all sentences.

  Args:
    sentences: lists of words or of ids, without EOS and PAD.

  Raises:
    ValueError: for text that was not split.
  """
  repeats = total = 0
  for tokens in sentences:
    if isinstance(tokens, str):
      raise ValueError(f"Repeats are counted in lists of words or ids; got text, {tokens[:30]!r}: split it.")
    repeats += sum(a == b for a, b in itertools.pairwise(tokens))
    total += len(tokens)
  return repeats / total if total else 0.0


def deduplicate(tokens):
  """Returns the list without adjacent repeats, as [5, 5, 6, 5] -> [5, 6, 5]."""
  return [token for token, _ in itertools.groupby(tokens)]


def length_ratio(hypotheses, references):
  """Returns tokens said by tokens of the references, over the corpus: below 1 is too short.

  Raises:
    ValueError: where the references are empty.
  """
  expected = sum(map(len, references))
  if not expected:
    raise ValueError("The references have no token, so there is no length ratio; give another file.")
  return sum(map(len, hypotheses)) / expected
