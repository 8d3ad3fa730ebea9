"""Measures how fast a config trains, in absolute terms and relative to the machine's fastest matrix products.

tf_nar/cli/bench_train.py has its flags and does the work; in the installed package it is `tf-nar bench_train`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import bench_train

if __name__ == "__main__":
  program.start(bench_train)
