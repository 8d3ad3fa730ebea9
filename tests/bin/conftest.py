"""Programs of tf_nar/cli, called in this process."""
import importlib

import pytest
from absl import logging

from tests.bin import backwards
from tests.bin import people
from tf_nar import config
from tf_nar import runs
from tf_nar.models import ar


@pytest.fixture
def load():
  """Returns a function: the name of a program -> (its module, a function that calls it with arguments as a shell)."""
  def load(name):
    program = importlib.import_module(f"tf_nar.cli.{name}")

    def call(*arguments):
      program.flags.values.unparse_flags()  # An earlier call may have left some values.
      return program.main(program.flags.parse([name, *map(str, arguments)]))

    return program, call

  return load


@pytest.fixture
def refused(load):
  """Returns a function: the name of a program and arguments that it refuses -> the one line that it ends with."""
  return lambda name, *arguments: people.refused(load(name)[1], *arguments)


@pytest.fixture
def vocab():
  """The vocabulary of the model that programs load under `call`."""
  return backwards.VOCAB


@pytest.fixture
def call(monkeypatch, load, vocab):
  """Returns a function that runs a program with arguments, as a shell would, on a fake run."""
  def load_run(workdir, overrides=()):
    net = ar.transformer.Config(max_length=6)
    experiment = config.override(config.Experiment("ar", ar.Config(net), ar.Search(beam=4)), *overrides)
    return runs.Run(experiment, backwards.Backwards(), vocab, workdir)

  def run(name, *arguments):
    monkeypatch.setattr(runs, "load", load_run)
    load(name)[1]("--workdir=runs/x", *arguments)
  return run


@pytest.fixture
def warnings(monkeypatch):
  """The warnings that programs log, in order."""
  said = []
  monkeypatch.setattr(logging, "warning", lambda text, *values: said.append(text % values))
  return said


@pytest.fixture
def text(tmp_path):
  def write(name, content):
    (tmp_path / name).write_text(content)
    return tmp_path / name
  return write
