-- What keeps a lone message waiting in calm.

-- One update by itself, told of within its own transaction where it is new. Nobody waits for the disk
-- here, so that NOTIFY's lock is over at once: whoever acknowledges the update calls make_durable() first. What a
-- worker makes of it meanwhile is written to the log behind it, and is not durable before it is.
CREATE FUNCTION take_in_one(
  channel_kind text, channel uuid, tenant uuid, key text, kind text, lane text, payload bytea, error text,
  correlation text, news_channel text, news text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO inbox (channel_kind, channel_id, tenant_id, dedupe_key, kind, lane, payload, state, error,
    correlation_id)
  VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 IS NULL THEN 'new' ELSE 'unparsed' END, $8, $9)
  ON CONFLICT (dedupe_key) DO NOTHING;
  IF FOUND AND $8 IS NULL THEN
    INSERT INTO jobs (lane, kind, tenant_id, correlation_id) VALUES ($6, 'inbox', $3, $9);
    PERFORM pg_notify($10, $11);
  END IF;
END $$;

-- Waits until everything that was committed before is on the disk: this transaction's own record comes after it,
-- and its commit waits for the disk.
CREATE FUNCTION make_durable() RETURNS void LANGUAGE sql VOLATILE AS $$
  SELECT pg_logical_emit_message(true, 'metachat', '')
$$;

-- What turns begin with, as JSON: each conversation, its channel, the customer's unanswered messages, and
-- what the next answer needs of the last ones beside them, in the order of their arrival, and the tenant's assistant.
CREATE OR REPLACE FUNCTION open_conversations(of_tenant uuid, wanted uuid[], beside bigint)
RETURNS TABLE (id uuid, opened text) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN QUERY
  SELECT asked.id, json_build_object(
    'conversation', row_to_json(talk), 'channel', row_to_json(ch),
    'unanswered', (
      SELECT coalesce(json_agg(open ORDER BY seq), '[]') FROM (
        SELECT id, conversation_id, seq, author, author_id, text, provider_id, status, declined, citations, detail,
          answered_by, provider_at, created_at
        FROM messages
        WHERE tenant_id = of_tenant AND conversation_id = asked.id AND author = 'customer' AND answered_by IS NULL
      ) open
    ),
    'history', (
      SELECT coalesce(json_agg(json_build_object(
        'author', author, 'text', text, 'provider_at', provider_at, 'created_at', created_at
      ) ORDER BY seq), '[]') FROM (
        SELECT seq, author, text, provider_at, created_at FROM messages
        WHERE tenant_id = of_tenant AND conversation_id = asked.id AND author <> 'system'
          AND (author <> 'customer' OR answered_by IS NOT NULL)
        ORDER BY seq DESC LIMIT beside
      ) said
    ),
    'assistant', assistant_of(of_tenant)
  )::text
  FROM unnest(wanted) AS asked(id)
  CROSS JOIN LATERAL (
    SELECT c.tenant_id, c.id, c.channel_id, c.contact_id, p.external_id, p.name AS contact_name, p.locale, c.state,
      c.owner_id, c.language, c.last_seq, c.last_text, c.created_at, c.updated_at
    FROM conversations c JOIN contacts p ON p.tenant_id = c.tenant_id AND p.id = c.contact_id
    WHERE c.tenant_id = of_tenant AND c.id = asked.id OFFSET 0
  ) talk
  CROSS JOIN LATERAL (
    SELECT tenant_id, id, kind, name, settings, status, created_at FROM channels
    WHERE tenant_id = of_tenant AND id = talk.channel_id OFFSET 0
  ) ch;
END $$;

-- Ends jobs whose effect is in this transaction, in lanes that their owners hold; each lane is left with its job
-- unless more is due there. Gives the jobs that ended, and for each whether its lane was left; NULL for none.
CREATE OR REPLACE FUNCTION end_jobs(endings bigint[], owners text[]) RETURNS json LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  ended bigint[];
  ended_lanes text[];
  idle text[];
  ended_lane text;
BEGIN
  IF cardinality(endings) = 1 THEN  -- the same for one
    DELETE FROM jobs USING lanes
    WHERE jobs.id = endings[1] AND lanes.lane = jobs.lane AND lanes.leased_by = ANY(owners)
    RETURNING jobs.lane INTO ended_lane;
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
    DELETE FROM lanes WHERE lane = ended_lane AND leased_by = ANY(owners)
      AND NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = ended_lane AND run_at <= now());
    RETURN json_build_object(endings[1], FOUND);
  END IF;
  WITH done AS (
    DELETE FROM jobs USING lanes
    WHERE jobs.id = ANY(endings) AND lanes.lane = jobs.lane AND lanes.leased_by = ANY(owners)
    RETURNING jobs.id, jobs.lane
  )
  SELECT array_agg(id), array_agg(lane) INTO ended, ended_lanes FROM done;
  SELECT array_agg(lane) INTO idle FROM (
    SELECT lane FROM lanes
    WHERE lane = ANY(ended_lanes) AND leased_by = ANY(owners)
      AND NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = lanes.lane AND run_at <= now())
    ORDER BY lane FOR UPDATE
  ) held;
  DELETE FROM lanes WHERE lane = ANY(idle);
  RETURN (
    SELECT json_object_agg(done.id, coalesce(done.lane = ANY(idle), false))
    FROM unnest(ended, ended_lanes) AS done(id, lane)
  );
