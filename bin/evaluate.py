"""Translates a test set, measures it, and says what each number means.

tf_nar/cli/evaluate.py has its flags and its work; installed, it is `tf-nar evaluate`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import evaluate

if __name__ == "__main__":
  program.start(evaluate)
