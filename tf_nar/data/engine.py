"""Apache Beam, which is optional: work in independent pieces on the machines of a cluster, or in several processes.

Everything that is run so can also be run without, and gives the same bytes. Modules that import apache_beam are
imported only if a runner is given.
"""
import contextlib
import os
import pathlib
from typing import Any, Iterator, NamedTuple

from tf_nar.data import atomic

DIRECT = "direct", "directrunner"
ROOT = str(pathlib.Path(__file__).parent.parent.parent)


class Engine(NamedTuple):
  """A runner of Apache Beam and its options."""

  runner: str  # As Beam names it: DirectRunner, DataflowRunner ...
  options: tuple[str, ...] = ()  # As Beam reads them: ("--direct_num_workers=2",).


def check(engine: Engine, *names: str) -> None:
  """Checks, before long work starts, that an engine is installed and can reach the files and folders of its work.

  Raises:
    ImportError: if apache_beam is not installed.
    ValueError: for an unknown runner, or a local path where the machines of the runner are others.
  """
  try:
    import apache_beam  # noqa: F401  Alone, as Python may know its parts already.
    from apache_beam.runners import runner
  except ImportError:
    raise ImportError(f"--runner={engine.runner} needs apache-beam, which is not installed: pip install -c "
                      "constraints-beam.txt -e '.[beam]' in an environment of its own; or leave it out.") from None
  local = [name for name in names if not atomic.is_remote(name)]
  if "dataflow" in engine.runner.lower() and local:
    raise ValueError(f"The machines of --runner={engine.runner} do not see {local[0]}; copy it to gs://, and give "
                     "gs:// paths only.")
  runner.create_runner(engine.runner)


@contextlib.contextmanager
def pipeline(engine: Engine) -> Iterator[Any]:
  """Context manager of a new `beam.Pipeline`, which runs at the end of the context, to its end."""
  import apache_beam as beam
  from apache_beam.options import pipeline_options
  # Beam's DirectRunner is a choice of two runners, and first tries to download the one that has no processes.
  runner = "FnApiRunner" if engine.runner.lower() in DIRECT else engine.runner
  with _for_children(ROOT), beam.Pipeline(runner, pipeline_options.PipelineOptions(list(engine.options))) as made:
    yield made


@contextlib.contextmanager
def _for_children(folder):
  """Lets processes that are started in the context import what is in a folder, as a checkout need not be installed."""
  before = os.environ.get("PYTHONPATH")
  os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, before)))
  try:
    yield
  finally:
    del os.environ["PYTHONPATH"]
    if before is not None:
      os.environ["PYTHONPATH"] = before
