"""Scores given translations with a model: log p(target | source) in nats, one number per line.

tf_nar/cli/score.py has its flags and does the work; in the installed package it is `tf-nar score`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import score

if __name__ == "__main__":
  program.start(score)
