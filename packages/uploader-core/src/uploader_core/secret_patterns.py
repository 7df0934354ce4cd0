"""How secrets look: the one list, for what is looked through before it is published.

Most vendors mark their keys. A random string without a mark is a secret by what stands before it:
the name of a variable, an option, a header. The forms are those that the vendors document, or that
the scanners of GitHub and of the Hub itself look for.
"""

from __future__ import annotations

import functools
import re
import string
from dataclasses import dataclass

RUN = frozenset(string.ascii_letters + string.digits + "_.~-")
SHORTEST_RUN = 18


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretPattern:
    """One type of secret.

    Attributes:
        what: What it is, with its article (``a GitHub token``).
        marks: Texts, lower-case, one of which is in every match whatever its case.
        pattern: Matches a secret, and hardly anything else. Where only what stands before the
            secret tells what it is, the secret itself is the group ``value``.
        starts: Beginnings by which it is taken out of a text that is published without being
            looked at by a person: a word too much is no loss there. Empty where ordinary words
            begin like that.
        is_run: Whether a match begins with :data:`SHORTEST_RUN` or more characters of :data:`RUN`
            that have a mark among them: most texts have few runs that long.
    """

    what: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    starts: tuple[str, ...] = ()
    is_run: bool = False


# What may stand between the name of a secret and the secret, in JSON and escaped, in HTML, in code,
# in sentences, in the next line. No two of these begin alike: the time stays in proportion.
_BETWEEN = (
    r"(?:\s{1,40}(?!\s)|[^\s!-~]|[\"'`\\:=,()\[\]*?+.]|[|>]-?|-(?=\s)|/(?=[\s>])"
    r"|&(?:quot|#39|#x27|#34);|</?\w{1,6}>"
    r"|(?i:to|is|as|value|default|placeholder|type|str|string|[fbrunt])"
    r"(?![A-Za-z0-9_])"
    r"){1,24}"
)
# Random characters: digits and letters by turns, as no word has them. Some keys are public.
_RANDOM = (
    r"(?P<value>(?!phc_|pk[_-])(?:[0-9a-f]{32,}|[0-9A-F]{32,}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?:[a-z][a-z0-9]{1,9}[_-]){0,3}(?=[\w+/=.~-]{0,60}?\d)"
    r"(?=(?:[\w+/=.~-]{0,14}?(?:[a-z][A-Z0-9]|[A-Z][a-z0-9]|[0-9][A-Za-z])){4})"
    r"[A-Za-z0-9][\w+/=.~-]{19,})(?![\w+/-]))"
)
# What a person thinks of: letters and digits, in quotes or up to a blank.
_CHOSEN = (
    r"(?P<value>(?=[^\s\"']{0,40}\d)(?=[^\s\"']{0,40}[A-Za-z])[^\s\"'\\<>{}$,;()\[\]&|`]{8,64})"
)

