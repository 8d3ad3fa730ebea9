"""The work of each stage of `alternate`, from folder to folder.

  teach, study     write run folders, by recipe.run, which resumes from their checkpoints
  propose, score   write a file for each shard of the data, those of one job first; a call resumes at the next shard
  distil, choose   write data folders, in seconds; an interrupted stage starts again
"""
import dataclasses
import os
from typing import Any, Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tf_nar import fit
from tf_nar import recipe
from tf_nar import runs
from tf_nar.data import arrays
from tf_nar.data import corpus as data_corpus
from tf_nar.data import records
from tf_nar.decode import beam
from tf_nar.em import config as config_lib
from tf_nar.em import jobs as jobs_lib
from tf_nar.em import measure as measure_lib
from tf_nar.em import select
from tf_nar.evaluate import corpus
from tf_nar.evaluate import progress
from tf_nar.train import strategy

HELD = 250_000  # Candidates that are held in memory at a time: 0.3 GB at 28 tokens.


class Stages:
  """The stages that `alternate.run` calls."""

  def __init__(self, alternation, data_dir, jobs=None):
    """Takes a `config.Alternation`, the data folder of the original text, and the `jobs.Jobs` that work on it."""
    self._alternation, self._data_dir, self._jobs = alternation, data_dir, jobs or jobs_lib.Jobs()

  def teach(self, data: str, before: str | None, out: str) -> None:
    """Trains a teacher on a data folder; `before` is the teacher of the last round, None in the first.

    In the first, a `first_teacher` is copied instead.
    """
    alternation = self._alternation
    if alternation.first_teacher and not before:
      given = runs.load(alternation.first_teacher)
      searching = dataclasses.replace(given.experiment, search=alternation.teacher.search)
      return _save(given._replace(experiment=fit.for_data(searching, data)), out)
    experiment = config_lib.later(alternation, "teacher") if before else alternation.teacher
    before = before if alternation.warm_start_teacher else None
    recipe.run(experiment, data, out, original_dir=self._data_dir, warm_start=before)

  def study(self, data: str, teacher: str | None, before: str | None, out: str) -> None:
    """Trains a student on a data folder; with `one_model` it writes a run folder with the teacher's weights instead.

    Args:
      data: the data folder.
      teacher: the teacher of the same round; None for a student that is trained on the original text.
      before: the student of the last round; None in the first.
      out: the run folder.
    """
    alternation = self._alternation
    if alternation.one_model:
      return _with_weights(alternation.student, runs.load(teacher), out)
    experiment = config_lib.later(alternation, "student") if before else alternation.student
    before = before if alternation.warm_start_student else None
    teacher = teacher if alternation.student_from_teacher else None
    recipe.run(experiment, data, out, original_dir=self._data_dir, warm_start=before or teacher)

  def propose(self, teacher: str, out: str) -> None:
    """Writes the teacher's n-best list for every source of the original text."""
    run, alternation = runs.load(teacher), self._alternation
    options = config_lib.nbest_search(alternation, run.experiment.search)
    search = corpus.searcher(run.model, options)
    given = dict(tokens_per_batch=alternation.tokens_per_batch, longest=run.experiment.model.net.max_length,
                 limit=corpus.limit(run.model, options))

    def make(path, advance):
      shard = os.path.join(self._data_dir, os.path.basename(path))
      records.write(path, lists(search, shard, alternation.nbest, progress=advance, **given))

    tf.io.gfile.makedirs(out)
    total = data_corpus.read(self._data_dir).splits["train"].pairs
    with progress.Progress("candidates", total=total // self._jobs.jobs) as bar:
      self._jobs.each(self._shards(out), make, bar.advance)

  def distil(self, candidates: str, out: str) -> None:
    """Writes the data folder with the first candidate of each list as the target."""
    self._derive(out, (records.Pair(each.src, each.tokens[0], each.weight, each.index)
                       for path in self._shards(candidates) for each in records.read_candidates(path)))

  def score(self, student: str, first_teacher: str, candidates: str, out: str) -> None:
    """Writes log p of every candidate under the student and, if `quality` is not 0, under the first teacher.

    Each file is an npz with float32 [candidates of the shard], list after list: `student` and, if needed, `quality`.
    """
    judges = {"student": student} | ({"quality": first_teacher} if self._alternation.quality else {})
    judges = {name: runs.load(workdir) for name, workdir in judges.items()}
    scorers = {name: corpus.scorer(run.model) for name, run in judges.items()}
    of = {scores_path(out, shard): shard for shard in self._shards(candidates)}

    def make(path, advance):
      arrays.write(path, {
        name: of_lists(scorers[name], of[path], run.experiment.model.net.max_length, progress=advance,
                       tokens_per_batch=self._alternation.tokens_per_batch) for name, run in judges.items()})

    tf.io.gfile.makedirs(out)
    with progress.Progress("scores", unit="candidates") as bar:
      self._jobs.each(list(of), make, bar.advance)

  def choose(self, candidates: str, scores: str, out: str) -> None:
    """Writes the data folder that the next teacher is trained on."""
    self._derive(out, self._chosen(candidates, scores))

  def measure(self, folders: dict[str, str], out: str) -> None:
    """Writes measures.json, the result of `measure.measure` for a round."""
    tf.io.gfile.makedirs(out)
    measure_lib.write(measure_lib.measure(folders, self._data_dir, self._alternation), out)

  def _chosen(self, candidates, scores):
    for shard in self._shards(candidates):
      of_all, start = arrays.read(scores_path(scores, shard)), 0
      for each in records.read_candidates(shard):
        here = {name: values[start:start + len(each.tokens)] for name, values in of_all.items()}
        start += len(each.tokens)
        yield from chosen(each, here, self._alternation)

  def _shards(self, folder):
    return [os.path.join(folder, os.path.basename(path)) for path in data_corpus.shards(self._data_dir)]

  def _derive(self, out, pairs):
    if tf.io.gfile.exists(out):
      tf.io.gfile.rmtree(out)  # Left by an interrupted call, as it has no DONE.
    data_corpus.derive(self._data_dir, out, pairs, shards=len(data_corpus.shards(self._data_dir)))


def _with_weights(experiment, run, out):
  """Writes a run folder with the weights and training of a `Run`, and the other settings of an experiment."""
  model = dataclasses.replace(experiment.model, net=run.experiment.model.net)
  experiment = dataclasses.replace(run.experiment, model=model, search=experiment.search)
  _save(run._replace(experiment=experiment), out)


def _save(run, out):
  if strategy.is_chief():
    runs.save(run._replace(workdir=out))


def lists(search: Callable, shard: str, nbest: int, **given: Any) -> Iterator[records.Candidates]:
  """Yields the `records.Candidates` of a shard of a data folder, read in windows, as they may not fit in memory.

  Args:
    search: from `corpus.searcher`.
    shard: the path of the shard.
    nbest: number of candidates of the search.
    **given: of `proposed`.
  """
  work = lambda some: proposed(search, some, **given)
  return corpus.stream(work, records.read(shard), window=max(1, HELD // nbest))


def of_lists(score: Callable, shard: str, longest: int, **given: Any) -> np.ndarray:
  """Returns log p of all candidates of a shard, float32 [n], reading them in windows; `given` is of `scored`."""
  pairs = ((each.src, tokens) for each in records.read_candidates(shard) for tokens in each.tokens)
  return np.fromiter(corpus.stream(lambda some: scored(score, some, longest, **given), pairs), np.float32)


def proposed(search: Callable, pairs: Sequence[records.Pair], *, tokens_per_batch: int, longest: int,
             progress: Callable[[int], None] | None = None, limit: Callable | None = None) -> list[records.Candidates]:
  """Returns the `records.Candidates` of some pairs, in their order.

  # Differs: the original keeps empty and duplicate hypotheses.

  Empty hypotheses are left out here, and duplicates by `corpus.translate`. A source that is too long for the teacher,
  or without a nonempty hypothesis, keeps its target as the only candidate, so that every source stays in the corpus.
  """
  readable = [pair.src for pair in pairs if len(pair.src) <= longest]
  if left := len(pairs) - len(readable):
    logging.warning("%d sources are longer than %d tokens, so their targets are kept.", left, longest)
  found = iter(corpus.translate(
    search, readable, tokens_per_batch=tokens_per_batch, longest=longest, progress=progress, limit=limit))
  result = []
  for pair in pairs:
    kept = next(found) if len(pair.src) <= longest else []
    kept = [candidate for candidate in kept if len(candidate.tokens) > 1]
    kept = kept or [corpus.Candidate(pair.tgt, 0.0)]  # The score does not matter in a list of one.
    result.append(records.Candidates(pair.index, pair.src, *map(list, zip(*kept, strict=True)), pair.weight))
  return result


def scored(score: Callable, pairs: Sequence[tuple[list[int], list[int]]], longest: int, *, tokens_per_batch: int,
           progress: Callable[[int], None] | None = None) -> np.ndarray:
  """Returns log p of (source, target) pairs, float32 [n]; -inf for a source that is too long for the model."""
  readable = [i for i, (source, _) in enumerate(pairs) if len(source) <= longest]
  scores = np.full(len(pairs), -np.inf, np.float32)
  scores[readable] = corpus.score(score, [pairs[i] for i in readable], tokens_per_batch=tokens_per_batch,
                                  longest=longest, progress=progress)
  return scores


def chosen(candidates: records.Candidates, scores: dict[str, np.ndarray],
           alternation: config_lib.Alternation) -> Iterator[records.Pair]:
  """Yields the `records.Pair`s that are kept of one source: weighted ones by the soft rule, one by the others.

  Args:
    candidates: `records.Candidates`.
    scores: dict with "student" and, if needed, "quality", float [N].
    alternation: `config.Alternation`.
  """
  lengths = [len(tokens) for tokens in candidates.tokens]
  merits = select.merit(scores["student"], lengths, normalize=alternation.normalize,
                        quality=scores.get("quality"), weight=alternation.quality)
  if alternation.rule != "soft":
    kept = select.best(merits) if alternation.rule == "hard" else 0  # Candidates are best first.
    yield records.Pair(candidates.src, candidates.tokens[kept], candidates.weight, candidates.index)
    return
  # The beam's scores are log p / penalty.
  kind = alternation.teacher.search.penalty
  proposal = candidates.scores * np.asarray(beam.length_penalty(lengths, alternation.nbest_alpha, kind))
  for tokens, weight in zip(candidates.tokens, select.weights(merits, proposal), strict=True):
    if weight > 0:
      yield records.Pair(candidates.src, tokens, float(weight) * candidates.weight, candidates.index)


def scores_path(folder: str, shard: str) -> str:
  """Returns the path of the scores of a shard, in the folder of the scores."""
  return os.path.join(folder, f"{os.path.basename(shard)}.npz")
