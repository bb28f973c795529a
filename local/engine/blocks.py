"""The KV cache as vLLM keeps it: blocks of equal size, shared by equal prefixes, the least recently used
first to go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class BlockPool:
    """`blocks` KV blocks, none of them in use.

    A block that nobody uses keeps its key until its memory is needed, so a later prompt with the same prefix
    finds it. Such a block counts as free, as in vLLM.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks))
        self._users = [0] * blocks
        self._key_of: dict[int, int] = {}
        self._block_of: dict[int, int] = {}

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def usage(self) -> float:
        """Share of the blocks in use, 0 to 1."""
        return 1 - len(self._free) / self.blocks

    def cached_prefix(self, keys: Sequence[int]) -> list[int]:
        """The blocks that hold the longest known prefix of `keys`. They are not taken yet."""
        found = []
        for key in keys:
            block = self._block_of.get(key)
            if block is None:
                break
            found.append(block)
        return found

    def unused_of(self, blocks: Sequence[int]) -> int:
        """How many of `blocks` nobody uses, hence how many fewer are free once they are shared."""
        return sum(1 for block in blocks if not self._users[block])

    def share(self, blocks: Sequence[int]) -> None:
        """Adds a user to blocks that hold a known prefix."""
        for block in blocks:
            if not self._users[block]:
                del self._free[block]
            self._users[block] += 1

    def take(self, count: int) -> list[int]:
        """Takes `count` free blocks, the least recently used first, and forgets what they held.

        Raises ValueError if fewer are free.
        """
        if count > len(self._free):
            raise ValueError(f"{count} KV blocks asked for, {len(self._free)} free")
        taken = []
        for _ in range(count):
            block, _ = self._free.popitem(last=False)
            self._forget(block)
            self._users[block] = 1
            taken.append(block)
        return taken

    def remember(self, block: int, key: int) -> None:
        """Names a full block by its key; the first block with a key is the one that is found."""
        if key not in self._block_of and block not in self._key_of:
            self._block_of[key] = block
            self._key_of[block] = key

    def release(self, blocks: Sequence[int]) -> None:
        """Gives up one use of each block; the end of a prefix becomes reusable memory before its
        beginning."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if not self._users[block]:
                self._free[block] = None

    def _forget(self, block: int) -> None:
        key = self._key_of.pop(block, None)
        if key is not None:
            del self._block_of[key]
