"""One of several machines of a test: trains as test_strategy.trained does and prints its results."""
import sys

import numpy as np

from tf_nar.train import strategy


def main(out):
  position = strategy.build()  # Before TensorFlow does anything.
  from tests.train import test_strategy

  model, _ = test_strategy.trained(position)
  with position.scope():
    chief, told = strategy.is_chief(), [strategy.any_replica(flag) for flag in (False, strategy.is_chief())]
  assert told == [False, True], told
  np.savez(out, chief=chief, **{v.name: v.numpy() for v in model.variables})


if __name__ == "__main__":
  main(sys.argv[1])
