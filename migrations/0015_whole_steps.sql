-- What a worker does for every message, each step whole in one round trip: a statement that waits for the next
-- one costs more than what it does. Each function says whose rows it sees (metachat.tenant, for the rest of the
-- transaction), so that it can commit by itself.
-- In plain statements over all messages of a step, what they found kept in arrays: one large statement takes long
-- to begin. For a message or two there are loops beside them (receive_each, answer_each), which begin faster and
-- take longer where there are many. Rows that others hold too are locked in the order of their ids or names.
-- OFFSET 0 keeps the planner at looking rows up one by one.
-- Where a step ends a job, it leaves the job's lane with it unless more is due there; where it adds the next job,
-- it takes that job's lane for the worker that has a place for it (`places`), so that nobody has to claim it.

-- The tenant's assistant, the keys of its models sealed; NULL where nothing was settled.
CREATE FUNCTION assistant_of(of_tenant uuid) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT row_to_json(settled) FROM (
    SELECT brand_name, tone, answer_language, instructions, provider, model, base_url, temperature, max_tokens,
      encode(api_key_sealed, 'base64') AS api_key_sealed, (
        SELECT json_agg(json_build_array(provider, model, base_url, encode(api_key_sealed, 'base64'))
                        ORDER BY place)
        FROM assistant_fallbacks WHERE tenant_id = $1
      ) AS fallbacks
    FROM assistants WHERE tenant_id = $1
  ) settled
$$;

