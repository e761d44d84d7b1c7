"""`metachat secrets`: keep the platform's own secrets, check them, hand them out, put them into the safe."""

import typer

from metachat.cli.secrets import checking, leaks, recipients, rotating, safe, several, single

app = typer.Typer(
    no_args_is_help=True,
    help="Keep the platform's own secrets, check them, hand them out, put them into the safe.",
    rich_markup_mode=None,
    add_completion=False,
)

app.command("generate")(several.generate)
app.command("list")(several.list_secrets)
app.command("set")(single.set_secret)
app.command("get")(single.get_secret)
app.command("delete")(single.delete_secret)
app.command("rotate")(rotating.rotate_secret)
app.command("edit")(several.edit)
app.command("import")(several.import_secrets)
app.command("export")(several.export)
app.command("escrow")(safe.escrow)
app.command("fingerprint")(checking.fingerprint)
app.command("doctor")(checking.doctor)
app.command("scan")(leaks.scan)
app.command("hand")(several.hand)
app.add_typer(recipients.app, name="recipients")
