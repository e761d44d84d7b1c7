"""The SQL of channels."""

_COLUMNS = "tenant_id, id, kind, name, status, settings, created_at"

ADD = f"""
INSERT INTO channels (tenant_id, id, kind, name, settings)
VALUES (:tenant, :id, :kind, :name, :settings)
RETURNING {_COLUMNS}
"""  # noqa: S608 - the interpolated part is the constant above

# A tenant has one channel for its own trials; two first trials at once still make one.
ADD_TEST = """
INSERT INTO channels (tenant_id, id, kind, name) VALUES (:tenant, :id, 'test', 'Test')
ON CONFLICT (tenant_id) WHERE kind = 'test' DO NOTHING
"""

FIND_TEST = f"SELECT {_COLUMNS} FROM channels WHERE tenant_id = :tenant AND kind = 'test'"  # noqa: S608

FIND = f"SELECT {_COLUMNS} FROM channels WHERE tenant_id = :tenant AND id = :id"  # noqa: S608

# Waits for whoever is just changing the channel, and keeps them waiting until this transaction's end.
FIND_SETTLED = f"{FIND} FOR SHARE"

# A visitor names only the channel: its id as the credential reveals this one row, and with it the tenant.
REVEAL = f"SELECT {_COLUMNS} FROM channels WHERE id = :id"  # noqa: S608

OF_TENANT = f"""
SELECT {_COLUMNS} FROM channels WHERE tenant_id = :tenant AND kind <> 'test' ORDER BY created_at, id
"""  # noqa: S608

CONFIGURE = f"""
UPDATE channels SET name = :name, settings = :settings, status = :status
WHERE tenant_id = :tenant AND id = :id
RETURNING {_COLUMNS}
"""  # noqa: S608
