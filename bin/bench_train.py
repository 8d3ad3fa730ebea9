"""Measures how fast a config trains, and what share of the machine's best products of matrices that is.

tf_nar/cli/bench_train.py has its flags and its work; installed, it is `tf-nar bench_train`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import bench_train

if __name__ == "__main__":
  program.start(bench_train)