END $$;

-- The same for a few answers, one after the other.
CREATE OR REPLACE FUNCTION answer_each(
  of_tenant uuid, at timestamptz, places bigint, holder text, lease double precision, sent_by_providers text[],
  ids uuid[], new_messages uuid[], texts text[], previews text[], declines boolean[], citation_texts text[],
  details jsonb[], languages text[], correlations text[], counts bigint[], answered uuid[], streamed uuid[],
  endings bigint[], owners text[]
) RETURNS TABLE (
  message uuid, seq bigint, status text, delivery bigint, begun text, ended json
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  i integer;
  marked bigint;
  held record;
  delivery_lane text;
  added record;
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  IF cardinality(streamed) > 0 THEN
    DELETE FROM drafts WHERE tenant_id = of_tenant AND conversation_id = ANY(streamed);
  END IF;
  FOR i IN SELECT n FROM unnest(ids) WITH ORDINALITY AS a(id, n) ORDER BY id, n LOOP
    SELECT c.channel_id, c.last_seq, c.language, p.external_id, p.phone, ch.kind, ch.name, ch.settings, ch.status,
      ch.created_at, (
        SELECT coalesce(h.provider_at, h.created_at) FROM messages h
        WHERE h.tenant_id = of_tenant AND h.conversation_id = ids[i] AND h.author = 'customer'
        ORDER BY h.seq DESC LIMIT 1
      ) AS heard_at
    INTO held FROM conversations c
    JOIN channels ch ON ch.tenant_id = of_tenant AND ch.id = c.channel_id
    JOIN contacts p ON p.tenant_id = of_tenant AND p.id = c.contact_id
    WHERE c.tenant_id = of_tenant AND c.id = ids[i] AND c.state = 'assistant' FOR UPDATE OF c;
    CONTINUE WHEN NOT FOUND;
    seq := held.last_seq + 1;
    UPDATE messages SET answered_by = new_messages[i]
    WHERE tenant_id = of_tenant AND conversation_id = ids[i] AND author = 'customer' AND answered_by IS NULL
      AND id = ANY(answered);
    GET DIAGNOSTICS marked = ROW_COUNT;
    IF marked <> counts[i] THEN
      UPDATE messages SET answered_by = NULL
      WHERE tenant_id = of_tenant AND id = ANY(answered) AND answered_by = new_messages[i];
      CONTINUE;
    END IF;
    message := new_messages[i]; delivery := NULL; begun := NULL;
    status := CASE WHEN held.kind = ANY(sent_by_providers) THEN 'queued' ELSE 'sent' END;
    INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, status, declined,
      citations, detail, correlation_id, created_at)
    VALUES (of_tenant, new_messages[i], ids[i], held.channel_id, answer_each.seq, 'assistant', texts[i],
      answer_each.status, declines[i], citation_texts[i]::jsonb, details[i], correlations[i], at);
    UPDATE conversations SET last_seq = answer_each.seq, last_text = previews[i], updated_at = at,
      language = coalesce(languages[i], language)
    WHERE tenant_id = of_tenant AND id = ids[i];
    INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
    VALUES (of_tenant, 'message.sent', ids[i],
      jsonb_build_object('message', new_messages[i], 'author', 'assistant'), correlations[i]);
    IF answer_each.status = 'queued' THEN
      delivery_lane := 'delivery:' || ids[i];
      IF places > 0 THEN
        -- Only those whose role may read jobs have places.
        INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
        VALUES (delivery_lane, 'deliver', of_tenant, jsonb_build_object('message', new_messages[i]),
          correlations[i]) RETURNING id INTO delivery;
        IF NOT take_lane(delivery_lane, delivery, holder, lease) THEN
          delivery := NULL;
        END IF;
      ELSE
        INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
        VALUES (delivery_lane, 'deliver', of_tenant, jsonb_build_object('message', new_messages[i]),
          correlations[i]);
      END IF;
      INSERT INTO deliveries (tenant_id, message_id, created_at, started_at)
      VALUES (of_tenant, new_messages[i], at, CASE WHEN delivery IS NOT NULL THEN now() END)
      RETURNING part, round, attempts, repeated INTO added;
      IF delivery IS NOT NULL THEN
        places := places - 1;
        -- As describe_deliveries would tell it, without reading again what is known here.
        begun := json_build_object(
          'message', new_messages[i], 'part', added.part, 'round', added.round, 'attempts', added.attempts,
          'created_at', at, 'repeated', added.repeated, 'started', true, 'wait', 0, 'conversation', ids[i],
          'text', texts[i], 'citations', citation_texts[i]::jsonb, 'language',
          coalesce(languages[i], held.language), 'detail', details[i], 'external_id', held.external_id,
          'phone', coalesce(held.phone, ''), 'heard_at', held.heard_at, 'channel', json_build_object(
            'tenant_id', of_tenant, 'id', held.channel_id, 'kind', held.kind, 'name', held.name,
            'settings', held.settings, 'status', held.status, 'created_at', held.created_at
          )
        )::text;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;

  IF cardinality(endings) > 0 THEN
    message := NULL; delivery := NULL; begun := NULL; ended := end_jobs(endings, owners);
    RETURN NEXT;
  END IF;
END $$;

REVOKE EXECUTE ON FUNCTION take_in_one, make_durable FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_in_one, make_durable TO metachat_app, metachat_worker;
