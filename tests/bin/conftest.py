"""Programs of tf_nar/cli, called in this process."""
import importlib

import pytest


@pytest.fixture
def load():
  """Returns a function: the name of a program -> (its module, what calls it with arguments as a shell would)."""
  def load(name):
    program = importlib.import_module(f"tf_nar.cli.{name}")

    def call(*arguments):
      program.flags.values.unparse_flags()  # An earlier call may have left some.
      return program.main(program.flags.parse([name, *map(str, arguments)]))

    return program, call

  return load
