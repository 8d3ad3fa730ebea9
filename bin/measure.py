"""Measures the conditional total correlation of a text: what any model with independent tokens loses on it.

tf_nar/cli/measure.py has its flags and does the work; in the installed package it is `tf-nar measure`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import measure

if __name__ == "__main__":
  program.start(measure)
