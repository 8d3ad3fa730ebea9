"""Text to the ids of a vocabulary and back, for the translate.py beside it."""
import os

PAD, EOS, UNK, BOS, MASK = range(5)


class Words:
  """A vocabulary that is a list of tokens, with or without byte-pair merges."""

  def __init__(self, prefix):
    """Args: prefix: what the paths of its files begin with."""
    path = lambda name: prefix + name
    with open(path("vocab.txt"), encoding="utf-8", newline="\n") as file:
      tokens = file.read().removesuffix("\n").split("\n")
    reserved = 5 if tokens[4:5] == ["<mask>"] else 4
    self._ids = {token: number for number, token in enumerate(tokens) if number >= reserved}
    part = [token.endswith("@@") and token != "@@" for token in tokens]
    self._surfaces = [token.removesuffix("@@") if inside else f"{token} "
                      for token, inside in zip(tokens, part, strict=True)]
    for silent in {PAD, BOS} | ({MASK} if reserved == 5 else set()):
      self._surfaces[silent] = ""
    self._merges = None
    if os.path.exists(path("bpe.codes")):
      from subword_nmt import apply_bpe
      with open(path("bpe.codes"), encoding="utf-8") as file:
        self._merges = apply_bpe.BPE(file, vocab=set(self._ids))

  def encode(self, line: str) -> list[int]:
    words = [word for word in line.split(" ") if word]
    return [self._ids.get(word, UNK) for word in (self._merges.segment_tokens(words) if self._merges else words)]

  def decode(self, ids: list[int]) -> str:
    return "".join(self._surfaces[i] for i in _until_end(ids)).removesuffix(" ")


class Pieces:
  """A vocabulary that is a SentencePiece model."""

  def __init__(self, prefix):
    import sentencepiece
    self._pieces = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}vocab.model")
    tokens = [self._pieces.id_to_piece(number) for number in range(len(self._pieces))]
    self._silent = {PAD, BOS} | ({MASK} if tokens[MASK] == "<mask>" else set())

  def encode(self, line: str) -> list[int]:
    return self._pieces.encode(line)

  def decode(self, ids: list[int]) -> str:
    return self._pieces.decode([i for i in _until_end(ids) if i not in self._silent])


def _until_end(ids):
  """Returns the list of ids before the first EOS."""
  ids = [int(i) for i in ids]
  return ids[:ids.index(EOS)] if EOS in ids else ids
