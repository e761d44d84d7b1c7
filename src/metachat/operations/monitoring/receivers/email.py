"""E-mail, by the server of the settings smtp_*."""

import smtplib
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal

from metachat.foundation.settings import Secret
from metachat.operations.monitoring.receivers.contract import Answer, Message, headline

SECONDS = 20.0

Tls = Literal["starttls", "implicit", "none"]


@dataclass(frozen=True, slots=True)
class Post:
    """The server that takes our e-mail."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: Secret = field(default=Secret(""), repr=False)
    tls: Tls = "starttls"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mailbox."""

    name: str
    to: str
    through: Post
    seconds: float = SECONDS
    kind: str = "email"

    def send(self, message: Message) -> Answer:
        """Send once."""
        results: list[Answer] = []
        thread = threading.Thread(
            target=lambda: results.append(self._send(message)), name="receiver", daemon=True
        )
        thread.start()
        thread.join(self.seconds)
        late = f"no answer within {self.seconds:g} s"
        return results[0] if results else Answer(False, late, "See whether the e-mail server is up.", 1)

    def _send(self, message: Message) -> Answer:
        try:
            with self._connected() as server:
                if self.through.user:
                    server.login(self.through.user, self.through.password.reveal())
                server.send_message(self._letter(message))
        except smtplib.SMTPAuthenticationError as error:
            return Answer(False, f"{error.smtp_code} sign-in refused", "Set smtp_user and smtp_password.")
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            return Answer(False, f"{code} {self.to} refused", "Check the address.", _later(code))
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else ""
            again = _later(error.smtp_code)
            return Answer(False, f"{error.smtp_code} {said[:200]}", "See what the server says.", again)
        except (OSError, smtplib.SMTPException) as error:
            told = f"cannot be reached ({type(error).__name__})"
            return Answer(False, told, "Check smtp_host, smtp_port and smtp_tls.", 1)
        return Answer(True, "accepted")

    def _connected(self) -> smtplib.SMTP:
        post = self.through
        context = ssl.create_default_context()
        if post.tls == "implicit":
            return smtplib.SMTP_SSL(post.host, post.port, timeout=self.seconds, context=context)
        server = smtplib.SMTP(post.host, post.port, timeout=self.seconds)
        if post.tls == "starttls":
            server.starttls(context=context)
        return server

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = " ".join(headline(message).split())[:200]
        letter["From"], letter["To"] = self.through.sender, self.to
        letter.set_content(f"{message.summary}\n\n{message.detail}\n\nRunbook: {message.runbook}\n")
        return letter


def _later(code: int) -> float | None:
    # 4xx is a refusal for now; 5xx one for good.
    return 1 if 400 <= code < 500 else None
