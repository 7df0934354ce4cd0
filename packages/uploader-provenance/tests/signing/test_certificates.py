"""Certificates of a key: which is its own, what a plan refuses, and whom a signature convinces."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from signing_tools import Authority
from uploader_core.plugin import IntegrityError, RefusedError
from uploader_provenance.signing.certificates import chain_of, examine, in_der, vouched_key


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority()


def now() -> datetime:
    return datetime.now(timezone.utc)


def test_the_chain_is_put_in_order(root: Authority, key: Any) -> None:
    between = Authority("Between", root)
    own = between.issue(key)
    stranger = Authority("Stranger").certificate
    given = [root.certificate, stranger, own, between.certificate]
    assert chain_of(key.public_key(), given) == [own, between.certificate, root.certificate]


def test_certificates_of_another_key_are_refused(root: Authority) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(RefusedError, match="none of the certificates is of the key that signs"):
        chain_of(other.public_key(), [root.certificate])


@pytest.mark.parametrize(
    ("issued", "said"),
    [
        ({"signs": False}, "CN=Release was not issued for signatures"),
        ({"began": -40}, "CN=Release ended on "),
        ({"began": 2}, "CN=Release is not valid before "),
    ],
)
def test_a_plan_refuses_what_a_verifier_would(
    root: Authority, key: Any, issued: dict[str, Any], said: str
) -> None:
    (found,) = examine([root.issue(key, **issued)], now())
    assert found.level == "error" and said in found.what
    assert [*examine([root.issue(key)], now())] == []


def test_a_certificate_for_anything_else_convinces_nobody(root: Authority, key: Any) -> None:
    chain = in_der([root.issue(key, signs=False)])
    with pytest.raises(IntegrityError, match="is not for signatures"):
        vouched_key(chain, [root.certificate], "it")


def test_a_certificate_of_a_key_that_signs_no_models_is_refused(root: Authority) -> None:
    other = root.issue(ec.generate_private_key(ec.SECP256K1()))
    with pytest.raises(IntegrityError, match="is not for signatures"):
        vouched_key(in_der([other]), [root.certificate], "it")


def test_who_was_vouched_for_vouches_for_nobody(root: Authority, key: Any) -> None:
    """A certificate that is no authority's issues another one."""
    middle = Authority("Middle")
    middle.certificate = root.issue(middle.key, "Middle")
    with pytest.raises(IntegrityError, match="none of the given roots vouches"):
        vouched_key(in_der([middle.issue(key), middle.certificate]), [root.certificate], "it")


def test_an_authority_of_the_same_name_is_another(root: Authority, key: Any) -> None:
    with pytest.raises(IntegrityError, match="none of the given roots vouches"):
        vouched_key(in_der([Authority().issue(key)]), [root.certificate], "it")


def test_the_certificate_itself_may_be_trusted(root: Authority, key: Any) -> None:
    own = root.issue(key)
    assert vouched_key(in_der([own]), [own], "it") == key.public_key()
