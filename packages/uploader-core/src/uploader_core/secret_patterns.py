"""How vendors mark their keys: the one list, for what is looked through before it is published.

A bare random string is none of them. The forms are those that the vendors document, or that the
scanners of GitHub and of the Hub itself look for.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretPattern:
    """One type of secret.

    Attributes:
        what: What it is, with its article (``a GitHub token``).
        marks: Texts, lower-case, one of which is in every line that matches whatever its case.
        pattern: Matches a secret in a line, and hardly anything else.
        starts: Beginnings by which it is taken out of a text that is published without being
            looked at by a person: a word too much is no loss there. Empty where ordinary words
            begin like that.
    """

    what: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    starts: tuple[str, ...] = ()


# What it is, marks, beginnings for redaction, the pattern. Repetitions are bounded where a match
# can begin inside of another's: the time stays in proportion to the text, whatever it is.
_LIST: tuple[tuple[str, str, str, str], ...] = (
    ("a Hugging Face token", "hf_ api_org_", "hf_ api_org_",
     r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}\b"),
    # What the Hub gives for the identity of a CI's job.
    ("a Hugging Face token", "hf_jwt_ hf_oauth_", "",
     r"\bhf_(?:jwt_[\w-]{10,}(?:\.[\w-]+){1,2}|oauth_[\w-]{20,})"),
    ("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", "ghp_ gho_ ghu_ ghs_ ghr_",
     r"\bgh[pousr]_[A-Za-z0-9]{30,}\b"),
    ("a GitHub token", "github_pat_", "github_pat_", r"\bgithub_pat_\w{30,}\b"),
    ("a GitLab token", "glpat-", "glpat-", r"\bglpat-[\w-]{20,}"),
    ("an AWS access key", "akia asia", "AKIA ASIA", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("an AWS secret key", "aws", "",
     r"(?i:aws_?secret_?(?:access_?)?key)\W{1,6}[A-Za-z0-9/+]{40}(?![\w/+])"),
    ("an API key", "sk-", "sk-", r"\bsk-(?:[a-z][a-z0-9]*-){0,8}[A-Za-z0-9_]{20,}\b"),
    ("a Slack token", "xox", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-",
     r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("a Google API key", "aiza", "AIza", r"\bAIza[\w-]{35}(?![\w-])"),
    ("a Stripe key", "k_live_", "sk_live_ rk_live_", r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"),
    ("an npm or PyPI token", "npm_ pypi-", "", r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,})"),
    ("a Weights & Biases key", "wandb weights", "wandb_",
     r"(?i:wandb|weights.?(?:&|and).?biases).{0,60}?\b[0-9a-fA-F]{40}\b"),
    ("a private key", "-----begin", "", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("a signed web token", "eyj", "", r"\beyJ[\w-]{10,500}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    ("a key of a service for models", "gsk_ nvapi- pplx- xai- r8_ lsv2_ pcsk_ tgp_v1_", "",
     r"\b(?:gsk_|nvapi-|pplx-|xai-|r8_|lsv2_(?:pt|sk)_|pcsk_|tgp_v1_)[A-Za-z0-9_-]{32,}"),
    ("a token of a service", "dckr_pat_ dop_v1_ shpat_ glsa_ sg. gocspx- dapi", "",
     r"\b(?:dckr_pat_[\w-]{20,}|dop_v1_[0-9a-f]{60,}|shpat_[0-9a-f]{32}|glsa_\w{32,}"
     r"|SG\.[\w-]{20,24}\.[\w-]{40,}|GOCSPX-[\w-]{25,}|dapi[0-9a-f]{32})\b"),
    ("an access token of Google", "ya29.", "", r"\bya29\.[\w-]{40,}"),
    ("a key of Azure", "accountkey sharedaccesskey", "",
     r"(?i:accountkey|sharedaccesskey)=[A-Za-z0-9+/]{43,}={0,2}"),
    ("a webhook", "hooks.slack.com discord", "",
     r"https://(?:hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{20,}"
     r"|discord(?:app)?\.com/api/webhooks/\d{15,}/[\w-]{50,})"),
    ("a token of a bot", ":aa", "", r"\b\d{8,11}:AA[\w-]{32,34}(?![\w-])"),
    ("a key of Neptune", "eyjhcglfywrkcmvzcyi6", "",
     r"\beyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/]{40,}={0,2}"),
    ("a key of Kaggle", "username", "",
     r"\"username\\?\"\s?:.{1,60}\"key\\?\"\s?:\s?\\?\"[0-9a-f]{32}\b"),
    ("a password or key",
     "passw secret api_key apikey api-key access_key access_token auth_token", "",
     r"(?i:passw(?:or)?d|secret(?:_?key)?|api[_-]?key|access_(?:key|token)|auth_token)\\?[\"']?"
     r"\s{0,3}[:=]\s{0,3}\\?[\"']?(?=[^\s\"'\\]{0,80}\d)(?=[^\s\"'\\]{0,80}[a-z])"
     r"(?=[^\s\"'\\]{0,80}[A-Z])[A-Za-z0-9+/_=-]{20,}(?=$|[\s\"'\\,;])"),
    ("a password in an address", "://", "",
     r"\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@\"'<>{}]+:[^\s/:@\"'<>{}]{4,}@[\w.-]+"),
)  # fmt: skip


@functools.cache
def secret_patterns() -> tuple[SecretPattern, ...]:
    """Return the kinds of secret that are known."""
    return tuple(
        SecretPattern(
            what=what,
            marks=tuple(marks.split()),
            pattern=re.compile(pattern),
            starts=tuple(starts.split()),
        )
        for what, marks, starts, pattern in _LIST
    )


def without_secrets(text: str, instead: str = "[secret]") -> str:
    """Return a text with everything taken out that looks like a secret.

    Args:
        text: That will be published or shown.
        instead: Stands where a secret was.
    """
    return _anything().sub(lambda _: instead, text)


@functools.cache
def _anything() -> re.Pattern[str]:
    known = secret_patterns()
    starts = "|".join(re.escape(start) for kind in known for start in kind.starts)
    whole = "|".join(kind.pattern.pattern for kind in known)
    # Of a private key, its content and what follows: no more is known of where it ends.
    key = r"-----BEGIN[^-]*PRIVATE KEY[\s\S]*"
    return re.compile(rf"{key}|\b(?:{starts})[\w-]{{8,}}(?:\.[\w-]{{20,}})*|{whole}")
