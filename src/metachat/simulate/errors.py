"""Meta's error documents, as its Graph API writes them."""

import secrets
from typing import Any

import msgspec

# Code -> HTTP status, title, details: the words of Meta's reference of error codes.
KNOWN: dict[int, tuple[int, str, str]] = {
    0: (401, "AuthException", "We were unable to authenticate the app user."),
    1: (400, "API Unknown", "Invalid request or possible server error."),
    2: (503, "Service temporarily unavailable", "Temporary due to downtime or due to being overloaded."),
    3: (500, "API Method", "Capability or permissions issue."),
    4: (429, "Application request limit reached", "The app has reached its API call rate limit."),
    10: (403, "Application does not have permission for this action", "Permission is not granted."),
    100: (400, "Invalid parameter", "The request included one or more unsupported parameters."),
    104: (401, "An access token is required to request this resource.", ""),
    190: (401, "Invalid OAuth access token - Cannot parse access token", ""),
    200: (403, "Permissions error", "The token may not act for this WhatsApp Business Account."),
    368: (403, "Temporarily blocked for policies violations", "The account has been restricted or disabled."),
    2200: (400, "Callback verification failed", "The callback URL did not answer the challenge."),
    80007: (429, "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."),
    130429: (
        429, "Rate limit hit",
        "Message failed to send because there were too many messages sent from this phone number in a short"
        " period of time"),
    130472: (400, "User's number is part of an experiment", "Failed to send: part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country.", ""),
    131000: (500, "Something went wrong", "Message failed to send because of an unknown error."),
    131005: (403, "Access denied", "Permission is either not granted or has been removed."),
    131008: (400, "Required parameter is missing", "A required parameter is missing."),
    131009: (400, "Parameter value is not valid", "One or more parameter values are invalid."),
    131016: (503, "Service unavailable", "A service is temporarily unavailable."),
    131021: (400, "Recipient cannot be sender", "Sender and recipient phone number is the same."),
    131026: (400, "Message undeliverable", "Message Undeliverable."),
    131030: (
        400, "Recipient phone number not in allowed list",
        "Recipient phone number not in allowed list: Add recipient phone number to recipient list and try"
        " again."),
    131031: (403, "Business Account locked", "Business account has been locked."),
    131037: (400, "WhatsApp provided number needs display name approval", ""),
    131042: (402, "Business eligibility payment issue", "There was an error related to your payment method."),
    131045: (500, "Incorrect certificate", "Message failed to send due to a phone registration error."),
    131047: (
        400, "Re-engagement message",
        "Message failed to send because more than 24 hours have passed since the customer last replied to"
        " this number."),
    131048: (
        429, "Spam rate limit hit",
        "Message failed to send because there are restrictions on how many messages can be sent from this"
        " phone number."),
    131049: (
        400, "This message was not delivered to maintain healthy ecosystem engagement.",
        "In order to maintain a healthy ecosystem engagement, the message failed to be delivered."),
    131051: (400, "Message type unknown", "Unsupported message type."),
    131052: (400, "Media download error", "Unable to download the media sent by the user."),
    131053: (400, "Media upload error", "Unable to upload the media used in the message."),
    131056: (
        429, "(Business Account, Consumer Account) pair rate limit hit",
        "Message failed to send because there were too many messages sent from this phone number to the same"
        " phone number in a short period of time."),
    131057: (503, "Account in maintenance mode", "Business Account is in maintenance mode."),
    132000: (400, "Number of parameters does not match the expected number of params", ""),
    132001: (404, "Template name does not exist in the translation", ""),
    132005: (400, "Translated text too long", "The translated text is too long."),
    132007: (400, "Template format character policy violated", ""),
    132012: (400, "Parameter format does not match format in the created template", ""),
    132015: (400, "Template is paused", "Template is paused due to low quality."),
    132016: (400, "Template is disabled", "Template has been paused too many times."),
    133010: (400, "Phone number not registered", "Account not registered."),
}  # fmt: skip

_TYPES = {33: "GraphMethodException"}


class GraphError(Exception):
    """A refusal of the Graph API."""

    def __init__(
        self, code: int, details: str = "", *, message: str = "", subcode: int | None = None, status: int = 0
    ) -> None:
        known = KNOWN.get(code, (400, "Unknown error", ""))
        self.code, self.subcode = code, subcode
        self.status = status or known[0]
        self.title = message or known[1]
        self.details = details or known[2]
        super().__init__(self.title)

    def document(self) -> bytes:
        """The body of the answer."""
        # Plain errors of the platform carry no number before their words; those of WhatsApp do.
        said = (
            self.title if self.code in (0, 1, 2, 104, 190) or self.subcode else f"(#{self.code}) {self.title}"
        )
        error: dict[str, Any] = {
            "message": said,
            "type": _TYPES.get(self.subcode or 0, "OAuthException"),
            "code": self.code,
        }
        if self.code >= 130_000 or self.code in (100, 131):
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        error["fbtrace_id"] = trace()
        return msgspec.json.encode({"error": error})

    def in_webhook(self) -> dict[str, Any]:
        """The same refusal, told later in a status."""
        return {
            "code": self.code,
            "title": self.title,
            "message": self.title,
            "error_data": {"details": self.details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        }


def no_such_object(id: str) -> GraphError:
    """What Meta says of an id that is not there, or not the caller's."""
    return GraphError(
        100, subcode=33, status=400,
        message=f"Unsupported request. Object with ID '{id[:60]}' does not exist, cannot be loaded due to"
        " missing permissions, or does not support this operation. Please read the Graph API documentation"
        " at https://developers.facebook.com/docs/graph-api",
    )  # fmt: skip


def trace() -> str:
    """An id under which Meta's support would find a request."""
    return "A" + secrets.token_urlsafe(17)
