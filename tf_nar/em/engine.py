"""The jobs of `distill` by Apache Beam: RunInference of the exported models, over batches of sentences of like length.

  a file to write -> its batches -> the answers to each -> the file

The batches are those of `evaluate.corpus`, and so are the same as without a runner: a batch is found by computing the
file with models that answer nothing and note what they are asked, and the file is written by computing it again with
models that have the answers ready. So every number is the same, bit for bit, on machines of the same kind.
"""
import collections
import functools
from typing import Any, Iterator, Sequence

import apache_beam as beam
from apache_beam.ml.inference import base

from tf_nar.data import atomic
from tf_nar.data import engine as engine_lib
from tf_nar.em import exported


class Handler(base.ModelHandler):
  """Applies an exported model to batches: an example is the arguments of a batch, its prediction the model's result."""

  def __init__(self, folder, signature):
    super().__init__(min_batch_size=1, max_batch_size=1)  # An example is a whole batch.
    self._folder, self._signature = folder, signature

  def load_model(self) -> Any:
    """Returns the function of a batch."""
    return exported.load(self._folder, self._signature)

  def run_inference(self, batch: Sequence[tuple], model: Any, inference_args: Any = None) -> Iterator:
    """Yields the result for each example."""
    return (model(*example) for example in batch)


def run(job: Any, engine: engine_lib.Engine) -> None:
  """Writes the missing files of a job.

  Args:
    job: a `distill.Nbest` or `distill.Scores`.
    engine: `data.engine.Engine`.
  """
  missing = [path for path in job.files if not atomic.exists(path)]
  with engine_lib.pipeline(engine) as pipeline:
    paths = pipeline | "files" >> beam.Create(missing) | "to all workers" >> beam.Reshuffle()
    asked = paths | "batches" >> beam.FlatMap(functools.partial(_batches, job)) | "spread" >> beam.Reshuffle()
    answers = [asked | f"of {name}" >> beam.Filter(functools.partial(_is_of, name)) | name >> base.RunInference(
      base.KeyedModelHandler(Handler(folder, job.signature))) for name, folder in job.models.items()]
    answers = answers | "together" >> beam.Flatten() | "by file" >> beam.MapTuple(_by_file)
    _ = ({"path": paths | beam.Map(_alone), "answers": answers} | "of a file" >> beam.CoGroupByKey()
         | "write" >> beam.MapTuple(functools.partial(_write, job)))


def _batches(job, path):
  """Yields ((path, name of a model, number), arguments) of all batches of a file."""
  asked = []

  def note(name, *batch):
    asked.append((name, batch))
    return job.nothing(*batch)

  collections.deque(job.content(path, _each(job, note), lambda count: None), 0)
  for number, (name, batch) in enumerate(asked):
    yield (path, name, number), batch


def _write(job, path, found):
  """Writes a file, given {"answers": its (name of a model, number, answer) in any order}."""
  ready = {name: iter([answer for other, _, answer in sorted(found["answers"], key=_number) if other == name])
           for name in job.models}
  job.write(path, job.content(path, _each(job, lambda name, *batch: next(ready[name])), lambda count: None))


def _each(job, function):
  """Returns {name of a model: function of a batch}, given a function of such a name and a batch."""
  return {name: functools.partial(function, name) for name in job.models}


def _is_of(name, element):
  return element[0][1] == name


def _by_file(key, answer):
  path, name, number = key
  return path, (name, number, answer)


def _number(answer):
  return answer[1]


def _alone(path):
  return path, None
