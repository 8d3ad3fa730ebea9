"""Tries search options on a text: translates all of it with every combination, and picks the one of best BLEU."""
import itertools
from typing import Any, Callable, Iterable, Sequence

from tf_nar import config
from tf_nar.evaluate import comparison
from tf_nar.evaluate import corpus
from tf_nar.evaluate import progress
from tf_nar.evaluate import rescoring
from tf_nar.evaluate import testset


def combinations(tries: Sequence[str]) -> list[tuple[str, ...]]:
  """["search.beam=1,5", …] -> [("search.beam=1", …), …], all combinations of the values."""
  for each in tries:
    if not str(each).startswith("search.") or "=" not in each:
      raise ValueError("--try and a sweep expect an option of the search and its values, as search.beam=1,5; got "
                       f"{each!r}.")
  names, values = zip(*(each.split("=", 1) for each in tries), strict=True)
  rows = itertools.product(*(each.split(",") for each in values))
  return [tuple(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in rows]


def searches(experiment: config.Experiment, tries: Sequence[str],
             settings: Iterable[str] = (), *,
             check: Callable[[config.Experiment], None]) -> dict[tuple[str, ...], Any]:
  """Returns {options: search} of every combination; `settings` are overrides that apply to all of them.

  Of combinations that translate alike, as those that differ in an option that another one turns off
  (`Search.effective`), the first stands for all.

  Args:
    experiment: a `config.Experiment`.
    tries: options and their values, as "search.beam=1,5".
    settings: as "search.beam=20".
    check: `models.check`, which raises if the family has no such search.

  Raises:
    ValueError: for an option that the experiment's search does not have, or a value that does not fit it or its model.
  """
  found, before = {}, []
  for options in combinations(tries):
    tried = config.override(experiment, *settings, *options)
    check(tried)
    effective = tried.search.effective() if hasattr(tried.search, "effective") else tried.search
    if effective not in before:
      found[options] = tried.search
    before.append(effective)
  return found


def measure(run: Any, tried: dict[tuple[str, ...], Any], sources: Sequence[str], references: Sequence[str], *,
            tokens_per_batch: int, teacher: Any = None, known: Iterable[comparison.System] = (),
            after: Callable[[list[comparison.System]], None] = lambda systems: None) -> list[comparison.System]:
  """Translates a text with each search and measures the translations.

  Args:
    run: the `runs.Run` that translates.
    tried: {options: search}, from `searches`.
    sources: sentences.
    references: their translations.
    tokens_per_batch: padded source tokens per batch, over all candidates.
    teacher: a run that ranks the candidates of the searches that return several; those that return one are measured
      without it. None: no rescoring.
    known: `comparison.System`s of an earlier, interrupted call; their options are not tried again.
    after: called with all systems so far whenever one is added.

  Returns:
    A list of `comparison.System`, named by their options with spaces between, in the order of `tried`.
  """
  ranked = [search for search in tried.values() if ranks(teacher, search)]
  # If no search returns several candidates, `rescoring.by` raises, as the teacher has nothing to rank.
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


def ranks(teacher: Any, search: Any) -> bool:
  """Whether there is a teacher, and candidates of the search for it to rank."""
  return bool(teacher) and rescoring.several(search)


def best(systems: Iterable[comparison.System]) -> comparison.System:
  """Returns the system with the best BLEU; of equals the first."""
  return max(systems, key=comparison.bleu)
