"""Translates a test set, measures the translations, and explains each number.

tf_nar/cli/evaluate.py has its flags and does the work; in the installed package it is `tf-nar evaluate`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import evaluate

if __name__ == "__main__":
  program.start(evaluate)
