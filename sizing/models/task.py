"""What a model is asked for: text, vectors, or an order of documents."""

from typing import Literal

Task = Literal["generate", "embed", "rerank"]
