"""The part of Meta's Graph API that WhatsApp needs."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError
from typing_extensions import override

from metachat.simulate import sending
from metachat.simulate.errors import GraphError, no_such_object
from metachat.simulate.files import check
from metachat.simulate.http import BODY_LIMIT, Answer, Cut, Request, answer
from metachat.simulate.model import Account
from metachat.simulate.weather import Rule
from metachat.simulate.world import World

_PATH = re.compile(r"/v\d{1,3}\.\d/([\w-]{1,80})(?:/([a-z_]{1,40}))?/?")
_DEFAULT_FIELDS = "verified_name,code_verification_status,display_phone_number,quality_rating,id"


class Graph:
    """Answers requests as graph.facebook.com and its file servers do."""

    def __init__(self, world: World, base: Callable[[], str]) -> None:
        self._world, self._base = world, base

    async def serve(self, request: Request) -> Answer:
        """Answer one request; raises Cut."""
        if self._world.chance.weather.offline:
            raise Cut
        try:
            if request.path.startswith("/whatsapp_business/attachments"):
                return await self._file(request)
            return await self._routed(request)
        except GraphError as error:
            challenge = b'OAuth "Facebook Platform" "invalid_token" "%s"' % error.title.encode(
                "latin-1", "replace"
            )
            headers = [(b"www-authenticate", challenge)] if error.code in (104, 190) else []
            return Answer(error.status, error.document(), headers=headers)

    async def _routed(self, request: Request) -> Answer:
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise GraphError(
                100, message="Unknown path components: " + request.path[:100], status=400, subcode=2500
            )
        id, edge = found.group(1), found.group(2) or ""
        account = self._caller(request)
        if id == "debug_token":
            return self._debug(request)
        number = self._world.accounts.get(id)
        if number is not None and edge == "messages" and request.method == "POST":
            return await self._messages(request, self._owned(number, account, id))
        route = self._route(request.method, id, edge, number, account)
        if route is None:
            raise no_such_object(id)
        await self._meets_weather("media" if edge == "media" or number is None else "all", "")
        return await route(request)

    def _route(
        self, method: str, id: str, edge: str, number: Account | None, account: Account
    ) -> Callable[[Request], Awaitable[Answer]] | None:
        if number is account:
            found = {
                ("POST", "media"): self._upload, ("GET", ""): self._number,
                ("POST", "register"): self._success,
                ("GET", "whatsapp_business_profile"): self._profile,
            }.get((method, edge))  # fmt: skip
        elif id == account.waba_id:
            found = {
                ("GET", "subscribed_apps"): self._subscriptions, ("POST", "subscribed_apps"): self._subscribe,
                ("DELETE", "subscribed_apps"): self._unsubscribe, ("GET", "phone_numbers"): self._numbers,
                ("GET", "message_templates"): self._templates, ("GET", ""): self._business,
            }.get((method, edge))  # fmt: skip
        elif id == account.app_id and (method, edge) == ("POST", "subscriptions"):
            found = self._subscribe
        else:
            file = self._world.files.find(id)
            mine = file is not None and file.owner == account.phone_number_id and not edge
            found = {"GET": self._media, "DELETE": self._forget}.get(method) if mine else None
        return None if found is None else lambda request: found(request, account, id)

    def _caller(self, request: Request) -> Account:
        header = request.header(b"authorization")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            token = request.query.get("access_token", "")
        if not token:
            raise GraphError(104)
        account = self._world.account_of_token(token.strip())
        if account is None:
            raise GraphError(190)
        if account.grant == "expired":
            raise GraphError(
                190, subcode=463, message="Error validating access token: Session has expired on Monday,"
                " 03-Nov-25 09:00:00 PST.",
            )  # fmt: skip
        if account.grant == "revoked":
            raise GraphError(
                190, subcode=460, message="Error validating access token: The session has been invalidated"
                " because the user changed their password or Facebook has changed the session for security"
                " reasons.",
            )  # fmt: skip
        return account

    def _owned(self, number: Account, account: Account, id: str) -> Account:
        if number is not account:
            raise no_such_object(id)
        if "whatsapp_business_messaging" not in account.scopes:
            raise GraphError(10)
        if account.status != "CONNECTED":
            raise GraphError(133010 if account.status == "DISCONNECTED" else 131031)
        return number

    async def _messages(self, request: Request, account: Account) -> Answer:
        body = _body(request)
        if body.get("status") == "read":
            await self._meets_weather("read", "")
            return answer(sending.mark_read(self._world, account, body))
        to = str(body.get("to") or body.get("recipient") or "")
        rule = await self._meets_weather("messages", to)
        accepted = sending.accept(self._world, account, body, rule)
        if rule is not None and rule.kind == "cut_after":
            raise Cut
        if rule is not None and rule.kind == "slow_after":
            await asyncio.sleep(rule.seconds)
        return answer(accepted)

    async def _meets_weather(self, where: str, to: str) -> Rule | None:
        """Let this request meet what goes wrong; gives a rule that only its handler can carry out."""
        rule = self._world.chance.strikes(where, to)
        if rule is None:
            return None
        if rule.kind in ("slow", "timeout"):
            await asyncio.sleep(rule.seconds)
        if rule.kind in ("cut", "timeout"):
            raise Cut
        if rule.kind == "status":
            raise _Bare(rule.code or 500)
        if rule.kind == "error" and where not in ("messages",):
            raise GraphError(rule.code)
        return rule

    async def _upload(self, request: Request, account: Account, id: str) -> Answer:
        file, fields = _form(request)
        if fields.get("messaging_product") != "whatsapp":
            raise GraphError(100, "The parameter messaging_product is required.")
        if file is None:
            raise GraphError(100, "The parameter file is required.")
        content, name, media_type = file
        media_type = media_type or fields.get("type", "")
        check(content, media_type)
        return answer({"id": self._world.files.add(content, media_type, id, name).id})

    async def _media(self, request: Request, account: Account, id: str) -> Answer:
        file = self._world.files.find(id)
        assert file is not None
        return answer({
            "messaging_product": "whatsapp", "url": self._world.files.address(self._base(), file),
            "mime_type": file.media_type, "sha256": file.sha256.hex(), "file_size": len(file.content),
            "id": file.id,
        })  # fmt: skip

    async def _file(self, request: Request) -> Answer:
        account = self._caller(request)
        await self._meets_weather("media", "")
        file = self._world.files.opened(request.query)
        if file is None or file.owner != account.phone_number_id:
            return Answer(404, b"", b"text/html")
        return Answer(200, file.content, file.media_type.encode("latin-1", "replace"))

    async def _forget(self, request: Request, account: Account, id: str) -> Answer:
        self._world.files.remove(id)
        return answer({"success": True})

    async def _number(self, request: Request, account: Account, id: str) -> Answer:
        return answer(_fields(request, self._number_of(account), _DEFAULT_FIELDS))

    async def _numbers(self, request: Request, account: Account, id: str) -> Answer:
        mine = [one for one in self._world.accounts.values() if one.waba_id == id]
        listed = [_fields(request, self._number_of(one), _DEFAULT_FIELDS) for one in mine]
        return answer({"data": listed, "paging": {"cursors": {"before": "QVFI", "after": "QVFI"}}})

    def _number_of(self, account: Account) -> dict[str, Any]:
        healthy, fast = account.status == "CONNECTED", self._world.limits.rates.number_per_second > 80
        return {
            "id": account.phone_number_id, "display_phone_number": f"+{account.display_phone_number}",
            "verified_name": account.verified_name, "quality_rating": account.quality_rating,
            "code_verification_status": "VERIFIED", "platform_type": "CLOUD_API", "name_status": "APPROVED",
            "status": account.status, "account_mode": "LIVE", "messaging_limit_tier": "TIER_1K",
            "throughput": {"level": "HIGH" if fast else "STANDARD"},
            "webhook_configuration": {"application": account.callback},
            "health_status": {"can_send_message": "AVAILABLE" if healthy else "BLOCKED", "entities": []},
        }  # fmt: skip

    async def _business(self, request: Request, account: Account, id: str) -> Answer:
        about = {
            "id": id, "name": account.verified_name, "currency": "EUR", "timezone_id": "1",
            "message_template_namespace": "a_namespace", "account_review_status": "APPROVED",
        }  # fmt: skip
        return answer(_fields(request, about, "id,name,currency,timezone_id,message_template_namespace"))

    async def _profile(self, request: Request, account: Account, id: str) -> Answer:
        about: dict[str, Any] = {
            "about": account.verified_name,
            "messaging_product": "whatsapp",
            "websites": [],
        }
        return answer({"data": [about]})

    async def _success(self, request: Request, account: Account, id: str) -> Answer:
        return answer({"success": True})

    async def _subscriptions(self, request: Request, account: Account, id: str) -> Answer:
        app = {"link": f"{self._base()}/", "name": "metachat simulator", "id": account.app_id}
        entry: dict[str, Any] = {"whatsapp_business_api_data": app}
        if account.callback:
            entry["override_callback_uri"] = account.callback
        return answer({"data": [entry] if account.subscribed else []})

    async def _subscribe(self, request: Request, account: Account, id: str) -> Answer:
        body = _body(request) or dict(request.query)
        callback = str(body.get("override_callback_uri") or body.get("callback_url") or "")
        if callback:
            if body.get("verify_token"):
                account.verify_token = str(body["verify_token"])
            if not await self._world.deliveries.greet(account, callback):
                raise GraphError(2200)
            account.callback = callback
        account.subscribed = True
        return answer({"success": True})

    async def _unsubscribe(self, request: Request, account: Account, id: str) -> Answer:
        account.subscribed = False
        return answer({"success": True})

    async def _templates(self, request: Request, account: Account, id: str) -> Answer:
        query = request.query
        name, status = query.get("name"), query.get("status")
        found = [
            _fields(request, one.shown(), "name,parameter_format,components,language,status,category,id")
            for one in self._world.templates
            if (not name or name in one.name) and (not status or status.upper() == one.status)
        ]
        return answer({"data": found, "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}})

    def _debug(self, request: Request) -> Answer:
        account = self._world.account_of_token(request.query.get("input_token", ""))
        if account is None or account.grant != "valid":
            error = {"code": 190, "message": "Invalid OAuth access token."}
            return answer({"data": {"error": error, "is_valid": False, "scopes": []}})
        granular = [{"scope": scope, "target_ids": [account.waba_id]} for scope in account.scopes]
        return answer({"data": {
            "app_id": account.app_id, "type": "SYSTEM_USER", "application": "metachat simulator",
            "data_access_expires_at": 0, "expires_at": 0, "is_valid": True, "issued_at": 1_764_000_000,
            "scopes": list(account.scopes), "granular_scopes": granular, "user_id": "122100000000000001",
        }})  # fmt: skip


class _Bare(GraphError):
    """A server's failure without Meta's document: a page of HTML, as from a proxy."""

    def __init__(self, status: int) -> None:
        super().__init__(1, status=status)

    @override
    def document(self) -> bytes:
        """No JSON."""
        return b"<html><head><title>Error</title></head><body>Sorry, something went wrong.</body></html>"


def _body(request: Request) -> dict[str, Any]:
    try:
        return request.json()
    except msgspec.DecodeError as error:
        raise GraphError(100, "The body is no JSON object.") from error


def _form(request: Request) -> tuple[tuple[bytes, str, str] | None, dict[str, str]]:
    fields: dict[str, str] = {}
    files: list[tuple[bytes, str, str]] = []

    def on_field(field: Any) -> None:
        fields[field.field_name.decode()] = (field.value or b"").decode("utf-8", "replace")

    def on_file(file: Any) -> None:
        file.file_object.seek(0)
        name = (file.file_name or b"").decode("utf-8", "replace")
        files.append((file.file_object.read(), name, getattr(file, "content_type", None) or ""))

    headers = {"Content-Type": request.header(b"content-type").encode("latin-1")}
    try:
        parser = create_form_parser(headers, on_field, on_file, config={"MAX_MEMORY_FILE_SIZE": BODY_LIMIT})
        parser.write(request.body)
        parser.finalize()
    except (FormParserError, ValueError, UnicodeDecodeError) as error:
        raise GraphError(100, "The body is no multipart form.") from error
    return (files[0] if files else None), fields


def _fields(request: Request, about: dict[str, Any], default: str) -> dict[str, Any]:
    wanted = (request.query.get("fields") or default).split(",")
    names = {name.partition("{")[0].strip() for name in wanted} | {"id"}
    return {name: value for name, value in about.items() if name in names}
