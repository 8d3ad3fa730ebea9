"""Silences TensorFlow's start-up log lines on oneDNN, CUDA and the processor, which hide the output of a program."""
import glob
import os

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_GPUS = "/dev/nvidia[0-9]*", "/dev/dxg"  # The latter is the GPU device of the Windows Subsystem for Linux.


def hush() -> None:
  """Lets TensorFlow log errors only, unless the user has set a level; call it before TensorFlow is imported.

  Without a GPU it logs nothing at all, as TensorFlow reports the missing GPU as an error; failures still raise.
  """
  if _LEVEL not in os.environ:
    os.environ[_LEVEL] = "2" if any(map(glob.glob, _GPUS)) else "3"
