"""What tests count in an architecture."""

from __future__ import annotations

from sizing.models.architecture import AttentionCache, LatentCache
from sizing.models.models import Model


def full_attention_layers(model: Model) -> int:
    """Layers that keep something of every token, however long the context is."""
    return sum(
        isinstance(layer.cache, LatentCache)
        or (isinstance(layer.cache, AttentionCache) and layer.cache.grows)
        for layer in model.architecture.layers
    )
