"""Adds fertilities to a data folder by word alignment, for models that predict them (nat_fertility).

tf_nar/cli/align.py has its flags and does the work; in the installed package it is `tf-nar align`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import align

if __name__ == "__main__":
  program.start(align)
