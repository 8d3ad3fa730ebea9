"""Config files: those that come with the package, by their names, and a user's own, as files."""
import ast
import difflib
import glob
import os

# Beside this package, in a checkout and where it is installed: they import each other as `configs`.
CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")


def named():
  """Returns {name: the first line of its docstring} of the configs that come with the package, which imports none."""
  found = {}
  for file in sorted(glob.glob("*.py", root_dir=CONFIGS)):
    if file != "__init__.py":
      with open(os.path.join(CONFIGS, file), encoding="utf-8") as source:
        about = ast.get_docstring(ast.parse(source.read())) or ""
      found[file.removesuffix(".py")] = about.split("\n")[0]
  return found


def found(path):
  """Returns the file of a config, given as a path or as the name of one that comes with the package.

  Raises:
    ValueError: if there is none.
  """
  if os.path.isfile(path):
    return path
  folder, name = os.path.split(path)
  if not folder and not name.endswith(".py"):
    own = os.path.join(CONFIGS, f"{name}.py")
    if os.path.isfile(own):
      return own
    near = difflib.get_close_matches(name, named(), 1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(named())}; or give a file, as mine.py."
    raise ValueError(f"No config is called {name!r}. {hint}")
  near = difflib.get_close_matches(name, glob.glob("*.py", root_dir=folder or None), 1)
  if near:
    hint = f"Did you mean {os.path.join(folder, near[0])}?"
  elif name.removesuffix(".py") in named():
    hint = f"The one that comes with the package is --config={name.removesuffix('.py')}."
  else:
    hint = "There are some in configs/, of which the name will do."
  raise ValueError(f"No config {path}. {hint}")
