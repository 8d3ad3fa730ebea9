"""Trains the model that a config describes.

tf_nar/cli/train.py has its flags and does the work; in the installed package it is `tf-nar train`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import train

if __name__ == "__main__":
  program.start(train)
