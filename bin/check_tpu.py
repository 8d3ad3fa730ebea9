"""Checks on a machine without a TPU whether an experiment will run on one.

tf_nar/cli/check_tpu.py has its flags and does the work; in the installed package it is `tf-nar check_tpu`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import check_tpu

if __name__ == "__main__":
  program.start(check_tpu)
