"""Reads the config.json of a model on Hugging Face: layers, caches, parameters and quantisation."""

from serving.huggingface.fields import ConfigError, UnsupportedModelError
from serving.huggingface.read import architecture, read_config

__all__ = ["ConfigError", "UnsupportedModelError", "architecture", "read_config"]
