"""Says whether a TPU will take an experiment, on a machine that has none.

tf_nar/cli/check_tpu.py has its flags and its work; installed, it is `tf-nar check_tpu`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import check_tpu

if __name__ == "__main__":
  program.start(check_tpu)
