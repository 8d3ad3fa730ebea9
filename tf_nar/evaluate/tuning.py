"""Options of a search, tried on a text: every combination translates the whole of it, and the most BLEU is best."""
import itertools

from tf_nar import config
from tf_nar.evaluate import comparison
from tf_nar.evaluate import corpus
from tf_nar.evaluate import progress
from tf_nar.evaluate import rescoring
from tf_nar.evaluate import testset


def combinations(tries):
  """["search.beam=1,5", …] -> [("search.beam=1", …), …], every value of each with every one of the others."""
  for each in tries:
    if not str(each).startswith("search.") or "=" not in each:
      raise ValueError(f"--try wants an option of the search and its values, as search.beam=1,5; got {each!r}.")
  names, values = zip(*(each.split("=", 1) for each in tries), strict=True)
  rows = itertools.product(*(each.split(",") for each in values))
  return [tuple(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in rows]


def searches(experiment, tries, settings=()):
  """Returns {options: search} of every combination, on top of `settings`, overrides that all of them have.

  Raises:
    ValueError: for what is no option of the experiment's search, or no value of it.
  """
  return {options: config.override(experiment, *settings, *options).search for options in combinations(tries)}


def measure(run, tried, sources, references, *, tokens_per_batch, teacher=None, known=(), after=lambda systems: None):
  """Translates a text by each search and measures it.

  Args:
    run: what translates; as a `runs.Run`.
    tried: {options: search}, as `searches` gives.
    sources: sentences.
    references: their translations.
    tokens_per_batch: padded source tokens a batch, over all candidates.
    teacher: a run that ranks where a search finds several candidates, so that those compare with searches that find
      one; None: none does.
    known: `comparison.System`s of an earlier call that was stopped; their options are not tried again.
    after: called with all systems so far when there is a new one.

  Returns:
    A list of `comparison.System`, named by their options with spaces between, in the order of `tried`.
  """
  ranked = [search for search in tried.values() if ranks(teacher, search)]
  # Without a search of several candidates the teacher has nothing to rank, which is refused.
  score = teacher and rescoring.by(teacher, run, ranked[0] if ranked else run.experiment.search)
  known, systems = {system.name: system for system in known}, []
  with progress.Progress("translate", total=len(sources) * len(tried)) as bar:
    for options, search in tried.items():
      name = " ".join(options)
      if name in known:
        systems.append(known[name])
        bar.advance(len(sources))
        continue
      _, rows = testset.measure(
        corpus.searcher(run.model, search, score if search in ranked else None), run.vocab, sources, references,
        progress=bar.advance, tokens_per_batch=corpus.positions(run.model, search, tokens_per_batch),
        longest=run.experiment.model.net.max_length)
      systems.append(comparison.system(name, rows))
      after(systems)
  return systems


def ranks(teacher, search):
  """Whether a teacher ranks what a search finds."""
  return bool(teacher) and rescoring.several(search)


def best(systems):
  """Returns the system with the most BLEU, the first of several."""
  return max(systems, key=comparison.bleu)
