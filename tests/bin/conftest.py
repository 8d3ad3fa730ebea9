"""Programs of bin/, loaded into this process."""
import importlib.util
import pathlib

import pytest
from absl import flags

BIN = pathlib.Path(__file__).parents[2] / "bin"
KINDS = "DEFINE_string", "DEFINE_multi_string", "DEFINE_integer", "DEFINE_bool", "DEFINE_enum", "DEFINE_list"


@pytest.fixture
def load(monkeypatch):
  """Returns a function: the name of a program -> (its module, what calls it with arguments as a shell would)."""
  def load(name):
    values = flags.FlagValues()  # Programs share names of flags, so each has its own set.
    with monkeypatch.context() as patch:
      for kind in KINDS:
        define = getattr(flags, kind)
        patch.setattr(flags, kind, lambda *args, define=define, **kw: define(*args, flag_values=values, **kw))
      spec = importlib.util.spec_from_file_location(f"{name}_program", BIN / f"{name}.py")
      program = importlib.util.module_from_spec(spec)
      spec.loader.exec_module(program)
    return program, lambda *arguments: program.main(values([name, *map(str, arguments)]))

  return load
