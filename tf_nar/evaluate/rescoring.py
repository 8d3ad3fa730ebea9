"""Ranks the candidates of one run by the scores of another, as an AR teacher ranks those of its NAR student."""
from typing import Any, Callable

import tensorflow as tf


def several(search: Any) -> bool:
  """Whether a search returns more than one candidate to rank."""
  return search.with_candidates(2) == search


def widened(search: Any, count: int) -> list[str]:
  """Returns the settings, as "search.candidates=9", with which a search finds at least `count` candidates."""
  wide = vars(search.with_candidates(count)).items()
  return [f"search.{name}={value}" for name, value in wide if value != getattr(search, name)]


def by(teacher: Any, run: Any, search: Any) -> Callable[..., tf.Tensor]:
  """Returns the function of the teacher's scores: src int32 [B, S], tgt int32 [B, N, T] -> float32 [B, N].

  Args:
    teacher: the run that scores.
    run: the run whose candidates are scored; its token ids are passed to the teacher unchanged.
    search: the search that finds the candidates.

  Raises:
    ValueError: if the vocabularies differ, if the teacher takes fewer tokens than `run`, or if the search returns only
      one candidate.
  """
  check_fits(teacher, run, "rescore")
  if not several(search):
    raise ValueError(f"{teacher.workdir} has nothing to rank: the search of {run.workdir} returns one candidate; "
                     f"add {' '.join(f'--set={option}' for option in widened(search, 9))}.")
  return of_candidates(teacher.model)


def check_fits(other: Any, run: Any, verb: str) -> None:
  """Checks that one run can score what another translates; `verb` says in the message what it cannot do otherwise.

  Raises:
    ValueError: if the vocabularies differ, or if `other` takes fewer tokens.
  """
  if other.vocab.sha256 != run.vocab.sha256:
    raise ValueError(f"{other.workdir} cannot {verb} {run.workdir}: it has another vocabulary; train "
                     "both on data folders with the same vocabulary.")
  positions = [one.experiment.model.net.max_length for one in (other, run)]
  if positions[0] < positions[1]:
    raise ValueError(f"{other.workdir} cannot {verb} {run.workdir}: it takes {positions[0]} tokens, fewer "
                     f"than {positions[1]}; train it with net.max_length={positions[1]}.")


def of_candidates(model: Any) -> Callable[..., tf.Tensor]:
  """Returns a model's `score_candidates` if its family has one, which encodes a source once; else `repeated`."""
  return model.score_candidates if "score_candidates" in model.traits.offers else repeated(model.score)


def repeated(score: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
  """Returns a function as `by` does, from a `score` of pairs, int32 [B, S], int32 [B, T] -> float32 [B].

  The source is repeated, and encoded again, for each of its candidates.
  """
  def score_candidates(src, tgt):
    batch, count, positions = tf.unstack(tf.shape(tgt))
    flat = tf.reshape(tgt, [batch * count, positions])
    return tf.reshape(score(tf.repeat(src, count, axis=0), flat), [batch, count])
  return score_candidates
