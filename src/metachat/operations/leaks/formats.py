"""Formats of tokens that are secrets wherever they stand."""

import re

KNOWN: dict[str, re.Pattern[str]] = {
    "private-key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    "age-identity": re.compile(r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b"),
    "aws-access-key": re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    "github-token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})\b"),
    "gitlab-token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}\b"),
    "slack-token": re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{20,}\b"),
    "slack-webhook": re.compile(r"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}"),
    "stripe-key": re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{20,}\b"),
    "google-api-key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),
    "meta-access-token": re.compile(r"\bEAA[A-Za-z0-9]{60,}\b"),
    "openai-key": re.compile(r"\bsk-(?!ant-)(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}\b"),
    "anthropic-key": re.compile(r"\bsk-ant-[A-Za-z0-9_-]{32,}\b"),
    "sendgrid-key": re.compile(r"\bSG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\b"),
    "vault-token": re.compile(r"\bhv[sb]\.[A-Za-z0-9_-]{24,}\b"),
    "doppler-token": re.compile(r"\bdp\.(?:st|pt|ct|sa)\.[A-Za-z0-9_.-]{30,}\b"),
    "metachat-key": re.compile(r"\bmc_[A-Za-z0-9]{2,12}_?[A-Za-z0-9_-]{40,}\b"),
    "json-web-token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}\b"),
}

# A password within a service's address; group 1 is the password.
ADDRESS = re.compile(
    r"\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|valkeys?|amqps?|smtps?|https?)"
    r"://[^\s:/@\"'`<>{}$%]*:([^\s/@\"'`<>{}$%]{3,})@[^\s\"'`]"
)
