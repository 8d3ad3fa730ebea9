"""An OpenVINO folder of `bin/export_openvino.py` for a server, with the interface of `loaded.Model`.

It translates by the folder's own translate.py, and offers `translate` and `candidates`.
"""
import math
import os
import runpy
from typing import Sequence

from tf_nar.data import json_file
from tf_nar.serve import loaded

NETWORK, PROGRAM, FACTS = "model.xml", "translate.py", "metadata.json"


def is_in(folder: str) -> bool:
  """Whether a folder is such an export."""
  return os.path.exists(os.path.join(folder, NETWORK))


class Model(loaded.Model):
  """`facts` is the metadata of the folder, `offers` the names of its offers."""

  def __init__(self, folder):
    """Loads the folder.

    Raises:
      ValueError: for another folder.
      ImportError: if openvino, or a tokeniser, is not installed.
    """
    if not is_in(folder):
      raise ValueError(f"Expected an OpenVINO model, got {folder} without a {NETWORK}; give the --out of "
                       "bin/export_openvino.py.")
    try:
      self._translator = runpy.run_path(os.path.join(folder, PROGRAM))["Translator"](folder)
    except ModuleNotFoundError as missing:
      raise ImportError(f"{missing.name} is missing, which {folder} needs; pip install -c constraints-cpu.txt -e "
                        "'.[openvino]'.") from None
    self.facts, self.offers = json_file.read(os.path.join(folder, FACTS)), ("translate", "candidates")

  def answer(self, offer: str, asked: Sequence[str]) -> list[loaded.Answer]:
    """Returns a list with a `loaded.Answer` for each of `asked`."""
    found = []
    for candidates, cut in self._translator.answers(asked):
      contents = [loaded.scored(*each) for each in candidates if each[1] > -math.inf]
      found.append(loaded.Answer(contents if offer == "candidates" else contents[0], cut))
    return found
