"""Serves an exported model over HTTP: JSON in, JSON out, and a page to try it in a browser.

tf_nar/cli/serve.py has its flags and its work; installed, it is `tf-nar serve`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import serve

if __name__ == "__main__":
  program.start(serve)
