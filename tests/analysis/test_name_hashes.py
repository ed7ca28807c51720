"""Hashes of many names against those of each."""

import hashlib

import pytest

from activelabel.analysis import name_hashes
from activelabel.analysis.name_hashes import first_bytes


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_first_bytes_are_those_of_each_hash_in_order(count, monkeypatch):
    monkeypatch.setattr(name_hashes, "_AT_ONCE", 3)
    names = [f"näme {number}" for number in range(count)]
    expected = [int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) for name in names]
    assert first_bytes(iter(names)).tolist() == expected
