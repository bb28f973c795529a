"""Reads the config.json of a model on Hugging Face: layers, caches, parameters and quantisation."""

from sizing.models.huggingface.fields import ConfigError, UnsupportedModelError
from sizing.models.huggingface.read import architecture, read_config

__all__ = ["ConfigError", "UnsupportedModelError", "architecture", "read_config"]
