"""What an alternation is: two experiments and how they take turns."""
import dataclasses
from typing import Any

from tf_nar import config
from tf_nar import models
from tf_nar import recipe
from tf_nar import types
from tf_nar.data import toy
from tf_nar.ops import schedule

SHARED = "width", "ffn", "heads", "encoder_layers", "norm"  # Of nets of which one may start from the other's weights.


@dataclasses.dataclass(frozen=True)
class Alternation:
  """EM between an autoregressive teacher and a non-autoregressive student (Sun & Yang, ICML 2020).

  The defaults are what the paper's program does, where it is known: how many rounds were run, and with which
  length penalty the candidates were found, is not. `quality` and the soft rule are in its theory alone.
  """

  teacher: config.Experiment
  student: config.Experiment
  rounds: int = 3  # Round 1 is plain sequence-level distillation.
  raw_student: bool = True  # Also a student of the text as it came: row 0 of the table.
  nbest: int = 20  # Candidates a source, and the beam that finds them.
  nbest_alpha: float = 0.6  # Length penalty of that beam.
  rule: str = "hard"  # "hard": keep the best candidate; "soft": all of them, weighted.
  normalize: bool = False  # Divide the student's score by the length; as it is, it favours short candidates.
  quality: float = 0.0  # lambda of lambda log p(y | x) under the first teacher, which saw the true text.
  stop: str = "none"  # "ncm", "bleu": no further round once the student's no longer improves; "none": all rounds.
  warm_start_teacher: bool = False  # From the last round's weights; else from scratch.
  warm_start_student: bool = False  # From those of the last round's student; else as the next says.
  student_from_teacher: bool = False  # Where it is not warm-started: from what it shares with the teacher of its round.
  later_teacher_steps: int = 0  # Of round 2 and on; 0: as the first.
  later_student_steps: int = 0  # Of its student; 0: as the first.
  tokens_per_batch: int = 8_192  # Padded source places translated or scored together.
  beam: int = 5  # Of the teacher, in the report.
  lengths: int = 9  # Candidates, of other lengths or otherwise, that the teacher ranks in the report; 1: none.
  sample: int = 2_000  # NCM is measured on the training sentences of index below this.
  data: Any = None  # A `toy.Config` for the built-in pair; None: a data folder is given.

  def __post_init__(self):
    config.check_choice("rule", self.rule, ("hard", "soft"))
    config.check_choice("stop", self.stop, ("none", "ncm", "bleu"))
    config.check_at_least(1, self, "rounds", "nbest", "beam", "tokens_per_batch", "lengths", "sample")
    config.check_at_least(0, self, "quality", "later_teacher_steps", "later_student_steps")
    for name in ("teacher", "student"):
      recipe.check(getattr(self, name))
      if getattr(self, f"later_{name}_steps") and getattr(self, name).phases:
        raise ValueError(f"later_{name}_steps is for a {name} without phases, which have train.steps of their own; set "
                         "it to 0.")
    if not models.traits(self.teacher.family).autoregressive:
      raise ValueError(f"The teacher must search with a beam; {self.teacher.family} has none. Take family ar.")
    if self.data is not None and not isinstance(self.data, toy.Config):
      raise ValueError(f"data is a toy.Config, or None for a data folder of yours; got {self.data!r}.")
    students, teacher = recipe.trainings(self.student), recipe.trainings(self.teacher)[-1][1]
    for phase, student in students:
      self._check_student(student, teacher, self.student_from_teacher and phase.start == "warm_start")
    positions = [experiment.model.net.max_length for experiment in (teacher, students[-1][1])]
    if positions[0] < positions[1]:
      raise ValueError(
        f"The teacher takes {positions[0]} tokens and the student {positions[1]}, but the teacher ranks what the "
        f"student says; set teacher.model.net.max_length={positions[1]}.")

  def _check_student(self, student, teacher, from_teacher):
    """Refuses a student that cannot learn the texts of an alternation, or not start from this teacher's weights."""
    if models.traits(student.family).batch(student.model) is not types.Batch:
      raise ValueError(
        f"The student learns from alignments, and the texts of later rounds have none; take another family than "
        f"{student.family}, or set student.model.copy=uniform.")
    nets = [experiment.model.net for experiment in (student, teacher)]
    other = [name for name in SHARED if getattr(nets[0], name) != getattr(nets[1], name)]
    if from_teacher and other:
      raise ValueError(f"student_from_teacher wants nets of one {', '.join(SHARED)}; the student has "
                       f"{other[0]}={getattr(nets[0], other[0])}, the teacher {getattr(nets[1], other[0])}.")


def nbest_search(alternation, search):
  """Returns the teacher's search for candidates, given the one that its run has."""
  found = dict(beam=alternation.nbest, candidates=alternation.nbest, alpha=alternation.nbest_alpha)
  return dataclasses.replace(search, **found)


def budget(experiment, steps):
  """Returns the experiment with another number of updates, its schedules going over the same share; 0 leaves it."""
  if not steps:
    return experiment
  model, train = experiment.model, dataclasses.replace(experiment.train, steps=steps)
  return dataclasses.replace(experiment, model=schedule.scaled(model, steps, experiment.train.steps), train=train)
