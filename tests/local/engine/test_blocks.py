from __future__ import annotations

import pytest

from local.engine.blocks import BlockPool


def test_blocks_are_taken_and_given_back():
    pool = BlockPool(4)
    taken = pool.take(3)
    assert (pool.free, pool.usage) == (1, 0.75)
    pool.release(taken)
    assert (pool.free, pool.usage) == (4, 0.0)


def test_more_than_is_free_is_refused():
    pool = BlockPool(2)
    pool.take(1)
    with pytest.raises(ValueError, match="2 KV blocks asked for, 1 free"):
        pool.take(2)


def test_a_known_prefix_is_found_until_its_memory_is_needed():
    pool = BlockPool(3)
    taken = pool.take(2)
    for block, key in zip(taken, (11, 22), strict=True):
        pool.remember(block, key)
    pool.release(taken)
    assert pool.cached_prefix([11, 22, 33]) == taken
    pool.take(2)  # the unused one and, of the prefix, its end
    assert pool.cached_prefix([11, 22]) == taken[:1]


def test_a_prefix_is_found_only_from_its_beginning():
    pool = BlockPool(3)
    block = pool.take(1)[0]
    pool.remember(block, 22)
    assert pool.cached_prefix([11, 22]) == []


def test_shared_blocks_stay_until_the_last_user_leaves():
    pool = BlockPool(2)
    taken = pool.take(1)
    pool.remember(taken[0], 11)
    pool.share(taken)
    pool.release(taken)
    assert pool.free == 1
    pool.release(taken)
    assert pool.free == 2


def test_sharing_an_unused_block_takes_it_from_the_free_ones():
    pool = BlockPool(2)
    taken = pool.take(1)
    pool.remember(taken[0], 11)
    pool.release(taken)
    assert pool.unused_of(taken) == 1
    pool.share(taken)
    assert pool.unused_of(taken) == 0
    assert pool.free == 1
