"""Measures how fast one core prepares text, and which step takes the time.

tf_nar/cli/bench_prepare.py has its flags and does the work; in the installed package it is `tf-nar bench_prepare`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import bench_prepare

if __name__ == "__main__":
  program.start(bench_prepare)
