"""Who may enter: the operator by key, root never."""

from io import BytesIO

from pyinfra.operations import files, server, systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render


def set_up(order: Order) -> None:
    """Make the operator, and shut the other doors of SSH."""
    user = order.server.user
    server.user(
        name="operator", user=user, shell="/bin/bash", groups=["sudo", "adm"], append=True, ensure_home=True,
        public_keys=order.site.operators, delete_keys=True,
    )  # fmt: skip
    files.directory(name="operator's home", path=f"/home/{user}", mode="750", user=user, group=user)
    files.file(name="settings of SSH are root's", path="/etc/ssh/sshd_config", mode="600")
    # Who may write units and configuration is root in all but name, so a list of commands would only pretend;
    # what is given is one account, one key a person, and a record of each command.
    sudo = BytesIO(f"Defaults:{user} log_allowed, use_pty\n{user} ALL=(ALL:ALL) NOPASSWD: ALL\n".encode())
    place("operator may use sudo", sudo, f"/etc/sudoers.d/60-{user}", "440")
    for path in ("/etc/issue", "/etc/issue.net"):
        place(f"banner {path}", render("banner"), path)
    settings = render("sshd.conf", user=user, port=order.server.port)
    changed = place("SSH by key alone", settings, "/etc/ssh/sshd_config.d/10-metachat.conf")
    systemd.service(name="SSH takes its settings", service="ssh", reloaded=True, _if=any_of(changed))