# What it is, marks, beginnings for redaction, the pattern; of two at one place the first is told.
# First those that are one run, see :attr:`SecretPattern.is_run`. Repetitions are bounded where a
# match can begin inside of another's: the time stays in proportion to the text, whatever it is.
_MARKED: tuple[tuple[str, str, str, str], ...] = (
    ("a Hugging Face token", "hf_ api_org_", "hf_ api_org_",
     r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}\b"),
    # What the Hub gives for the identity of a CI's job.
    ("a Hugging Face token", "hf_jwt_ hf_oauth_", "",
     r"\bhf_(?:jwt_[\w-]{10,}(?:\.[\w-]+){1,2}|oauth_[\w-]{20,}(?:\.[\w-]{10,}){0,2})"),
    ("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", "ghp_ gho_ ghu_ ghs_ ghr_",
     r"\bgh[pousr]_[A-Za-z0-9]{30,}\b"),
    ("a GitHub token", "github_pat_", "github_pat_", r"\bgithub_pat_\w{30,}\b"),
    ("a GitLab token", "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glagent-",
     "glpat- gldt- glrt- glcbt- glptt- glsoat- glagent-",
     r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[\w-]{20,}(?:\.[\w-]{2,}){0,2}"),
    ("an AWS access key", "akia asia", "AKIA ASIA", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("an API key", "sk-", "sk-",
     r"\bsk-(?:(?:proj|svcacct|admin|ant-[a-z]+\d\d)-[\w-]{30,}"
     r"|(?:[a-z][a-z0-9]*-){0,8}[A-Za-z0-9_]{20,}\b|lf-[0-9a-f]{8}-[0-9a-f-]{27})"),
    ("a Slack token", "xox xapp-", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-",
     r"\b(?:xox[abeoprs]-(?:\d-)?\d{9,}-[A-Za-z0-9-]{10,}|xoxe(?:\.xox[bp])?-\d-[A-Za-z0-9]{60,}"
     r"|xapp-\d-[A-Z0-9]+-\d+-[0-9a-f]{30,})"),
    ("a Google API key", "aiza", "AIza", r"\bAIza[\w-]{35}(?![\w-])"),
    ("a Google API key", "aq.ab", "", r"\bAQ\.Ab[\w-]{40,}"),
    ("a Stripe key", "k_live_", "sk_live_ rk_live_", r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"),
    ("an npm or PyPI token", "npm_ pypi-", "", r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,})"),
    ("a private key", "age-secret-key-1", "AGE-SECRET-KEY-", r"\bAGE-SECRET-KEY-1[A-Z0-9]{50,}"),
    # One that is wrapped as well.
    ("a signed web token", "eyj", "",
     r"\beyJ[\w-]{10,500}\s?\.\s?eyJ[\w\n-]{10,4000}\.(?=[\w\n-]{10})[\w-]+"),
    ("a key of a service for models",
     "gsk_ nvapi- pplx- xai- r8_ lsv2_ pcsk_ tgp_v1_ rpa_ csk- tvly- wsk- jina_ esecret_ fw_"
     " e2b_", "",
     r"\b(?:(?:gsk_|nvapi-|pplx-|xai-|r8_|lsv2_(?:pt|sk)_|pcsk_|tgp_v1_|csk-|wsk-|jina_|esecret_)"
     r"[A-Za-z0-9_-]{32,}|rpa_[A-Z0-9]{30,}\w*|tvly-(?:dev-|prod-)?[A-Za-z0-9-]{28,}"
     r"|fw_(?=[A-Za-z]{0,22}\d)[A-Za-z0-9]{22,}\b|e2b_[0-9a-f]{40}\b)"),
    ("a key of Lambda or Notion", "secret_", "",
     r"\bsecret_(?:[\w-]{1,60}_[0-9a-f]{32}\.[A-Za-z0-9]{32}|[A-Za-z0-9]{43})\b"),
    ("a key of Kaggle", "kgat_", "", r"\bKGAT_[0-9a-f]{32}\b"),
    ("a token of a service",
     "dckr_ dop_v1_ doo_v1_ shpat_ glsa_ glc_ sg. gocspx- dapi sbp_ sntry lin_api_ ntn_ pmak- pnu_"
     " hvs. hvb. hvr. dp. atatt3 akcp cmvmdgtu tskey- pul- ops_ apify_api_ figd_", "",
     r"\b(?:dckr_[op]at_[\w-]{20,}|do[op]_v1_[0-9a-f]{60,}|shpat_[0-9a-f]{32}|glsa_\w{32,}"
     r"|glc_eyJ[A-Za-z0-9+/]{30,}|SG\.[\w-]{20,24}\.[\w-]{40,}|GOCSPX-[\w-]{25,}"
     r"|dapi[0-9a-f]{32}(?:-\d)?|sbp_[0-9a-f]{40}|sntry[su]_[\w+/=]{60,}|lin_api_[A-Za-z0-9]{40}"
     r"|ntn_[A-Za-z0-9]{40,}|PMAK-[0-9a-f-]{50,}|pnu_[A-Za-z0-9]{36}|hv[sbr]\.[\w-]{60,}"
     r"|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,}|ATATT3[\w=-]{60,}"
     r"|AKCp[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9]{50,}"
     r"|tskey-[a-z]+-\w{8,}-\w{16,}|pul-[0-9a-f]{40}|ops_eyJ[\w+/=]{60,}"
     r"|apify_api_[A-Za-z0-9]{30,}|figd_[\w-]{36,})(?![\w-])"),
    ("an access token of Google", "ya29.", "", r"\bya29\.[\w-]{40,}"),
    ("a key of Azure", "jqqj99", "", r"\b[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}\b"),
    ("a key of Azure", "q~", "", r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])"),
    ("a key of Neptune", "eyjhcglfywrkcmvzcyi6", "",
     r"\beyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/]{40,}={0,2}"),
)  # fmt: skip
_OTHERS: tuple[tuple[str, str, str, str], ...] = (
    ("a Hugging Face token", "hf_", "",  # that a terminal wrapped
     r"\bhf_(?=[^A-Z\s]*[A-Z])(?:[A-Za-z]\n?){33}[A-Za-z]\b"),
    ("an AWS secret key", "aws", "",
     r"(?i:aws_?secret_?(?:access_?)?key)\W{1,6}[A-Za-z0-9/+]{40}(?![\w/+])"),
    ("a key of Bedrock", "absk", "", r"\bABSK[A-Za-z0-9+/]{80,}={0,2}"),
    ("a Weights & Biases key", "wandb weights", "wandb_",
     r"(?i:wandb|weights.?(?:&|and).?biases)"
     r"(?:.{0,60}?\b(?P<value>[0-9a-fA-F]{40})\b|_v1_\w{40,})"),
    ("a private key", "-----begin", "",
     r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\{1,4}[nr]|[\s\"',+]){1,60}"
     r"(?:[A-Za-z0-9+/]{16}|[A-Z][A-Za-z-]{3,12}: )"),
    ("a private key", "private-lines", "",
     r"\bPrivate-Lines: \d{1,2}(?:\\{1,4}[nr]|\s){1,4}(?P<value>[A-Za-z0-9+/]{30,}={0,2})"),
    ("a key of Azure", "accountkey sharedaccesskey", "",
     r"(?i:accountkey|sharedaccesskey)=[A-Za-z0-9+/]{43,}={0,2}"),
    ("a signed address of Azure", "sig=", "",
     r"[?&;](?:amp;)?sig=(?:[A-Za-z0-9+/]|%(?:25)?[0-9A-Fa-f]{2}){43}(?:=|%(?:25)?3[Dd])"),
    ("a webhook", "hooks.slack.com discord webhook.office.com", "",
     r"https://(?:hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{20,}"
     r"|discord(?:app)?\.com/api/webhooks/\d{15,}/[\w-]{50,}"
     r"|[\w.-]{0,60}webhook\.office\.com/webhookb2/[\w@-]{60,}/IncomingWebhook/[0-9a-f]{32}"
     r"/[\w-]{36})"),
    ("a token of conda", "/t/tk-", "", r"/t/tk-[\w-]{32,}"),
    ("a token of a bot", ":aa", "", r"(?<!\d)\d{8,11}:AA[\w-]{32,34}(?![\w-])"),
    ("a token of a bot", ".run(", "",
     r"\.run\(\s?\\{0,3}[\"'](?P<value>[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,40})[\\\"']"),
    ("a key of Kaggle", "username", "",
     r"[\"']username\\?[\"']\s?:.{1,60}[\"']key\\?[\"']\s?:\s?\\?[\"'][0-9a-f]{32}\b"),
    ("a password in an address", "://", "",
     r"\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@\"'<>{}]*:(?P<value>[^\s/:@\"'<>{}]{4,})@[\w.-]+"),
    ("a login of a registry", '"auth', "",
     r"\"auth\\{0,7}\"\s{0,3}:\s{0,3}\\{0,7}\"(?P<value>[A-Za-z0-9+/]{12,}={0,2})\\{0,7}\""),
    ("a login in a header", "basic", "",
     r"(?i:authorization)[\s\"'\\:=,>]{1,10}(?i:basic)\s{1,3}(?P<value>[A-Za-z0-9+/]{12,}={0,2})"),
    ("a login of curl", "curl", "",
     r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user)[\s=]?[\"']?[^\s:\"'$<{]{1,60}:" + _CHOSEN),
    ("a login in a netrc file", "machine", "",
     r"\bmachine\s+[\w.-]{3,80}\s+login\s+\S{1,80}\s+password\s+(?P<value>[^\s\"'\\<>{}$]{8,})"),
    ("a login in a list of PostgreSQL", ":5432:", "",
     r"[\w.*-]{1,80}:5432:[\w*-]{1,60}:[\w*-]{1,60}:(?P<value>[^\s\"'\\:]{8,})"),
    ("a password", "passw pwd auth .login( sshpass mysql", "",
     r"(?:(?i:passw(?:or)?d|(?<![a-z])pwd)\\{0,3}[\"']?\]?"
     r"(?:\s{0,3}(?:[:=]|(?<=[\"']),)\s{0,3}[fbr]?\\{0,3}[\"']?|</t[dh]><td>"
     r"|\s?\{\s{1,9}default\s{1,9}=\s?\"|[\"'](?:,\s?[a-z]+=\w+){0,3},\s?default=[\"']"
     r"|[\"']?,?\s{1,20}[\"']?value[\"']?\s?[:=]\s?[\"']?)"
     r"|(?:[A-Z]_PASSWORD|--[\w-]{0,40}password)\\{0,3}[\"']?,?\s{1,12}\\{0,3}[\"']?"
     r"|\bauth\s?=\s?\[?\(\s?\\{0,3}[\"'][^\s\"']{1,60}[\"'],\s?\\{0,3}[\"']"
     r"|\.login\(\s?\\{0,3}[\"'][^\s\"'@]{1,60}@[^\s\"']{1,60}[\"'],\s?\\{0,3}[\"']"
     r"|\bsshpass\s+-p\s?[\"']?|\bmysql\w{0,9}\s+-[^\n]{0,80}?\s-p[\"']?)" + _CHOSEN
     + r"(?=$|[\s\"'\\,;)<&])"),
    ("a password or key",
     "passw secret token api_key apikey api-key api.key access_key accesskey access-key auth_key"
     " account_key accountkey authorization bearer credential _key _pat", "",
     r"(?:(?i:passw(?:or)?d|secret|(?<!alt=media&)token(?!i[sz]|s)|api[._-]?key"
     r"|access[_-]?key|auth_key|account_?key|_pat(?![a-z])"
     r"|(?:app|application|private|signing|encryption|service|fernet|kaggle)_key"
     r"|authorization|bearer|credential)|[A-Z0-9]_KEY(?![A-Z]))"
     r"(?![\w-]{0,20}(?:type|hash|sha\d|md5|digest|count|file|path|version|cache))"
     r"[\w-]{0,20}" + _BETWEEN + r"(?<![A-Za-z0-9_])" + _RANDOM),
    ("a key of Django", "secret_key", "",
     r"(?i:secret_key)[\s\"'\\:=\]]{1,12}(?:django-insecure-)?"
     r"(?P<value>(?=[\w-]{0,40}[!@#$%^&*(=+)])[a-z0-9!@#$%^&*(=+)_-]{50})(?![\w!@#$%^&*(=+)-])"),
    ("a key of Cohere", "cohere", "",
     r"\bcohere\.\w*Client\w*\(\s?\\{0,3}[\"']" + _RANDOM),
    ("a key of Stripe's webhooks", "whsec_", "", r"\bwhsec_[A-Za-z0-9+/]{32,}"),
)  # fmt: skip


@functools.cache
def secret_patterns() -> tuple[SecretPattern, ...]:
    """Return the kinds of secret that are known."""
    return tuple(
        SecretPattern(
            what=what,
            marks=tuple(marks.split()),
            pattern=re.compile(pattern, re.ASCII),
            starts=tuple(starts.split()),
            is_run=is_run,
        )
        for is_run, known in ((True, _MARKED), (False, _OTHERS))
        for what, marks, starts, pattern in known
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
    whole = "|".join(kind.pattern.pattern.replace("?P<value>", "?:") for kind in known)
    # Of a private key, its content and what follows: no more is known of where it ends.
    key = r"-----BEGIN[^-]*PRIVATE KEY[\s\S]*"
    begun = rf"\b(?:{starts})[\w-]{{8,}}(?:\.[\w-]{{20,}})*"
    return re.compile(rf"{key}|(?:{whole})[\w-]*|{begun}", re.ASCII)
