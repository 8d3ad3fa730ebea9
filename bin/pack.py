"""Copies a finished run into a small folder to publish.

tf_nar/cli/pack.py has its flags and does the work; in the installed package it is `tf-nar pack`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import pack

if __name__ == "__main__":
  program.start(pack)
