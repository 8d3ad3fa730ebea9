"""What all tests share: a quiet TensorFlow, two devices, and the folders of reference numbers and data."""
import os
import pathlib

# Before any test imports TensorFlow: errors and warnings are heard, notes on CPU features are not.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

# Devices are fixed when TensorFlow first uses one. Work stays on the first unless a test asks for more.
tf.config.set_logical_device_configuration(
  tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)


def pytest_collection_modifyitems(items):
  """Slow tests may take as long as they need on a busy machine; the limit of pyproject.toml is for the others."""
  for item in items:
    if item.get_closest_marker("slow"):
      item.add_marker(pytest.mark.timeout(3600))


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
def two():
  """A strategy of two replicas. The only one: TensorFlow's collectives mix up those of a second."""
  return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def multi30k():
  """The folder with Multi30k en-de, raw and `*.lc.norm.tok.*`."""
  return _folder("TF_NAR_MULTI30K", "Multi30k en-de (train.en, train.de, val.en ...)")
