"""Translates or scores a whole training text by exported models: n-best lists of a teacher, scores of a student.

tf_nar/cli/distill.py has its flags and does the work; in the installed package it is `tf-nar distill`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import distill

if __name__ == "__main__":
  program.start(distill)
