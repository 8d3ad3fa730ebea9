"""Finds and runs config files: those that come with the package by name, a user's own by path; reads files of settings.
"""
import ast
import difflib
import glob
import inspect
import os
import re
import runpy
from typing import Any

from tf_nar import overrides

# Beside this package, both in a checkout and installed, as configs import each other as `configs`.
CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")


def named() -> dict[str, str]:
  """Returns {name: first line of the docstring} of the configs that come with the package, without importing them."""
  found = {}
  for file in sorted(glob.glob("*.py", root_dir=CONFIGS)):
    if file != "__init__.py":
      with open(os.path.join(CONFIGS, file), encoding="utf-8") as source:
        about = ast.get_docstring(ast.parse(source.read())) or ""
      found[file.removesuffix(".py")] = about.split("\n")[0]
  return found


def found(path: str) -> str:
  """Returns the file of a config, given by its path or by the name of one that comes with the package.

  Raises:
    ValueError: if there is no such config; the message suggests the nearest one.
  """
  if os.path.isfile(path):
    return path
  folder, name = os.path.split(path)
  if not folder and not name.endswith(".py"):
    own = os.path.join(CONFIGS, f"{name}.py")
    if os.path.isfile(own):
      return own
    near = difflib.get_close_matches(name, named(), 1)
    hint = f"Did you mean {near[0]}?" if near else f"The names are {', '.join(named())}; or give a file, like mine.py."
    raise ValueError(f"No config is called {name!r}. {hint}")
  near = difflib.get_close_matches(name, glob.glob("*.py", root_dir=folder or None), 1)
  if near:
    hint = f"Did you mean {os.path.join(folder, near[0])}?"
  elif name.removesuffix(".py") in named():
    hint = f"For the one that comes with the package, give its name: --config={name.removesuffix('.py')}."
  else:
    hint = "Those in configs/ can be given by name."
  raise ValueError(f"No config {path}. {hint}")


def made(path: str, data_dir: str | None = None) -> Any:
  """Runs a config file and returns the result of its get_config(); the arguments are those of `config.load`.

  Raises:
    ValueError: if the file does not exist, is not a Python program or has no get_config().
  """
  path = found(path)
  try:
    names = runpy.run_path(path)
  except (SyntaxError, NameError) as error:
    if not path.endswith(".py"):
      raise ValueError(f"{path} is not a Python program, which the first config must be; a file of settings comes "
                       f"after it, as --config=ar_multi30k --config={path}.") from error
    if isinstance(error, NameError):
      raise
    raise ValueError(f"{path}, line {error.lineno}: {error.msg}; a config is a Python program.") from error
  if "get_config" not in names:
    raise ValueError(f"{path} defines no get_config(), which a config must; see those in configs/.")
  takes = data_dir and "data_dir" in inspect.signature(names["get_config"]).parameters
  return names["get_config"](**{"data_dir": data_dir} if takes else {})


def assignments(path: str) -> list[overrides.Assignment]:
  """Returns the assignments of a file of settings: one name=value a line, as --print_config prints them.

  The origin of each is its line. A comment begins with # at the start of a line or after a space.

  Raises:
    ValueError: if there is no such file, if it is a config, or for a line of another form.
  """
  if path.endswith(".py") or not os.path.isfile(path):
    raise ValueError(f"Only the first --config is a program or a name; those after it are files of settings, one "
                     f"name=value a line, as --print_config prints them. There is no such file {path}.")
  result = []
  with open(path, encoding="utf-8-sig") as lines:
    for number, line in enumerate(lines, 1):
      setting = re.sub(r"(^|\s)#.*", "", line).strip()
      if "=" in setting:
        result.append(overrides.Assignment(setting, f"{path}:{number}"))
      elif setting:
        raise ValueError(f"{path}:{number}: expected name=value, such as train.steps=500; got {setting!r}.")
  return result
