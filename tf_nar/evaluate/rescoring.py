"""Lets another run choose among candidates, as an AR teacher among the lengths of its NAR student."""
import tensorflow as tf


def several(search):
  """Whether a search finds more than one candidate, to be ranked."""
  return search.with_candidates(2) == search


def by(teacher, run, search):
  """Returns the teacher's scores of candidates: src int32 [B, S], tgt int32 [B, N, T] -> float32 [B, N].

  They are by its `score_candidates` if its family has it, which reads a source once; else by `repeated`.

  Args:
    teacher: the run that scores.
    run: the run whose candidates are scored; ids go straight from its model to the teacher's.
    search: what finds them.

  Raises:
    ValueError: for another vocabulary, where ids mean other words, a teacher that takes fewer places, or a search
      that finds one candidate only.
  """
  if teacher.vocab.sha256 != run.vocab.sha256:
    raise ValueError(f"{teacher.workdir} cannot rescore {run.workdir}: its vocabulary is another one; train "
                     "both on data folders with one vocabulary.")
  positions = [one.experiment.model.net.max_length for one in (teacher, run)]
  if positions[0] < positions[1]:
    raise ValueError(f"{teacher.workdir} cannot rescore {run.workdir}: it takes {positions[0]} tokens, fewer "
                     f"than {positions[1]}; train it with net.max_length={positions[1]}.")
  if not several(search):
    wide = vars(search.with_candidates(9)).items()
    options = [f"search.{name}={value}" for name, value in wide if value != getattr(search, name)]
    raise ValueError(f"{teacher.workdir} has nothing to rank: the search of {run.workdir} says one candidate; "
                     f"add {' '.join(f'--set={option}' for option in options)}.")
  if "score_candidates" in teacher.model.traits.offers:
    return teacher.model.score_candidates
  return repeated(teacher.model.score)


def repeated(score):
  """Returns what `by` does, of a `score` of pairs, int32 [B, S], int32 [B, T] -> float32 [B]: a source for each."""
  def score_candidates(src, tgt):
    batch, count, positions = tf.unstack(tf.shape(tgt))
    flat = tf.reshape(tgt, [batch * count, positions])
    return tf.reshape(score(tf.repeat(src, count, axis=0), flat), [batch, count])
  return score_candidates
