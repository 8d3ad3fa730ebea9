"""Load-tests a `bin/serve.py` on this machine: latency p50, p95, p99, sentences/s, errors.

tf_nar/cli/load.py has its flags and does the work; in the installed package it is `tf-nar load`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import load

if __name__ == "__main__":
  program.start(load)
