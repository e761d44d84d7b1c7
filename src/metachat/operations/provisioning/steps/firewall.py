"""What answers from outside: SSH, and the site."""

from pyinfra.operations import systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render


def set_up(order: Order) -> None:
    """Close everything but what the server's roles need, and ban who knocks too often."""
    table = render("nftables.conf", site=order.site, server=order.server)
    rules = place("firewall", table, "/etc/nftables.conf", "600")
    systemd.service(name="firewall is up", service="nftables", running=True, enabled=True)
    systemd.service(name="firewall is taken over", service="nftables", reloaded=True, _if=any_of(rules))
    jails = place("jails", render("jail.conf"), "/etc/fail2ban/jail.d/metachat.conf")
    systemd.service(name="fail2ban is up", service="fail2ban", running=True, enabled=True)
    systemd.service(name="jails are taken over", service="fail2ban", reloaded=True, _if=any_of(jails))
