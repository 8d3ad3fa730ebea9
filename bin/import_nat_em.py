"""Imports a TensorFlow 1 checkpoint of the original NAT-EM program, AR or NAR, as a run.

tf_nar/cli/import_nat_em.py has its flags and does the work; in the installed package it is `tf-nar import_nat_em`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import import_nat_em

if __name__ == "__main__":
  program.start(import_nat_em)
