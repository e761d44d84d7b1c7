"""`metachat tenants`, `metachat keys` and `metachat user`: accounts, from this machine."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from metachat.cli.client import connect

tenants = typer.Typer(
    no_args_is_help=True, help="Create and list tenants.", rich_markup_mode=None, add_completion=False
)
keys = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke API keys.",
    rich_markup_mode=None,
    add_completion=False,
)
user = typer.Typer(
    no_args_is_help=True,
    help="Create members and reset their passwords.",
    rich_markup_mode=None,
    add_completion=False,
)

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's short name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@tenants.command("create")
def create_tenant(
    slug: Annotated[str, typer.Argument(help="Short name: lower-case letters, digits, dashes.")],
    name: Annotated[
        str | None, typer.Option(help="The company's name.", show_default="the short name")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a tenant.

    \b
    Examples:
      metachat tenants create acme --name "Acme Outdoor"
    """
    made = connect().call("POST", "/api/v1/operator/tenants", {"slug": slug, "name": name or slug})
    _print(made, as_json, f"Created the tenant {made['slug']} ({made['name']}).")


@tenants.command("list")
def list_tenants(as_json: AsJson = False) -> None:
    """List all tenants."""
    found = list(connect().pages("/api/v1/operator/tenants"))
    _print(found, as_json, _table(["slug", "name", "created_at"], found))


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help="What it may do, such as ask or knowledge:write.")],
    tenant: Tenant = "demo",
    expires_in_days: Annotated[
        int | None, typer.Option(help="Its life in days.", show_default="for ever")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key and show it this once.

    \b
    Examples:
      metachat keys create "Website" --scope ask --tenant acme
      metachat keys create "Sync" --scope knowledge:write --expires-in-days 90 --json
    """
    body = {"name": name, "scopes": scope, "expires_in_days": expires_in_days}
    made = connect(tenant).call("POST", "/api/v1/api-keys", body)
    _print(made, as_json, f"{made['secret']}\nThis is the only time that the key is shown.")


@keys.command("list")
def list_keys(tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """List API keys, the newest first."""
    found = list(connect(tenant).pages("/api/v1/api-keys"))
    rows = [
        {**one, "key": f"{one['prefix']}…{one['last_four']}", "scopes": " ".join(one["scopes"])}
        for one in found
    ]
    _print(found, as_json, _table(["id", "key", "name", "scopes", "expires_at", "revoked_at"], rows))


@keys.command("revoke")
def revoke_key(
    id: Annotated[str, typer.Argument(help="The key's id, as listed.")],
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Revoke an API key: it ends at once."""
    key = connect(tenant).call("DELETE", f"/api/v1/api-keys/{quote(id, safe='')}")
    _print(key, as_json, f"Revoked {key['prefix']}…{key['last_four']} ({key['name']}).")


@user.command("create")
def create_user(
    email: Annotated[str, typer.Argument(help="E-mail address, for signing in.")],
    tenant: Tenant = "demo",
    role: Annotated[str, typer.Option(help="owner, admin, agent or viewer.")] = "agent",
    name: Annotated[str | None, typer.Option(help="The person's name.", show_default="none")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a person a member; a new account gets a password that is shown this once.

    \b
    Examples:
      metachat user create ana@acme.example --role owner --tenant acme
    """
    made = connect(tenant).call("POST", "/api/v1/members", {"email": email, "role": role, "name": name})
    password = made["password"]
    note = f"Password: {password}" if password else "They had an account already and keep their password."
    _print(made, as_json, f"{email} is now {role} of {tenant}.\n{note}")


@user.command("reset-password")
def reset_password(
    email: Annotated[str, typer.Argument(help="E-mail address of the account.")], as_json: AsJson = False
) -> None:
    """Give a person a new password, shown this once; all their sessions end.

    \b
    Examples:
      metachat user reset-password ana@acme.example
    """
    made = connect().call("POST", "/api/v1/operator/password-resets", {"email": email})
    _print(made, as_json, f"Password: {made['password']}")


def _print(value: Any, as_json: bool, text: str) -> None:
    print(json.dumps(value, ensure_ascii=False) if as_json else text)


def _table(columns: list[str], rows: list[dict[str, Any]]) -> str:
    cells = [columns, *([str(row[column] or "-") for column in columns] for row in rows)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
