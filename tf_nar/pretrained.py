"""Trained models that come with the project, in `pretrained/`, by name.

  pretrained/multi30k_en_de            the run folder of a one-pass model, with its model card README.md
  pretrained/multi30k_en_de/teacher    that of its autoregressive teacher

A name works wherever a finished run is expected: `--workdir=multi30k_en_de`, `--rescore_with=multi30k_en_de/teacher`,
`--warm_start=...`, `tf_nar.load("multi30k_en_de")`. A folder of that path in the working directory takes precedence.
`bin/pack.py` makes such a folder.
"""
import os

ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pretrained")
_CONFIG = "config.json"


def find(workdir: str) -> str:
  """Returns the folder of a pretrained model if `workdir` names one and is no folder itself; else `workdir`."""
  inside = os.path.normpath(os.path.join(ROOT, workdir))
  named = inside.startswith(ROOT + os.sep) and not os.path.isabs(workdir)
  if named and not os.path.exists(workdir) and os.path.exists(os.path.join(inside, _CONFIG)):
    return inside
  return workdir


def names() -> list[str]:
  """Returns the names of all pretrained models, sorted."""
  return sorted(os.path.relpath(folder, ROOT).replace(os.sep, "/")
                for folder, _, files in os.walk(ROOT) if _CONFIG in files)
