"""A teacher that translates greedily by checking the drafts of a student, as one run; see `decode/speculative.py`."""
from typing import Any, Callable, Sequence

import tensorflow as tf

from tf_nar import types
from tf_nar.evaluate import rescoring

PREFIX = "drafter."  # Of overrides that are the drafter's, as drafter.search.beam=1.
OFFERED = frozenset({"score_candidates", "score_tokens", "align", "limit"})  # Methods that are the teacher's own.


class Drafted:
  """An autoregressive model and its drafter in the place of one model; `variables` are those of both."""

  def __init__(self, teacher, drafter, search):
    """Args: search: the drafter's; all candidates that it finds are drafts."""
    self.teacher, self.drafter, self._search = teacher, drafter, search
    self.config, self.score = teacher.config, teacher.score
    self.traits = teacher.traits._replace(offers=teacher.traits.offers & OFFERED)
    for method in self.traits.offers:
      setattr(self, method, getattr(teacher, method))

  @property
  def variables(self) -> list:
    return [*self.teacher.variables, *self.drafter.variables]

  def translate(self, src: tf.Tensor, search: Any, rescore: Callable | None = None) -> types.Translation:
    """Returns the teacher's greedy translation; `passes` are those of the drafter and of the teacher."""
    if rescore is not None:
      raise ValueError("Drafts lead to one candidate, so there is nothing to rank; leave out --rescore_with.")
    drafts = self.drafter.translate(src, self._search)
    found = self.teacher.check(src, drafts.tokens, search)
    return found._replace(passes=found.passes + drafts.passes)


def settings(overrides: Sequence[str]) -> list[str]:
  """Returns the overrides that the drafter has: those of the model, which are the teacher's too, and its own."""
  return [each.removeprefix(PREFIX) for each in overrides if each.startswith(("model.", PREFIX))]


def by(run: Any, drafter: Any) -> Any:
  """Returns `run` translating greedily by means of the drafts of another `runs.Run`.

  Raises:
    ValueError: if `run` cannot check drafts, or if the vocabularies or the longest inputs differ.
  """
  if "check" not in run.model.traits.offers:
    raise ValueError(f"{run.workdir} cannot check drafts: only an autoregressive run can; it is of family "
                     f"{run.experiment.family}. Give the teacher as --workdir and the student as --draft_with.")
  rescoring.check_fits(drafter, run, "draft for")
  model = Drafted(run.model, drafter.model, drafter.experiment.search)
  return run._replace(model=model, drafted_by=drafter.experiment.family)
