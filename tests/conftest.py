"""What all tests share: a quiet TensorFlow, two devices, and the folders of reference numbers and data."""
import os
import pathlib

# Set before any test imports TensorFlow, so that it logs warnings and errors but not its CPU features.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

from tests.export import fresh  # noqa: E402
from tf_nar.export import verify  # noqa: E402
from tf_nar.ops import graphs  # noqa: E402

# Devices are fixed when TensorFlow first uses one. Tests run on the first unless they request more.
tf.config.set_logical_device_configuration(
  tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)


def pytest_collection_modifyitems(items):
  """Slow tests may take as long as they need on a busy machine; the limit of pyproject.toml is for the others."""
  for item in items:
    if item.get_closest_marker("slow"):
      item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="module", autouse=True)
def freed():
  """Frees the graphs of a test file after its last test."""
  with graphs.freed():
    yield


def _folder(variable, what):
  path = os.environ.get(variable)
  if not path:
    pytest.skip(f"Set {variable} to the folder of {what} to run this test.")
  if not os.path.isdir(path):
    pytest.fail(f"{variable}={path} is not a folder; it should hold {what}.")
  return pathlib.Path(path)


@pytest.fixture(scope="session")
def golden():
  """The folder with `nat_em_tiny.npz` and `tf1_checkpoint/`: reference results of the original TensorFlow 1 program."""
  return _folder("TF_NAR_GOLDEN", "the original program's numbers (nat_em_tiny.npz)")


@pytest.fixture(scope="session")
def two():
  """The only strategy of two replicas, as TensorFlow's collectives confuse those of several strategies."""
  return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def _processes():
  with fresh.Processes() as processes:
    yield processes


@pytest.fixture
def one_process(_processes, monkeypatch):
  """Exports are checked by one process without this package, instead of one each, which takes seconds to start."""
  monkeypatch.setattr(verify, "subprocess", _processes)


@pytest.fixture(scope="session")
def multi30k():
  """The folder with Multi30k en-de, raw and `*.lc.norm.tok.*`."""
  return _folder("TF_NAR_MULTI30K", "Multi30k en-de (train.en, train.de, val.en ...)")


@pytest.fixture
def write(tmp_path):
  """Returns a function that writes bytes to a new file of a given name and returns its path."""
  def written(name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)
  return written
