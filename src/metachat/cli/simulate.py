"""`metachat simulate`: WhatsApp without an account."""

import os
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from metachat.cli import client
from metachat.cli.up import Data
from metachat.foundation import settings, simulated
from metachat.foundation.errors import Kind, Refusal
from metachat.operations.local import folder, state
from metachat.simulate import Account, Meta, Refused, new_account
from metachat.simulate.deliveries import Patience
from metachat.simulate.limits import Rates
from metachat.simulate.serve import Simulator, listen

_PORT = 8090
_HANDSHAKE_SECONDS = 10.0
_NAME = "WhatsApp (simulated)"


class NotInProduction(Refusal):
    """A simulator has no place in production."""

    code, kind = "not_in_production", Kind.CONFLICT


def simulate(
    port: Annotated[int | None, typer.Option(help="The port to listen on.", show_default="8090")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    data: Data = None,
    tenant: Annotated[str, typer.Option(help="Whose WhatsApp channel to make.")] = "demo",
    connect: Annotated[
        bool, typer.Option("--connect/--no-connect", help="Make a channel in the platform that runs here.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of everything that happens by chance.")] = 1,
    expose: Annotated[
        bool, typer.Option("--expose-to-the-network", help="Allow an address that others can reach.")
    ] = False,
) -> None:
    """Be Meta: a Graph API, webhooks and phones on this machine, to try WhatsApp without an account.

    Connects itself to the platform that `metachat up` runs on the same data folder, and shows phones on a
    page. Everything on the page can also be done over HTTP, see docs/simulate.md:

    \b
    Examples:
      metachat simulate
      metachat simulate --tenant acme --port 9090
      curl -X POST localhost:8090/_simulator/phones/385911234567/messages -d '{"text": "Hello"}'
      curl 'localhost:8090/_simulator/arrivals?after=0'
      curl -X POST localhost:8090/_simulator/weather -d '{"duplicates": 0.2, "reorder": 0.2}'
      curl -X POST localhost:8090/_simulator/rules -d '{"kind": "error", "code": 131056, "times": 3}'
      curl -X POST localhost:8090/_simulator/rules -d '{"kind": "cut_after", "share": 0.1}'
      curl -X POST localhost:8090/_simulator/burst -d '{"rate": 100, "count": 1000, "phones": 50}'
    """
    if data is not None:
        os.environ["METACHAT_DATA_DIR"] = str(data)
    loaded = settings.load(process="cli")
    if loaded.production:
        raise NotInProduction
    where = loaded.data_dir.absolute()
    kept = simulated.read(where)
    account = _account(kept)
    listening = listen(host, port or _port_of(kept), exposed=expose)
    simulator = Simulator(listening, account, Rates(), Patience(), seed)
    print(f"Phones      {simulator.address}/\nGraph API   {simulator.address}/v23.0/", flush=True)
    callback = _connected(where, tenant, simulator.address, account) if connect else None

    def ready() -> None:
        if callback is not None:
            # In a thread of its own: it waits for an answer of the loop that calls this.
            threading.Thread(target=_subscribe, args=(simulator, callback), daemon=True).start()

    simulator.run(ready)


def _account(kept: simulated.Place | None) -> Account:
    try:
        return new_account() if kept is None else msgspec.convert(kept.account, Account)
    except msgspec.ValidationError:
        return new_account()


def _port_of(kept: simulated.Place | None) -> int:
    return _PORT if kept is None else int(kept.address.rpartition(":")[2])


def _connected(where: Path, tenant: str, address: str, account: Account) -> str | None:
    """See that the platform has a channel for us; gives the address of its door, None without a platform."""
    try:
        running = state.read(where)
    except state.NothingRuns:
        print(f"Platform    none runs on {where}: start it with `metachat up`, then start this again")
        return None
    channel, account.verify_token = _channel(client.connect(tenant), account)
    # Meta keeps the address for its app; so do we, for as long as the platform is where it is.
    place = simulated.Place(address, simulated.fingerprint(account.access_token), asdict(account))
    folder.write(where / simulated.PLACE_FILE, msgspec.json.encode(place).decode() + "\n", 0o600)
    print(f"Platform    {running.address}/ (tenant {tenant})", flush=True)
    return f"{running.address}/hooks/whatsapp/{channel}"


def _channel(platform: client.Client, account: Account) -> tuple[str, str]:
    """Find our channel or open it; gives its id and its verify token."""
    for channel in platform.pages("/api/v1/channels"):
        if (channel["whatsapp"] or {}).get("phone_number_id") == account.phone_number_id:
            path = f"/api/v1/channels/{channel['id']}/verify-token"
            return channel["id"], platform.call("POST", path)["verify_token"]
    given = {
        "phone_number_id": account.phone_number_id, "business_account_id": account.waba_id,
        "app_secret": account.app_secret, "access_token": account.access_token,
    }  # fmt: skip
    made = platform.call("POST", "/api/v1/channels", {"kind": "whatsapp", "name": _NAME, "whatsapp": given})
    return made["channel"]["id"], made["verify_token"]


def _subscribe(simulator: Simulator, callback: str) -> None:
    meta, refusal = Meta(simulator.address, simulator.account), ""
    deadline = time.monotonic() + _HANDSHAKE_SECONDS
    while time.monotonic() < deadline:
        try:
            meta.connect(callback)
        except (Refused, ConnectionError) as error:
            refusal = str(error)
            time.sleep(0.5)  # doors know a new verify token within seconds
        else:
            name = simulator.account.verified_name
            print(f"Webhooks    {callback}\n\nOpen the phones, and write to {name} as you like.", flush=True)
            return
    print(f"Webhooks    not connected: {refusal}", flush=True)
