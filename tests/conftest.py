"""What all tests share: a quiet TensorFlow, and the folders of reference numbers and data."""
import os
import pathlib

# Before any test imports TensorFlow: errors and warnings are heard, notes on CPU features are not.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import pytest  # noqa: E402


def _folder(variable, what):
  path = os.environ.get(variable)
  if not path:
    pytest.skip(f"Set {variable} to the folder of {what} to run this test.")
  if not os.path.isdir(path):
    pytest.fail(f"{variable}={path} is not a folder; it should hold {what}.")
  return pathlib.Path(path)


@pytest.fixture(scope="session")
def golden():
  """The folder with `nat_em_tiny.npz` and `tf1_checkpoint/`: numbers of the original TensorFlow 1 program."""
  return _folder("TF_NAR_GOLDEN", "the original program's numbers (nat_em_tiny.npz)")


@pytest.fixture(scope="session")
def multi30k():
  """The folder with Multi30k en-de, raw and `*.lc.norm.tok.*`."""
  return _folder("TF_NAR_MULTI30K", "Multi30k en-de (train.en, train.de, val.en ...)")
