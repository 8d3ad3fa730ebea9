"""Serves an exported model over HTTP: a JSON API, and a page to try it in a browser.

tf_nar/cli/serve.py has its flags and does the work; in the installed package it is `tf-nar serve`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import serve

if __name__ == "__main__":
  program.start(serve)
