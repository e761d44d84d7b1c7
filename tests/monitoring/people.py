"""Who hears of alerts, on loopback: a Slack, a PagerDuty, a mailbox, a webhook, and the dead-man's switch."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from metachat.operations.monitoring import rules
from metachat.operations.monitoring.receivers.email import Post
from metachat.operations.site import Receiver
from tests.monitoring.far_end import FarEnd, Received, far_end
from tests.monitoring.mail import PASSWORD, SENDER, USER, mail_server
from tests.monitoring.tls import certificate, context

MAILBOX, TOKEN = "ops@example.com", "token-of-the-test"
# How much later than Slack the others may hear: each tries anew by itself.
BEHIND = 30.0


@dataclass(frozen=True)
class Heard:
    """A message as one of them got it: the rule it is about, whether it is the end, its urgency."""

    rule: str
    over: bool
    severity: str = ""

    @classmethod
    def of_title(cls, title: str) -> "Heard":
        """Read the first line of a message: `[PAGE] site: Rule`."""
        word = title.partition("]")[0].removeprefix("[")
        return cls(title.rpartition(": ")[2], word == "RESOLVED", "" if word == "RESOLVED" else word.lower())


@dataclass
class People:
    """The far ends; `counted` tells how many beginnings and ends each kind was asserted to have heard."""

    slack: FarEnd
    duty: FarEnd
    mail: FarEnd
    hook: FarEnd
    beats: FarEnd
    authority: bytes
    counted: dict[str, int] = field(default_factory=dict)

    def receivers(self) -> list[Receiver]:
        """Their lines, as a site file has them."""
        return [
            Receiver(name="chat", kind="slack"),
            Receiver(name="duty", kind="pagerduty", endpoint=f"{self.duty.address}/v2/enqueue"),
            Receiver(name="mail", kind="email", to=MAILBOX),
            Receiver(name="hook", kind="webhook"),
        ]

    def post(self) -> Post:
        """The way to the mailbox."""
        return Post("127.0.0.1", self.mail.port, SENDER, USER)

    @property
    def hook_address(self) -> str:
        """Where the webhook is: the token in it makes it a secret."""
        return f"{self.hook.address}/alerts?token={TOKEN}"

    def write(self, folder: Path) -> None:
        """Write each secret into its file, and the certificate that the mail server is known by."""
        (folder / "chat").write_text(f"{self.slack.address}/services/T/B/hush")
        (folder / "duty").write_text("routing-key")
        (folder / "hook").write_text(self.hook_address)
        (folder / "smtp_password").write_text(PASSWORD)
        (folder / "authority.pem").write_bytes(self.authority)

    def hear(self, rule: str, since: float, within: float, page: str) -> float:
        """Wait until all who must have heard that a rule is broken, and what to do; tells when Slack did."""
        severity = rules.named(rule).severity
        wanted = Heard(rule, over=False, severity=severity)
        first = self._await(wanted, since, within, page)
        if severity == "page":
            told = self.duty.await_(_incident(rule, since), BEHIND)
            assert page in told.text
            assert told.body["routing_key"] == "routing-key"
            self._count("pagerduty")
        return first

    def hear_the_end(self, rule: str, since: float, within: float) -> float:
        """Wait until all who heard the beginning heard the end; tells when Slack did."""
        first = self._await(Heard(rule, over=True), since, within, f"{rule}.md")
        if rules.named(rule).severity == "page":
            begun = [one for one in self.duty.received if _incident(rule, 0)(one)][-1]
            key = begun.body["dedup_key"]
            self.duty.await_(
                lambda one: one.body["event_action"] == "resolve" and one.body["dedup_key"] == key
                and one.at > since, BEHIND,
            )  # fmt: skip
            self._count("pagerduty")
        return first

    def heard_since(self, moment: float) -> set[str]:
        """The rules that people heard of since then."""
        told = [of_slack(one) for one in self.slack.received if one.at > moment]
        return {one.rule for one in told if not one.over}

    def _await(self, wanted: Heard, since: float, within: float, page: str) -> float:
        moments: list[float] = []
        for kind, end, read in self._readers():
            one = end.await_(_says(wanted, since, read), BEHIND if moments else within)
            assert page in one.text, f"{kind} does not hear what to do"
            self._count(kind)
            moments.append(one.at)
        return moments[0]

    def _readers(self) -> list[tuple[str, FarEnd, "Callable[[Received], Heard]"]]:
        return [
            ("slack", self.slack, of_slack), ("e-mail", self.mail, of_mail), ("webhook", self.hook, of_hook)
        ]  # fmt: skip

    def _count(self, kind: str) -> None:
        self.counted[kind] = self.counted.get(kind, 0) + 1


@contextmanager
def people() -> Iterator[People]:
    """Run all of them."""
    with ExitStack() as stack:
        slack, duty, hook, beats = (stack.enter_context(far_end()) for _ in range(4))
        authority = certificate(90)
        mail = stack.enter_context(mail_server(context(authority)))
        yield People(slack, duty, mail, hook, beats, authority)


def of_slack(one: Received) -> Heard:
    """What Slack was told."""
    return Heard.of_title(one.body["attachments"][0]["title"])


def of_mail(one: Received) -> Heard:
    """What a letter to the mailbox says."""
    assert one.path == MAILBOX
    return Heard.of_title(one.body["subject"])


def of_hook(one: Received) -> Heard:
    """What the webhook was told, by somebody who knows its token."""
    assert one.path == f"/alerts?token={TOKEN}"
    labels, over = one.body["commonLabels"], one.body["status"] == "resolved"
    return Heard(labels["alertname"], over, "" if over else labels["severity"])


def _incident(rule: str, since: float) -> Callable[[Received], bool]:
    def wanted(one: Received) -> bool:
        return one.at > since and one.body["event_action"] == "trigger" and rule in one.text

    return wanted


def _says(wanted: Heard, since: float, read: Callable[[Received], Heard]) -> Callable[[Received], bool]:
    return lambda one: one.at > since and read(one) == wanted
