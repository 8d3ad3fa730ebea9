"""Two stages of EM by exported models, for all of a text: n-best lists, and the scores of such lists.

  Nbest     for each shard of a data folder, the candidates of a teacher      as the stage `candidates`
  Scores    for each shard of candidates, log p of each under a student       as the stage `scores`

A job of either kind has the SavedModels that it needs (`models`) and the files to write, each with the file it is made
of (`files`). `content(path, run, advance)` computes a file, given the functions of the models, and `write` writes it.
`run` works in this process; `engine.run` lets a runner of Apache Beam do the same.
"""
import dataclasses
import hashlib
import json
import os
from typing import Any, Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import arrays
from tf_nar.data import atomic
from tf_nar.data import corpus as data_corpus
from tf_nar.data import json_file
from tf_nar.data import records
from tf_nar.em import exported
from tf_nar.em import jobs as jobs_lib
from tf_nar.em import stages
from tf_nar.evaluate import progress

OF = "distill.json"  # Tells of which models and text a folder is.


@dataclasses.dataclass(frozen=True)
class Nbest:
  """The n-best lists of a text; n is the number of candidates of the exported search."""

  models: dict[str, str]  # {"teacher": folder of a SavedModel}.
  files: dict[str, str]  # Path of the candidates -> that of the shard of the text.
  tokens_per_batch: int
  facts: dict[str, dict]  # Name of a model -> its metadata.
  signature = exported.SEARCH
  what = "candidates", "sentences"

  def content(self, path: str, run: dict[str, Callable], advance: Callable[[int], None]) -> Iterator:
    """Yields the `records.Candidates` of a file; `advance` is called with numbers of new ones."""
    facts = self.facts["teacher"]
    return stages.lists(run["teacher"], self.files[path], facts["candidates"], longest=facts["max_length"],
                        tokens_per_batch=self.tokens_per_batch, progress=advance)

  def write(self, path: str, content: Iterable) -> None:
    """Writes a file."""
    records.write(path, content)

  @staticmethod
  def nothing(ids: np.ndarray) -> types.Translation:
    """Returns the result of a search that finds nothing."""
    return types.Translation(np.zeros([len(ids), 1, 1], np.int32), np.full([len(ids), 1], -np.inf), np.int32(0))


@dataclasses.dataclass(frozen=True)
class Scores:
  """Log p of all candidates of a text, under a student and perhaps under another model."""

  models: dict[str, str]  # {"student": folder of a SavedModel}, and perhaps "quality".
  files: dict[str, str]  # Path of the scores -> that of the candidates.
  tokens_per_batch: int
  facts: dict[str, dict]  # Name of a model -> its metadata.
  signature = exported.SCORE
  what = "scores", "candidates"

  def content(self, path: str, run: dict[str, Callable], advance: Callable[[int], None]) -> dict[str, np.ndarray]:
    """Returns {name: float32 [candidates of the shard]}; `advance` is called with numbers of new scores."""
    return {name: stages.of_lists(run[name], self.files[path], self.facts[name]["max_length"],
                                  tokens_per_batch=self.tokens_per_batch, progress=advance) for name in self.models}

  def write(self, path: str, content: dict[str, np.ndarray]) -> None:
    """Writes a file."""
    arrays.write(path, content)

  @staticmethod
  def nothing(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns scores of no meaning."""
    return np.zeros([len(source)], np.float32)


def nbest(teacher: str, data_dir: str, out: str, tokens_per_batch: int) -> Nbest:
  """Returns the job of the n-best lists of a data folder.

  Args:
    teacher: folder of the SavedModel.
    data_dir: the data folder.
    out: the folder to write.
    tokens_per_batch: padded source tokens per batch.

  Raises:
    FileNotFoundError, ValueError: for another model, or one of another vocabulary.
  """
  models = {"teacher": teacher}
  facts = _facts(models, exported.SEARCH, data_dir)
  files = {os.path.join(out, os.path.basename(path)): path for path in data_corpus.shards(data_dir)}
  return Nbest(models, files, tokens_per_batch, facts)


def scores(models: dict[str, str], data_dir: str, candidates: str, out: str, tokens_per_batch: int) -> Scores:
  """Returns the job of the scores of n-best lists.

  Args:
    models: {"student": folder of a SavedModel}, and perhaps "quality", the first teacher.
    data_dir: the data folder that the candidates are of.
    candidates: the folder of the candidates.
    out: the folder to write.
    tokens_per_batch: padded tokens of one side per batch.

  Raises:
    FileNotFoundError: if a shard has no candidates.
    ValueError: as `nbest`.
  """
  facts = _facts(models, exported.SCORE, data_dir)
  shards = [os.path.join(candidates, os.path.basename(path)) for path in data_corpus.shards(data_dir)]
  for shard in shards:
    if not atomic.exists(shard):
      raise FileNotFoundError(f"No {shard}, though {data_dir} has a shard of this name; finish the candidates first, "
                              "or give the --data_dir that they are of.")
  return Scores(models, {stages.scores_path(out, shard): shard for shard in shards}, tokens_per_batch, facts)


def _facts(models, signature, data_dir):
  vocabulary = data_corpus.read(data_dir).vocabulary_sha256
  found = {name: exported.describe(folder, signature) for name, folder in models.items()}
  for name, facts in found.items():
    if facts["vocabulary_sha256"] != vocabulary:
      raise ValueError(f"The vocabulary of {models[name]} (SHA-256 {facts['vocabulary_sha256'][:8]}) is not that of "
                       f"{data_dir} ({vocabulary[:8]}); give a model that was trained on this folder, or prepare the "
                       "text with --reuse_vocab.")
  return found


def begin(job: Any, data_dir: str, out: str) -> None:
  """Makes the folder of a job, with a file that tells of which models and text it is.

  Raises:
    ValueError: if it was begun with others; the message names them.
  """
  made_of = {name: _digest(os.path.join(folder, "fingerprint.pb")) for name, folder in job.models.items()}
  made_of |= {"text": data_corpus.digests(data_dir)[0], "tokens_per_batch": job.tokens_per_batch}
  path = os.path.join(out, OF)
  if atomic.exists(path):
    before = json_file.read(path)
    if changed := [name for name in sorted(made_of | before) if made_of.get(name) != before.get(name)]:
      raise ValueError(f"{out} was begun with another {' and '.join(changed)}; choose another --out, or give the same "
                       "to complete it.")
  tf.io.gfile.makedirs(out)
  atomic.write(path, json.dumps(made_of, indent=1).encode())


def _digest(path):
  with atomic.open_read(path) as file:
    return hashlib.sha256(file.read()).hexdigest()


def run(job: Any, jobs: jobs_lib.Jobs) -> None:
  """Writes the missing files of a job in this process, which may be one of several."""
  functions = {name: exported.load(folder, job.signature) for name, folder in job.models.items()}
  what, unit = job.what
  with progress.Progress(what, unit=unit) as bar:
    jobs.each(list(job.files), lambda path, advance: job.write(path, job.content(path, functions, advance)),
              bar.advance)
