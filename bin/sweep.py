"""Tries search options on validation text, and prints those with the best BLEU.

tf_nar/cli/sweep.py has its flags and does the work; in the installed package it is `tf-nar sweep`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import sweep

if __name__ == "__main__":
  program.start(sweep)
