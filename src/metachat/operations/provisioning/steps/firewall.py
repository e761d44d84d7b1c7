"""What answers from outside: SSH, and the site."""

from pyinfra.operations import systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render

_UNIT = "/etc/systemd/system/fail2ban.service.d/metachat.conf"


def set_up(order: Order) -> None:
    """Close everything but what the server's roles need, and ban who knocks too often."""
    table = render("nftables.conf", site=order.site, server=order.server)
    rules = place("firewall", table, "/etc/nftables.conf", "600")
    systemd.service(name="firewall is up", service="nftables", running=True, enabled=True)
    systemd.service(name="firewall is taken over", service="nftables", reloaded=True, _if=any_of(rules))
    _bans(order)


def _bans(order: Order) -> None:
    unit = place("fail2ban is confined", render("fail2ban.service.conf"), _UNIT)
    sign_ins = place(
        "failed sign-ins", render("fail2ban-metachat.conf"), "/etc/fail2ban/filter.d/metachat.conf"
    )
    jails = place("jails", render("jail.conf", server=order.server), "/etc/fail2ban/jail.local")
    systemd.daemon_reload(name="fail2ban's unit is read", _if=any_of(unit))
    systemd.service(name="fail2ban is up", service="fail2ban", running=True, enabled=True)
    changed = any_of(unit, sign_ins, jails)
    systemd.service(name="fail2ban takes its jails", service="fail2ban", restarted=True, _if=changed)
