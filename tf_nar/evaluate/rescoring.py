"""Lets another run choose among the candidates of this one, as an AR teacher among lengths of its NAR student."""
from tf_nar import types


def by(teacher, vocab):
  """Returns the teacher's `score`: src int32 [B, S], tgt int32 [B, T] -> float32 [B].

  Args:
    teacher: the run that scores, with a `model` and a `vocab`.
    vocab: the vocabulary of the run whose candidates are scored; ids go from one model to the other.

  Raises:
    ValueError: for another vocabulary, under which the ids would mean other words.
  """
  if len(teacher.vocab) != len(vocab):
    raise ValueError(f"The model that rescores has {len(teacher.vocab)} words and this one {len(vocab)}; both must "
                     "be trained on one data folder, or on folders with one vocabulary.")
  for word in range(len(types.SPECIALS), len(vocab)):
    ours, theirs = vocab.decode([word]), teacher.vocab.decode([word])
    if ours != theirs:
      raise ValueError(f"The model that rescores has another vocabulary: id {word} is {theirs!r} there and {ours!r} "
                       "here; train both on folders with one vocabulary.")
  return teacher.model.score
