"""Compares the latency and throughput of a NAR model with those of AR models, measured in turns in one run.

tf_nar/cli/latency.py has its flags and does the work; in the installed package it is `tf-nar latency`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import latency

if __name__ == "__main__":
  program.start(latency)
