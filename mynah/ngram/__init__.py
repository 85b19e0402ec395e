"""N-gram language models, from counts to text: the yardstick beside every trained network."""

from mynah.ngram.config import NGramConfig
from mynah.ngram.model import NGramModel
from mynah.ngram.scoring import Summary, TokenScore

__all__ = ["NGramConfig", "NGramModel", "Summary", "TokenScore"]