-- What turns begin with, as JSON: each conversation, the customer's unanswered messages and the last ones beside
-- them in the order of their arrival, and the tenant's assistant.
CREATE FUNCTION open_conversations(of_tenant uuid, wanted uuid[], beside bigint)
RETURNS TABLE (id uuid, opened text) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN QUERY
  SELECT asked.id, json_build_object(
    'conversation', row_to_json(talk), 'kind', ch.kind, 'quiet', ch.settings -> 'quiet_seconds',
    'unanswered', (
      SELECT coalesce(json_agg(open ORDER BY seq), '[]') FROM (
        SELECT id, conversation_id, seq, author, author_id, text, provider_id, status, declined, citations, detail,
          answered_by, provider_at, created_at
        FROM messages
        WHERE tenant_id = of_tenant AND conversation_id = asked.id AND author = 'customer' AND answered_by IS NULL
      ) open
    ),
    'history', (
      SELECT coalesce(json_agg(said ORDER BY seq), '[]') FROM (
        SELECT id, conversation_id, seq, author, author_id, text, provider_id, status, declined, citations, detail,
          answered_by, provider_at, created_at
        FROM messages
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
    SELECT kind, settings FROM channels WHERE tenant_id = of_tenant AND id = talk.channel_id OFFSET 0
  ) ch;
END $$;

-- What waits in an inbox lane, two updates at most, with their channels as they are now, as JSON.
CREATE FUNCTION waiting_updates(of_tenant uuid, of_lane text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN (
    SELECT json_agg(json_build_object(
      'id', waiting.id, 'channel_kind', channel_kind,
      'payload', translate(encode(payload, 'base64'), E'\n', ''),
      'correlation_id', correlation_id, 'channel', row_to_json(ch)
    ) ORDER BY waiting.id)::text
    FROM (
      SELECT id, channel_kind, channel_id, payload, correlation_id FROM inbox
      WHERE lane = of_lane AND state = 'new' ORDER BY id LIMIT 2
    ) waiting
    CROSS JOIN LATERAL (
      SELECT tenant_id, id, kind, name, status, settings, created_at FROM channels
      WHERE tenant_id = of_tenant AND id = waiting.channel_id AND kind = waiting.channel_kind OFFSET 0
    ) ch
  );
END $$;

-- What a job wants read for it when its lane is claimed; a plain expression, which costs those nothing that want
-- nothing.
CREATE FUNCTION bring(kind text, of_tenant uuid, of_lane text) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN $1 = 'inbox' THEN waiting_updates($2, $3) END
$$;

-- Ends jobs whose effect is in this transaction, in lanes that their owners hold; each lane is left with its job
-- unless more is due there. Gives the jobs that ended, and for each whether its lane was left; NULL for none.
CREATE FUNCTION end_jobs(endings bigint[], owners text[]) RETURNS json LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  ended bigint[];
  ended_lanes text[];
  idle text[];
BEGIN
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

-- Takes the lane of a job that was just added, unless an older one waits there or somebody has the lane.
CREATE FUNCTION take_lane(wanted text, job bigint, holder text, lease double precision) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO lanes (lane, leased_by, leased_until)
  SELECT wanted, holder, now() + make_interval(secs => lease)
  WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = wanted AND id < job)
  ON CONFLICT (lane) DO NOTHING;
  RETURN FOUND;
END $$;

-- The current conversation of a customer who is known by exactly one name, or by none yet; NULL for others. Whoever
-- is made known by another worker in the same moment is left to the next look.
CREATE FUNCTION place_message(
  of_tenant uuid, of_channel uuid, external text, called text, given_name text, given_locale text,
  new_contact uuid, new_conversation uuid, correlation text
) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  person uuid;
  person_phone text;
BEGIN
  IF called <> '' AND EXISTS (
    SELECT FROM contacts
    WHERE tenant_id = of_tenant AND channel_id = of_channel AND phone = called AND external_id <> external
  ) THEN
    RETURN NULL;
  END IF;
  SELECT id, phone INTO person, person_phone FROM contacts
  WHERE tenant_id = of_tenant AND channel_id = of_channel AND external_id = external;
  IF FOUND THEN
    IF called IN ('', external) OR called IS NOT DISTINCT FROM person_phone THEN
      RETURN (
        SELECT id FROM conversations WHERE tenant_id = of_tenant AND contact_id = person ORDER BY id DESC LIMIT 1
      );
    END IF;
    RETURN NULL;
  END IF;
  IF called <> '' AND called <> external AND EXISTS (
    SELECT FROM contacts WHERE tenant_id = of_tenant AND channel_id = of_channel AND external_id = called
  ) THEN
    RETURN NULL;
  END IF;
  INSERT INTO contacts (tenant_id, id, channel_id, external_id, name, locale, phone)
  VALUES (of_tenant, new_contact, of_channel, external, given_name, given_locale,
    nullif(nullif(called, ''), external))
  ON CONFLICT (tenant_id, channel_id, external_id) DO NOTHING;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO conversations (tenant_id, id, channel_id, contact_id)
  VALUES (of_tenant, new_conversation, of_channel, new_contact);
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  VALUES (of_tenant, 'conversation.created', new_conversation, jsonb_build_object('channel', of_channel),
    correlation);
  RETURN new_conversation;
END $$;

-- A message each of customers: who writes, their conversation, the message, its event, the assistant's turn, the
-- mark of its update and the end of its job. A row for each message that found its conversation (place_message),
-- and for each job that ended; nothing happens in conversations that are closed, and they have none. `turn` is the
-- turn's job where its lane was taken for the holder, with what it begins with.
CREATE FUNCTION receive_messages(
  of_tenant uuid, at timestamptz, longest double precision, beside bigint,
  places bigint, holder text, lease double precision,
  channels uuid[], externals text[], phones text[], names text[], locales text[], new_contacts uuid[],
  new_conversations uuid[], new_messages uuid[], texts text[], previews text[], provider_ids text[],
  provider_ats timestamptz[], details jsonb[], correlations text[], quiets double precision[],
  arrivals bigint[], endings bigint[], owners text[]
) RETURNS TABLE (
  place bigint, conversation uuid, state text, after double precision, message uuid, seq bigint, turn bigint,
  opened text, ended json
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  i integer;
  fresh bigint[];
  numbers bigint[];
  talks uuid[];
  found uuid;
  states text[];
  rooms uuid[];
  seqs bigint[];
  added uuid[];
  turns bigint[];
  turn_lanes text[];
  taken text[];
  later_talks uuid[];
  laters double precision[];
BEGIN
  -- Lost in a crash of the database, it is all done again: the inbox has it, and nobody was told yet who cannot
  -- hear of it twice.
  PERFORM set_config('metachat.tenant', of_tenant::text, true), set_config('synchronous_commit', 'off', true);
  -- The lane's lease keeps other workers away; one that has lost it waits here, and then finds none.
  WITH marked AS (
    UPDATE inbox SET state = 'parsed', error = NULL, handled_at = now()
    WHERE id = ANY(arrivals) AND state = 'new' RETURNING id
  )
  SELECT array_agg(id) INTO fresh FROM marked;

  -- Most are known by exactly this name, and by no other one beside it.
  SELECT array_agg(known.n), array_agg(known.id) INTO numbers, talks FROM (
    SELECT DISTINCT ON (latest.id) asked.n, latest.id
    FROM unnest(channels, externals, phones, arrivals) WITH ORDINALITY AS asked(channel, external, phone, arrival, n)
    CROSS JOIN LATERAL (
      SELECT id, phone FROM contacts
      WHERE tenant_id = of_tenant AND channel_id = asked.channel AND external_id = asked.external OFFSET 0
    ) person
    CROSS JOIN LATERAL (
      SELECT id FROM conversations WHERE tenant_id = of_tenant AND contact_id = person.id ORDER BY id DESC LIMIT 1
    ) latest
    WHERE asked.arrival = ANY(fresh) AND asked.phone IN ('', asked.external, person.phone) AND NOT EXISTS (
      SELECT FROM contacts other WHERE other.tenant_id = of_tenant AND other.channel_id = asked.channel
        AND other.phone = asked.phone AND other.external_id <> asked.external
    ) ORDER BY latest.id, asked.n
  ) known;
  IF coalesce(cardinality(numbers), 0) < cardinality(arrivals) THEN
    FOR i IN
      SELECT n FROM unnest(channels, externals, arrivals) WITH ORDINALITY AS asked(channel, external, arrival, n)
      WHERE arrival = ANY(fresh) AND n <> ALL(coalesce(numbers, '{}')) ORDER BY channel, external
    LOOP
      found := place_message(
        of_tenant, channels[i], externals[i], phones[i], names[i], locales[i], new_contacts[i],
        new_conversations[i], correlations[i]
      );
      IF found <> ALL(coalesce(talks, '{}')) THEN
        numbers := numbers || i::bigint;
        talks := talks || found;
      END IF;
    END LOOP;
  END IF;

  SELECT array_agg(placed.n), array_agg(held.id), array_agg(held.state), array_agg(held.channel_id),
    array_agg(held.last_seq + 1)
  INTO numbers, talks, states, rooms, seqs
  FROM (
    SELECT id, state, channel_id, last_seq FROM conversations
    WHERE tenant_id = of_tenant AND id = ANY(talks) AND state <> 'closed' ORDER BY id FOR UPDATE
  ) held JOIN unnest(numbers, talks) AS placed(n, id) USING (id);
  IF coalesce(cardinality(numbers), 0) < cardinality(fresh) THEN
    UPDATE inbox SET state = 'new', handled_at = NULL
    WHERE id = ANY(fresh) AND id <> ALL(ARRAY(SELECT arrivals[n] FROM unnest(numbers) AS n));
  END IF;

  WITH written AS (
    INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, provider_id, status,
      detail, correlation_id, provider_at, created_at)
    SELECT of_tenant, new_messages[n], talk, room, seq, 'customer', texts[n], provider_ids[n], 'received',
      details[n], correlations[n], provider_ats[n], at
    FROM unnest(numbers, talks, rooms, seqs) AS held(n, talk, room, seq)
    ON CONFLICT (tenant_id, channel_id, provider_id) WHERE provider_id IS NOT NULL DO NOTHING
    RETURNING id
  )
  SELECT array_agg(id) INTO added FROM written;
  UPDATE conversations c SET last_seq = held.seq, last_text = previews[held.n], updated_at = at
  FROM unnest(numbers, talks, seqs) AS held(n, talk, seq)
  WHERE c.tenant_id = of_tenant AND c.id = held.talk AND new_messages[held.n] = ANY(added);
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  SELECT of_tenant, 'message.received', talk, jsonb_build_object('message', new_messages[n]), correlations[n]
  FROM unnest(numbers, talks) AS held(n, talk) WHERE new_messages[n] = ANY(added);

  IF 0 = ANY(quiets) THEN
    WITH asked AS (
      INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
      SELECT 'conversation:' || talk, 'turn', of_tenant, jsonb_build_object('conversation', talk), correlations[n]
      FROM unnest(numbers, talks, states) AS held(n, talk, state)
      WHERE state = 'assistant' AND quiets[n] = 0 AND new_messages[n] = ANY(added)
      RETURNING id, lane
    )
    SELECT array_agg(id), array_agg(lane) INTO turns, turn_lanes FROM asked;
    IF places > 0 THEN
      WITH claimed AS (
        INSERT INTO lanes (lane, leased_by, leased_until)
        SELECT lane, holder, now() + make_interval(secs => lease) FROM unnest(turns, turn_lanes) AS next(job, lane)
        WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = next.lane AND id < next.job)
        ORDER BY lane LIMIT places
        ON CONFLICT (lane) DO NOTHING RETURNING lane
      )
      SELECT array_agg(lane) INTO taken FROM claimed;
    END IF;
  END IF;
  IF 0 < ANY(quiets) THEN
    SELECT array_agg(talk), array_agg(debounce('conversation:' || talk, 'turn', of_tenant,
      jsonb_build_object('conversation', talk), correlations[n], 'turn:' || talk, quiets[n], quiets[n] * longest))
    INTO later_talks, laters
    FROM unnest(numbers, talks, states) AS held(n, talk, state)
    WHERE state = 'assistant' AND quiets[n] > 0 AND new_messages[n] = ANY(added);
  END IF;

  RETURN QUERY
  SELECT held.n, held.talk, held.state, later.after,
    CASE WHEN new_messages[held.n] = ANY(added) THEN new_messages[held.n] END, held.seq, next.job,
    talk.opened, NULL::json
  FROM unnest(numbers, talks, states, seqs) AS held(n, talk, state, seq)
  LEFT JOIN unnest(later_talks, laters) AS later(talk, after) ON later.talk = held.talk
  LEFT JOIN unnest(turns, turn_lanes) AS next(job, lane)
    ON next.lane = 'conversation:' || held.talk AND next.lane = ANY(taken)
  LEFT JOIN open_conversations(
    of_tenant, ARRAY(SELECT substr(lane, 14)::uuid FROM unnest(taken) AS lane), beside
  ) talk ON talk.id = held.talk;
  place := NULL; ended := end_jobs(ARRAY(SELECT endings[n] FROM unnest(numbers) AS n), owners);
  RETURN NEXT;
END $$;

-- The same for a few messages, one after the other: statements for one row begin faster than those for many.
CREATE FUNCTION receive_each(
  of_tenant uuid, at timestamptz, longest double precision, beside bigint,
  places bigint, holder text, lease double precision,
  channels uuid[], externals text[], phones text[], names text[], locales text[], new_contacts uuid[],
  new_conversations uuid[], new_messages uuid[], texts text[], previews text[], provider_ids text[],
  provider_ats timestamptz[], details jsonb[], correlations text[], quiets double precision[],
  arrivals bigint[], endings bigint[], owners text[]
) RETURNS TABLE (
  place bigint, conversation uuid, state text, after double precision, message uuid, seq bigint, turn bigint,
  opened text, ended json
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  i integer;
  talks uuid[] := array_fill(NULL::uuid, ARRAY[cardinality(arrivals)]);
  room uuid;
  turn_lane text;
  over bigint[] := '{}';
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true), set_config('synchronous_commit', 'off', true);
  FOR i IN SELECT n FROM unnest(channels, externals) WITH ORDINALITY AS a(c, e, n) ORDER BY c, e LOOP
    UPDATE inbox SET state = 'parsed', error = NULL, handled_at = now() WHERE id = arrivals[i] AND state = 'new';
    IF FOUND THEN
      talks[i] := place_message(
        of_tenant, channels[i], externals[i], phones[i], names[i], locales[i], new_contacts[i],
        new_conversations[i], correlations[i]
      );
      IF talks[i] IS NULL THEN
        UPDATE inbox SET state = 'new', handled_at = NULL WHERE id = arrivals[i];
      END IF;
    END IF;
  END LOOP;

  FOR i IN SELECT n FROM unnest(talks) WITH ORDINALITY AS a(t, n) WHERE t IS NOT NULL ORDER BY t, n LOOP
    SELECT c.state, c.channel_id, c.last_seq + 1 INTO state, room, seq FROM conversations c
    WHERE tenant_id = of_tenant AND id = talks[i] AND c.state <> 'closed' FOR UPDATE;
    IF NOT FOUND THEN
      UPDATE inbox SET state = 'new', handled_at = NULL WHERE id = arrivals[i];
      CONTINUE;
    END IF;
    place := i; conversation := talks[i]; after := NULL; message := NULL; turn := NULL; opened := NULL;
    over := over || endings[i];
    INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, provider_id, status,
      detail, correlation_id, provider_at, created_at)
    VALUES (of_tenant, new_messages[i], talks[i], room, receive_each.seq, 'customer', texts[i], provider_ids[i],
      'received', details[i], correlations[i], provider_ats[i], at)
    ON CONFLICT (tenant_id, channel_id, provider_id) WHERE provider_id IS NOT NULL DO NOTHING;
    IF FOUND THEN
      message := new_messages[i];
      UPDATE conversations SET last_seq = receive_each.seq, last_text = previews[i], updated_at = at
      WHERE tenant_id = of_tenant AND id = talks[i];
      INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
      VALUES (of_tenant, 'message.received', talks[i], jsonb_build_object('message', new_messages[i]),
        correlations[i]);
      turn_lane := 'conversation:' || talks[i];
      IF receive_each.state = 'assistant' AND quiets[i] > 0 THEN
        after := debounce(
          turn_lane, 'turn', of_tenant, jsonb_build_object('conversation', talks[i]), correlations[i],
          'turn:' || talks[i], quiets[i], quiets[i] * longest
        );
      ELSIF receive_each.state = 'assistant' THEN
        INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
        VALUES (turn_lane, 'turn', of_tenant, jsonb_build_object('conversation', talks[i]), correlations[i])
        RETURNING id INTO turn;
        IF places > 0 AND take_lane(turn_lane, turn, holder, lease) THEN
          places := places - 1;
          SELECT talk.opened INTO opened FROM open_conversations(of_tenant, talks[i:i], beside) talk;
        ELSE
          turn := NULL;
        END IF;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;

  place := NULL; message := NULL; turn := NULL; ended := end_jobs(over, owners);
  RETURN NEXT;
