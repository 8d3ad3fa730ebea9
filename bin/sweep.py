"""Tries options of a search on validation text, and says which are best there.

tf_nar/cli/sweep.py has its flags and its work; installed, it is `tf-nar sweep`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import sweep

if __name__ == "__main__":
  program.start(sweep)
