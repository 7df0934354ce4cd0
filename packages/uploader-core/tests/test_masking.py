"""Known secrets are found in the forms in which they get into texts."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from uploader_core.masking import Mask

SECRET = 'tok/"en+of acme=ü1'

FORMS = {
    "plain": SECRET,
    "json": json.dumps({"error": SECRET}),
    "json-of-letters": json.dumps({"error": SECRET}, ensure_ascii=False),
    "address": f"https://u:{quote(SECRET, safe='')}@host/x",
    "header": "Basic " + base64.b64encode(SECRET.encode()).decode(),
    **{
        f"header-of-{user}": "Basic " + base64.b64encode(f"{user}:{SECRET}".encode()).decode()
        for user in ("a", "ab", "abc")
    },
    "base64-of-addresses": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_secret_is_taken_out(form: str) -> None:
    text = FORMS[form]
    masked = Mask([SECRET])(f"before {text} behind")
    assert "[secret]" in masked
    left = masked.replace("before ", "").replace(" behind", "").replace("[secret]", "")
    assert len(left) < len(text) - 16


def test_short_values_are_left_alone() -> None:
    assert Mask(["", "1", "token"])("1 token") == "1 token"


def test_the_longer_of_two_secrets_goes_whole() -> None:
    assert Mask(["secret-1", "secret-1-and-more"])("x secret-1-and-more") == "x [secret]"


def test_each_line_of_a_key_is_taken_out() -> None:
    body = [base64.b64encode(bytes(range(n, n + 48))).decode() for n in (0, 48)]
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----", ""])
    mask = Mask([key])
    assert [mask(f"{line}\n") for line in body] == ["[secret]\n"] * 2
    assert mask("-----BEGIN CERTIFICATE-----") == "-----BEGIN CERTIFICATE-----"