END $$;

-- The best passages for each question by itself, best first, as JSON; to begin this statement costs more than a
-- small tenant's search. The last look-up stays one: as a join the planner may read all of a tenant's chunks for
-- ten.
CREATE FUNCTION search_passages(
  of_tenant uuid, vectors halfvec[], models text[], dimensions integer[], words text[], stems text[],
  languages text[], configurations text[], mark text, depth bigint, most bigint, k integer
) RETURNS TABLE (question bigint, passages text) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN QUERY
  SELECT question.number, (
    WITH asked AS MATERIALIZED (
      SELECT corpus.embedding_model = question.model AND corpus.dimension = question.dimension AS comparable,
        (SELECT string_agg(part.query::text, ' | ')::tsquery
         FROM (SELECT DISTINCT to_tsquery(spoken.configuration::regconfig,
                    CASE spoken.language WHEN 'hr' THEN question.stems ELSE question.words END) AS query
               FROM unnest(search_passages.languages, configurations) AS spoken (language, configuration)
               WHERE spoken.language = ANY (corpus.languages)) AS part
         WHERE numnode(part.query) > 0) AS words
      FROM corpora AS corpus WHERE corpus.tenant_id = of_tenant
    ), nearest AS MATERIALIZED (
      SELECT id, row_number() OVER () AS place
      FROM (SELECT id FROM chunks
            WHERE tenant_id = of_tenant AND (SELECT comparable FROM asked)
            ORDER BY embedding <#> question.vector LIMIT depth) AS ordered
    ), matching AS MATERIALIZED (
      SELECT id, row_number() OVER () AS place
      FROM (SELECT id FROM chunks
            WHERE tenant_id = of_tenant AND lexemes @@ (SELECT mark::tsquery && asked.words FROM asked)
            ORDER BY ts_rank(lexemes, (SELECT asked.words FROM asked)) DESC, id LIMIT depth) AS ordered
    ), fused AS MATERIALIZED (
      SELECT id, coalesce(1.0::float8 / (k + nearest.place), 0)
        + coalesce(1.0::float8 / (k + matching.place), 0) AS score
      FROM nearest FULL JOIN matching USING (id) ORDER BY score DESC, id LIMIT most
    )
    SELECT coalesce(json_agg(passage ORDER BY score DESC, similarity DESC, chunk_id), '[]')::text FROM (
      SELECT chunk.id AS chunk_id, chunk.document_id, document.name AS document, chunk.page, chunk.heading,
        chunk.text, chunk.language, chunk.position, fused.score,
        CASE WHEN (SELECT comparable FROM asked) THEN -(chunk.embedding <#> question.vector) ELSE 0 END
          AS similarity,
        coalesce(ts_rank(chunk.lexemes, (SELECT asked.words FROM asked)), 0)::float8 AS lexical
      FROM fused
      CROSS JOIN LATERAL (SELECT * FROM chunks WHERE tenant_id = of_tenant AND id = fused.id OFFSET 0) AS chunk
      JOIN documents AS document ON document.tenant_id = of_tenant AND document.id = chunk.document_id
    ) AS passage
  )
  FROM unnest(vectors, models, dimensions, words, stems)
    WITH ORDINALITY AS question (vector, model, dimension, words, stems, number);
END $$;

-- Deliveries as whoever makes their calls needs them, as JSON; `begun` are those whose call may be made now.
CREATE FUNCTION describe_deliveries(of_tenant uuid, wanted uuid[], begun uuid[], outcome_wait double precision)
RETURNS TABLE (message uuid, described text) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT delivery.message, row_to_json(delivery)::text FROM (
    SELECT d.message_id AS message, d.part, d.round, d.attempts, d.created_at, d.repeated,
      d.message_id = ANY(begun) AS started,
      CASE WHEN d.message_id = ANY(begun) THEN 0
        ELSE greatest(extract(epoch FROM d.started_at - now())::float8 + outcome_wait, 0.5) END AS wait,
      m.conversation_id AS conversation, m.text, m.citations, c.language, m.detail, p.external_id,
      coalesce(p.phone, '') AS phone, heard.at AS heard_at, row_to_json(ch) AS channel
    FROM unnest(wanted) AS asked(message)
    CROSS JOIN LATERAL (
      SELECT * FROM deliveries WHERE tenant_id = of_tenant AND message_id = asked.message OFFSET 0) d
    CROSS JOIN LATERAL (
      SELECT * FROM messages WHERE tenant_id = of_tenant AND id = asked.message OFFSET 0) m
    CROSS JOIN LATERAL (
      SELECT * FROM conversations WHERE tenant_id = of_tenant AND id = m.conversation_id OFFSET 0) c
    CROSS JOIN LATERAL (SELECT * FROM contacts WHERE tenant_id = of_tenant AND id = c.contact_id OFFSET 0) p
    CROSS JOIN LATERAL (
      SELECT tenant_id, id, kind, name, settings, status, created_at FROM channels
      WHERE tenant_id = of_tenant AND id = m.channel_id OFFSET 0) ch
    LEFT JOIN LATERAL (
      SELECT coalesce(h.provider_at, h.created_at) AS at FROM messages h
      WHERE h.tenant_id = of_tenant AND h.conversation_id = m.conversation_id AND h.author = 'customer'
      ORDER BY h.seq DESC LIMIT 1
    ) heard ON true
  ) delivery;
END $$;

-- Deliveries whose call may be made from now on. Whoever makes the call says so first: after a crash it is known
-- that there may have been one. Where one may have been before, it is repeated only after its provider had the
-- time to tell, and after we have heard what it told: statuses that wait in the inbox since a moment ago, as after a
-- time without workers, are understood first (for five minutes at most, should one be stuck).
CREATE FUNCTION begin_deliveries(of_tenant uuid, wanted uuid[], outcome_wait double precision)
RETURNS TABLE (message uuid, begun text) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  ready uuid[];
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  SELECT array_agg(message_id) FILTER (
    WHERE started_at IS NULL OR (
      started_at <= now() - make_interval(secs => outcome_wait) AND (
        started_at <= now() - make_interval(secs => outcome_wait) - interval '5 minutes' OR NOT EXISTS (
        SELECT FROM inbox WHERE inbox.state = 'new' AND inbox.kind = 'status' AND inbox.tenant_id = of_tenant
          AND inbox.received_at < now() - interval '1 second' AND inbox.received_at > due.started_at
      )))
  ) INTO ready FROM (
    SELECT message_id, started_at FROM deliveries WHERE tenant_id = of_tenant AND message_id = ANY(wanted)
    ORDER BY message_id FOR UPDATE
  ) due;
  UPDATE deliveries SET started_at = now(), repeated = repeated + (started_at IS NOT NULL)::int
  WHERE tenant_id = of_tenant AND message_id = ANY(ready);
  RETURN QUERY SELECT * FROM describe_deliveries(of_tenant, wanted, coalesce(ready, '{}'), outcome_wait);
END $$;

-- An answer each, to all of its messages or to none; drafts end either way. `endings` are the jobs that end with
-- them. A row for each answer that was given, with the job of its delivery where that was taken for the holder,
-- already begun; and a row for each job that ended.
CREATE FUNCTION answer_conversations(
  of_tenant uuid, at timestamptz, places bigint, holder text, lease double precision, sent_by_providers text[],
  ids uuid[], new_messages uuid[], texts text[], previews text[], declines boolean[], citation_texts text[],
  details jsonb[], languages text[], correlations text[], counts bigint[], answered uuid[], streamed uuid[],
  endings bigint[], owners text[]
) RETURNS TABLE (
  message uuid, seq bigint, status text, delivery bigint, begun text, ended json
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  numbers bigint[];
  rooms uuid[];
  seqs bigint[];
  statuses text[];
  carriers bigint[];
  begins uuid[];
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  IF cardinality(streamed) > 0 THEN
    DELETE FROM drafts WHERE tenant_id = of_tenant AND conversation_id = ANY(streamed);
  END IF;
  PERFORM FROM conversations WHERE tenant_id = of_tenant AND id = ANY(ids) ORDER BY id FOR UPDATE;
  -- A statement of its own: only a new snapshot surely sees what the holder before has answered.
  SELECT array_agg(asked.n), array_agg(c.channel_id), array_agg(c.last_seq + 1),
    array_agg(CASE WHEN c.kind = ANY(sent_by_providers) THEN 'queued' ELSE 'sent' END)
  INTO numbers, rooms, seqs, statuses
  FROM unnest(ids, counts) WITH ORDINALITY AS asked(id, count, n)
  CROSS JOIN LATERAL (
    SELECT talk.channel_id, talk.last_seq, ch.kind FROM conversations talk
    JOIN channels ch ON ch.tenant_id = of_tenant AND ch.id = talk.channel_id
    WHERE talk.tenant_id = of_tenant AND talk.id = asked.id AND talk.state = 'assistant' OFFSET 0
  ) c
  WHERE asked.count = (
    SELECT count(*) FROM messages m
    WHERE m.tenant_id = of_tenant AND m.conversation_id = asked.id AND m.author = 'customer'
      AND m.answered_by IS NULL AND m.id = ANY(answered)
  );

  UPDATE messages m SET answered_by = new_messages[held.n]
  FROM unnest(numbers) AS held(n)
  WHERE m.tenant_id = of_tenant AND m.conversation_id = ids[held.n] AND m.author = 'customer'
    AND m.answered_by IS NULL AND m.id = ANY(answered);
  INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, status, declined,
    citations, detail, correlation_id, created_at)
  SELECT of_tenant, new_messages[n], ids[n], room, seq, 'assistant', texts[n], status, declines[n],
    citation_texts[n]::jsonb, details[n], correlations[n], at
  FROM unnest(numbers, rooms, seqs, statuses) AS held(n, room, seq, status);
  UPDATE conversations c SET last_seq = held.seq, last_text = previews[held.n], updated_at = at,
    language = coalesce(languages[held.n], c.language)
  FROM unnest(numbers, seqs) AS held(n, seq)
  WHERE c.tenant_id = of_tenant AND c.id = ids[held.n];
  INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
  SELECT of_tenant, 'message.sent', ids[n],
    jsonb_build_object('message', new_messages[n], 'author', 'assistant'), correlations[n]
  FROM unnest(numbers) AS n;

  IF 'queued' = ANY(statuses) AND places > 0 THEN
    -- Only those whose role may read jobs have places.
    WITH added AS (
      INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
      SELECT 'delivery:' || ids[n], 'deliver', of_tenant, jsonb_build_object('message', new_messages[n]),
        correlations[n]
      FROM unnest(numbers, statuses) AS held(n, status) WHERE status = 'queued'
      RETURNING id, lane, (payload ->> 'message')::uuid AS message
    ), claimed AS (
      INSERT INTO lanes (lane, leased_by, leased_until)
      SELECT lane, holder, now() + make_interval(secs => lease) FROM added
      WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = added.lane)
      ORDER BY lane LIMIT places
      ON CONFLICT (lane) DO NOTHING RETURNING lane
    )
    SELECT array_agg(added.id), array_agg(added.message) INTO carriers, begins
    FROM added JOIN claimed USING (lane);
  ELSIF 'queued' = ANY(statuses) THEN
    INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
    SELECT 'delivery:' || ids[n], 'deliver', of_tenant, jsonb_build_object('message', new_messages[n]),
      correlations[n]
    FROM unnest(numbers, statuses) AS held(n, status) WHERE status = 'queued';
  END IF;
  IF 'queued' = ANY(statuses) THEN
    INSERT INTO deliveries (tenant_id, message_id, created_at, started_at)
    SELECT of_tenant, new_messages[n], at, CASE WHEN new_messages[n] = ANY(begins) THEN now() END
    FROM unnest(numbers, statuses) AS held(n, status) WHERE status = 'queued';
  END IF;

  RETURN QUERY
  SELECT new_messages[held.n], held.seq, held.status, carrier.job, ready.described, NULL::json
  FROM unnest(numbers, seqs, statuses) AS held(n, seq, status)
  LEFT JOIN unnest(carriers, begins) AS carrier(job, message) ON carrier.message = new_messages[held.n]
  LEFT JOIN describe_deliveries(of_tenant, begins, begins, 0) ready ON ready.message = new_messages[held.n];
  IF cardinality(endings) > 0 THEN
    message := NULL; delivery := NULL; begun := NULL; ended := end_jobs(endings, owners);
    RETURN NEXT;
  END IF;
END $$;

-- The same for a few answers, one after the other.
CREATE FUNCTION answer_each(
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
  room uuid;
  kind text;
  delivery_lane text;
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  IF cardinality(streamed) > 0 THEN
    DELETE FROM drafts WHERE tenant_id = of_tenant AND conversation_id = ANY(streamed);
  END IF;
  FOR i IN SELECT n FROM unnest(ids) WITH ORDINALITY AS a(id, n) ORDER BY id, n LOOP
    SELECT c.channel_id, c.last_seq + 1, ch.kind INTO room, seq, kind
    FROM conversations c JOIN channels ch ON ch.tenant_id = of_tenant AND ch.id = c.channel_id
    WHERE c.tenant_id = of_tenant AND c.id = ids[i] AND c.state = 'assistant' FOR UPDATE OF c;
    CONTINUE WHEN NOT FOUND;
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
    status := CASE WHEN kind = ANY(sent_by_providers) THEN 'queued' ELSE 'sent' END;
    INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, status, declined,
      citations, detail, correlation_id, created_at)
    VALUES (of_tenant, new_messages[i], ids[i], room, answer_each.seq, 'assistant', texts[i], answer_each.status,
      declines[i], citation_texts[i]::jsonb, details[i], correlations[i], at);
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
      VALUES (of_tenant, new_messages[i], at, CASE WHEN delivery IS NOT NULL THEN now() END);
      IF delivery IS NOT NULL THEN
        places := places - 1;
        SELECT ready.described INTO begun
        FROM describe_deliveries(of_tenant, new_messages[i:i], new_messages[i:i], 0) ready;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;

  IF cardinality(endings) > 0 THEN
    message := NULL; delivery := NULL; begun := NULL; ended := end_jobs(endings, owners);
    RETURN NEXT;
  END IF;
END $$;

-- The provider has taken the last part: the delivery is over, its message has a name there, and whatever the
-- provider told of that name before counts. A delivery that is over already changes nothing. The job ends only
-- under its own lease; that the message was taken is true whoever writes it.
CREATE FUNCTION end_deliveries(
  of_tenant uuid, at timestamptz, sent uuid[], parts integer[], providers text[], notes jsonb[],
  endings bigint[], owners text[]
) RETURNS TABLE (id uuid, conversation_id uuid, seq bigint, ended json)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  over uuid[];
  names text[];
  sayings jsonb[];
  rooms uuid[];
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  WITH ended AS (
    DELETE FROM deliveries d USING unnest(sent, parts, providers, notes) AS g(message, part, provider, note)
    WHERE d.tenant_id = of_tenant AND d.message_id = g.message AND d.part = g.part
    RETURNING d.message_id, g.provider,
      g.note || CASE WHEN d.repeated > 0 THEN jsonb_build_object('repeated', d.repeated) ELSE '{}' END AS note
  )
  SELECT array_agg(ended.message_id), array_agg(ended.provider), array_agg(ended.note), array_agg(m.channel_id)
  INTO over, names, sayings, rooms
  FROM ended CROSS JOIN LATERAL (
    SELECT channel_id FROM messages WHERE tenant_id = of_tenant AND id = ended.message_id OFFSET 0
  ) m;
  RETURN QUERY
  WITH receipt AS (
    INSERT INTO receipts AS r (tenant_id, channel_id, provider_id, status, at)
    SELECT of_tenant, room, name, 'sent', end_deliveries.at FROM unnest(rooms, names) AS known(room, name)
    ORDER BY room, name
    ON CONFLICT (tenant_id, channel_id, provider_id) DO UPDATE SET status = r.status
    RETURNING channel_id, provider_id, status, detail
  ), moved AS (
    UPDATE messages m
    SET provider_id = n.name, status = r.status, detail = (m.detail - 'waiting') || n.note || r.detail
    FROM unnest(over, names, sayings, rooms) AS n(message, name, note, room)
    JOIN receipt r ON r.channel_id = n.room AND r.provider_id = n.name
    WHERE m.tenant_id = of_tenant AND m.id = n.message
    RETURNING m.id, m.conversation_id, m.seq, m.status, m.correlation_id
  ), told AS (
    INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
    SELECT of_tenant, 'message.status', conversation_id,
      jsonb_build_object('message', id, 'status', status), correlation_id FROM moved
  )
  SELECT id, conversation_id, seq, NULL::json FROM moved;
  id := NULL; ended := end_jobs(endings, owners);
  RETURN NEXT;
END $$;

-- Like claim_lanes, with what the jobs bring along; for a few lanes, one after the other. `wanted` is in the order
-- of the names.
CREATE FUNCTION claim_each(owner text, wanted text[], lease double precision, burst bigint)
RETURNS TABLE (
  lane text, taken_over boolean, watched boolean, id bigint, kind text, tenant_id uuid, payload jsonb,
  attempts integer, deaths integer, correlation_id text, deduped boolean, brought text
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  FOREACH lane IN ARRAY wanted LOOP
    INSERT INTO lanes AS held (lane, leased_by, leased_until)
    SELECT claim_each.lane, owner, now() + make_interval(secs => lease)
    WHERE EXISTS (SELECT FROM jobs WHERE jobs.lane = claim_each.lane AND run_at <= now())
      AND NOT EXISTS (SELECT FROM lanes WHERE lanes.lane = claim_each.lane AND leased_until >= now())
    ON CONFLICT (lane) DO UPDATE SET leased_by = excluded.leased_by, leased_until = excluded.leased_until,
      taken_over = held.leased_by IS NOT NULL, watched = held.watched AND held.leased_by IS NOT NULL
    WHERE held.leased_until < now()
    RETURNING held.taken_over, held.watched INTO taken_over, watched;
    CONTINUE WHEN NOT FOUND;
    id := NULL;
    FOR id, kind, tenant_id, payload, attempts, deaths, correlation_id, deduped IN
      SELECT jobs.id, jobs.kind, jobs.tenant_id, jobs.payload, jobs.attempts, jobs.deaths, jobs.correlation_id,
        dedupe_key IS NOT NULL
      FROM jobs WHERE jobs.lane = claim_each.lane AND run_at <= now() ORDER BY jobs.id LIMIT burst
    LOOP
      brought := bring(kind, tenant_id, lane);
      RETURN NEXT;
    END LOOP;
    IF id IS NULL THEN
      RETURN NEXT;
    END IF;
  END LOOP;
END $$;

REVOKE EXECUTE ON FUNCTION assistant_of, open_conversations, waiting_updates, bring, claim_each, end_jobs,
  take_lane, place_message, receive_messages, receive_each, search_passages, describe_deliveries,
  begin_deliveries, answer_conversations, answer_each, end_deliveries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION assistant_of, open_conversations, waiting_updates, bring, claim_each, end_jobs,
  take_lane, place_message, receive_messages, receive_each, search_passages, describe_deliveries,
  begin_deliveries, answer_conversations, answer_each, end_deliveries TO metachat_worker;
GRANT EXECUTE ON FUNCTION assistant_of, open_conversations, search_passages, describe_deliveries,
  answer_conversations, answer_each TO metachat_app;
