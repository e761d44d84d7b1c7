"""Who a person of a channel is here, whatever name the channel uses for them at the moment."""

from metachat.domain.channels import Notice
from metachat.domain.conversations import store
from metachat.foundation.ids import ChannelId
from metachat.foundation.scope import Scope


async def known_as(scope: Scope, channel: ChannelId, external_id: str, phone: str) -> str:
    """The name of a person here, who may be known by their telephone, by the channel's id, or by both."""
    if not phone:
        return external_id
    values = {"tenant": scope.tenant, "channel": channel, "phone": phone}
    known = await scope.db.value(store.KNOWN_BY_PHONE, **values)
    if known is None or known == external_id:
        return external_id
    if external_id == phone:  # told by telephone alone, known by more
        return known
    if known == phone:
        await scope.db.execute(store.RENAME_CONTACT, **values, external=external_id, known=known)
    return external_id


async def keep_phone(scope: Scope, channel: ChannelId, known: str, phone: str) -> None:
    """Remember a person's telephone number beside the name they are known by."""
    if phone and phone != known:
        values = {"tenant": scope.tenant, "channel": channel, "external": known}
        await scope.db.execute(store.SET_PHONE, **values, phone=phone)


async def rename(scope: Scope, notice: Notice) -> None:
    """Keep a person the same whose telephone number, or whose id within the channel, has changed."""
    channel, phone, new_phone = notice.channel, notice.phone, notice.new_phone
    if not phone and not notice.external_id:
        return
    known = await known_as(scope, channel, notice.external_id or phone, phone)
    values = {"tenant": scope.tenant, "channel": channel}
    if notice.new_external_id and notice.new_external_id != known:
        told = new_phone or (phone if known == phone else "")
        renamed = {"external": notice.new_external_id, "known": known, "phone": told or None}
        await scope.db.execute(store.RENAME_CONTACT, **values, **renamed)
    elif new_phone and known == phone:
        await scope.db.execute(
            store.RENAME_CONTACT, **values, external=new_phone, known=known, phone=new_phone
        )
    elif new_phone:
        await scope.db.execute(store.SET_PHONE, **values, external=known, phone=new_phone)
