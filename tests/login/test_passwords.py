"""Hashes of passwords: slow, salted, and with the parameters of RFC 9106."""

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from activelabel.errors import InvalidInputError
from activelabel.login import passwords
from activelabel.login.passwords import hash_password, verify_password


def test_hashes_have_the_parameters_of_rfc_9106(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())
    found = extract_parameters(hash_password("correct horse"))
    assert (found.type, found.time_cost, found.memory_cost, found.parallelism) == (Type.ID, 3, 65536, 4)
    assert found.salt_len == 16


def test_a_password_fits_its_own_hash_only_and_no_two_hashes_are_equal() -> None:
    one, other = hash_password("correct horse"), hash_password("correct horse")
    assert one != other
    assert verify_password("correct horse", one)
    assert not verify_password("correct horse ", one)
    assert not verify_password("correct horse", None)
    assert not verify_password("nobody has this password", None)
    assert not verify_password("correct horse", "no hash")


@pytest.mark.parametrize("length", [0, 9, 257])
def test_too_short_and_too_long_passwords_are_refused_without_being_shown(length: int) -> None:
    with pytest.raises(InvalidInputError, match=f"expected 10 to 256 characters, got {length}") as refused:
        hash_password("s" * length)
    assert "ss" not in str(refused.value).replace("password", "")
