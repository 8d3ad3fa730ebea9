"""Packages that only some exports need, which the extras of setup.py install."""
import importlib
from types import ModuleType


def package(name: str) -> ModuleType:
  """Returns a package.

  Raises:
    ImportError: in one line, if it is not installed.
  """
  try:
    return importlib.import_module(name)
  except ImportError as error:
    raise ImportError(f"Expected {name}, which is not installed: pip install -c constraints-cpu.txt {name}.") from error
