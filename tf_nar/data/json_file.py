"""Reads the JSON files of data and run folders."""
import json
from typing import Any, Callable

from tf_nar.data import atomic


def read(path: str, build: Callable[[Any], Any] = lambda value: value) -> Any:
  """Returns build(value) of the object in a JSON file, local or gs://.

  Raises:
    ValueError: if the file is no JSON, or if `build` does not find in it what it needs; the message names the file.
  """
  with atomic.open_read(path) as file:
    data = file.read()
  try:
    value = json.loads(data)
  except (ValueError, RecursionError) as problem:
    raise ValueError(f"{path} is no JSON ({problem}); restore it, or make its folder again.") from None
  try:
    return build({**value})
  except (KeyError, TypeError, AttributeError) as problem:
    raise ValueError(f"{path} lacks what belongs in it ({type(problem).__name__}: {problem}); restore it, or make its "
                     "folder again.") from problem
