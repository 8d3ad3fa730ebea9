"""Exports a run to a SavedModel that translates strings and does not need this project.

tf_nar/cli/export.py has its flags and does the work; in the installed package it is `tf-nar export`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import export

if __name__ == "__main__":
  program.start(export)
