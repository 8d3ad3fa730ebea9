"""How fast a NAR model translates, and how fast the AR models do that one could have used instead, in one run.

tf_nar/cli/latency.py has its flags and its work; installed, it is `tf-nar latency`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import latency

if __name__ == "__main__":
  program.start(latency)
