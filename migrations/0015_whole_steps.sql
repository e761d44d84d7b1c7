-- What a worker does for every message, each step whole in one round trip: a statement that waits for the next
-- one costs more than what it does. Each function says whose rows it sees (metachat.tenant, for the rest of the
-- transaction), so that it can commit by itself.
-- OFFSET 0 keeps the planner at looking rows up one by one, and so does naming all ids of a statement again.
-- Where a step ends a job, it leaves the job's lane with it unless more is due there; where it adds the next job,
-- it takes that job's lane for the worker that has a place for it (`places`), so that nobody has to claim it.
-- Lanes of what waits are left in the order of their names; a taken one is new, and nobody waits for it.

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

-- What a job of this kind wants read for it when its lane is claimed, as JSON; NULL for nothing. For "inbox" that
-- is what waits in its lane, two updates at most, with their channels as they are now.
CREATE FUNCTION bring(kind text, of_tenant uuid, of_lane text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  IF bring.kind IS DISTINCT FROM 'inbox' THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN (
    SELECT json_agg(json_build_object(
      'id', waiting.id, 'channel_kind', channel_kind, 'kind', waiting.kind,
      'payload', translate(encode(payload, 'base64'), E'\n', ''),
      'correlation_id', correlation_id, 'received_at', received_at, 'channel', row_to_json(ch)
    ) ORDER BY waiting.id)::text
    FROM (
      SELECT id, channel_kind, channel_id, kind, payload, correlation_id, received_at FROM inbox
      WHERE lane = of_lane AND state = 'new' ORDER BY id LIMIT 2
    ) waiting
    CROSS JOIN LATERAL (
      SELECT tenant_id, id, kind, name, status, settings, created_at FROM channels
      WHERE tenant_id = of_tenant AND id = waiting.channel_id AND kind = waiting.channel_kind OFFSET 0
    ) ch
  );
END $$;

-- A message each of customers that are known by exactly one name, or by none yet: who writes, their conversation,
-- the message, its event, the assistant's turn, the mark of its update and the end of its job. A row for each
-- message that found its conversation; nothing happens in those that are closed, and they have none. `turn` is
-- the turn's job where its lane was taken for the holder, with what it begins with.
CREATE FUNCTION receive_messages(
  of_tenant uuid, at timestamptz, longest double precision, beside bigint,
  places bigint, holder text, lease double precision,
  channels uuid[], externals text[], phones text[], names text[], locales text[], new_contacts uuid[],
  new_conversations uuid[], new_messages uuid[], texts text[], previews text[], provider_ids text[],
  provider_ats timestamptz[], details jsonb[], correlations text[], quiets double precision[],
  arrivals bigint[], endings bigint[], ending_lanes text[], owners text[]
) RETURNS TABLE (
  place bigint, conversation uuid, state text, after double precision, ended boolean, lane_left boolean,
  message uuid, seq bigint, turn bigint, opened text
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  fresh bigint[];
  found_places bigint[];
  found_ids uuid[];
  begun_places bigint[];
  begun_ids uuid[];
  states text[];
  afters double precision[];
  ends boolean[];
  leaves boolean[];
  added_ids uuid[];
  seqs bigint[];
  turn_ids bigint[];
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  -- The lane's lease keeps other workers away; the lock makes one that lost it wait, and then find none.
  SELECT array_agg(held.id) INTO fresh FROM (
    SELECT id FROM inbox WHERE id = ANY(arrivals) AND state = 'new' ORDER BY id FOR UPDATE
  ) held;

  -- The current conversation of those who are known by exactly this name, and by no other one beside it.
  SELECT array_agg(known.place), array_agg(known.id) INTO found_places, found_ids FROM (
    SELECT DISTINCT ON (latest.id) asked.place, latest.id
    FROM unnest(channels, externals, phones, arrivals) WITH ORDINALITY
      AS asked(channel, external, phone, arrival, place)
    CROSS JOIN LATERAL (
      SELECT id, phone FROM contacts
      WHERE tenant_id = of_tenant AND channel_id = asked.channel AND external_id = asked.external OFFSET 0
    ) person
    CROSS JOIN LATERAL (
      SELECT id FROM conversations WHERE tenant_id = of_tenant AND contact_id = person.id
      ORDER BY id DESC LIMIT 1
    ) latest
    WHERE asked.arrival = ANY(fresh) AND asked.phone IN ('', asked.external, person.phone) AND NOT EXISTS (
      SELECT FROM contacts other WHERE other.tenant_id = of_tenant AND other.channel_id = asked.channel
        AND other.phone = asked.phone AND other.external_id <> asked.external
    ) ORDER BY latest.id, asked.place
  ) known;

  -- Contacts and conversations of those whom nobody knows by any of their names. Whoever is made known by
  -- another worker in the same moment is left to the next look.
  IF coalesce(cardinality(found_places), 0) < coalesce(cardinality(fresh), 0) THEN
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest(new_contacts, new_conversations, channels, externals, phones, names, locales,
        correlations, arrivals) WITH ORDINALITY
      AS a(contact, id, channel, external, phone, name, locale, correlation, arrival, place)
      WHERE arrival = ANY(fresh) AND place <> ALL(coalesce(found_places, '{}'))
    ), known AS (
      INSERT INTO contacts (tenant_id, id, channel_id, external_id, name, locale, phone)
      SELECT of_tenant, contact, channel, external, name, locale, nullif(nullif(phone, ''), external)
      FROM asked WHERE NOT EXISTS (
        SELECT FROM contacts other WHERE other.tenant_id = of_tenant AND other.channel_id = asked.channel
          AND other.external_id IN (asked.external, asked.phone)
      ) AND NOT EXISTS (
        SELECT FROM contacts other WHERE other.tenant_id = of_tenant AND other.channel_id = asked.channel
          AND other.phone = asked.phone
      ) ORDER BY channel, external
      ON CONFLICT (tenant_id, channel_id, external_id) DO NOTHING
      RETURNING id
    ), begun AS (
      INSERT INTO conversations (tenant_id, id, channel_id, contact_id)
      SELECT of_tenant, asked.id, channel, contact FROM asked JOIN known ON known.id = asked.contact
      RETURNING id
    ), told AS (
      INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
      SELECT of_tenant, 'conversation.created', id, jsonb_build_object('channel', channel), correlation
      FROM asked JOIN begun USING (id)
    )
    SELECT array_agg(asked.place), array_agg(asked.id) INTO begun_places, begun_ids
    FROM asked JOIN begun USING (id);
    found_places := found_places || begun_places;
    found_ids := found_ids || begun_ids;
  END IF;

  WITH asked AS MATERIALIZED (
    SELECT found.id, given.* FROM unnest(found_places, found_ids) AS found(place, id)
    JOIN unnest(new_messages, texts, previews, provider_ids, provider_ats, details, correlations, quiets, arrivals,
      endings) WITH ORDINALITY AS given(message, text, preview, provider_id, provider_at, detail, correlation,
      quiet, arrival, job, place) USING (place)
  ), held AS MATERIALIZED (
    SELECT * FROM conversations
    WHERE tenant_id = of_tenant AND id = ANY(found_ids) AND state <> 'closed' ORDER BY id FOR UPDATE
  ), added AS (
    INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, provider_id, status,
      detail, correlation_id, provider_at, created_at)
    SELECT held.tenant_id, message, held.id, held.channel_id, held.last_seq + 1, 'customer', text, provider_id,
      'received', detail, correlation, provider_at, at
    FROM held JOIN asked USING (id)
    ON CONFLICT (tenant_id, channel_id, provider_id) WHERE provider_id IS NOT NULL DO NOTHING
    RETURNING id, conversation_id, seq
  ), counted AS (
    UPDATE conversations c SET last_seq = added.seq, last_text = asked.preview, updated_at = at
    FROM added JOIN asked ON asked.message = added.id
    WHERE c.tenant_id = of_tenant AND c.id = added.conversation_id AND c.id = ANY(found_ids)
  ), told AS (
    INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
    SELECT of_tenant, 'message.received', added.conversation_id, jsonb_build_object('message', added.id),
      asked.correlation
    FROM added JOIN asked ON asked.message = added.id
  ), turns AS MATERIALIZED (
    SELECT held.id, 'conversation:' || held.id AS lane, jsonb_build_object('conversation', held.id) AS payload,
      asked.correlation, asked.quiet
    FROM held JOIN asked USING (id) JOIN added ON added.id = asked.message WHERE held.state = 'assistant'
  ), soon AS (
    INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
    SELECT lane, 'turn', of_tenant, payload, correlation FROM turns WHERE quiet = 0
    RETURNING id, lane
  ), taken AS (
    INSERT INTO lanes (lane, leased_by, leased_until)
    SELECT lane, holder, now() + make_interval(secs => lease) FROM soon
    WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = soon.lane)
    ORDER BY lane LIMIT places
    ON CONFLICT (lane) DO NOTHING RETURNING lane
  ), later AS MATERIALIZED (
    SELECT id, debounce(lane, 'turn', of_tenant, payload, correlation, 'turn:' || id, quiet, quiet * longest)
      AS after
    FROM turns WHERE quiet > 0
  ), marked AS (
    UPDATE inbox SET state = 'parsed', error = NULL, handled_at = now()
    FROM held JOIN asked USING (id)
    WHERE inbox.id = asked.arrival AND inbox.id = ANY(fresh)
  ), ended AS (
    DELETE FROM jobs USING lanes, held JOIN asked USING (id)
    WHERE jobs.id = asked.job AND jobs.id = ANY(endings)
      AND lanes.lane = jobs.lane AND lanes.leased_by = ANY(owners)
    RETURNING jobs.id, jobs.lane
  ), idle AS MATERIALIZED (
    SELECT lane FROM lanes
    WHERE lane = ANY(ending_lanes) AND leased_by = ANY(owners) AND lane IN (SELECT lane FROM ended)
      AND NOT EXISTS (
        SELECT FROM jobs WHERE jobs.lane = lanes.lane AND run_at <= now() AND jobs.id <> ALL(endings)
      )
    ORDER BY lane FOR UPDATE
  ), gone AS (
    DELETE FROM lanes USING idle WHERE lanes.lane = idle.lane AND lanes.lane = ANY(ending_lanes)
    RETURNING lanes.lane
  )
  SELECT array_agg(asked.place), array_agg(held.id), array_agg(held.state), array_agg(later.after),
    array_agg(ended.id IS NOT NULL), array_agg(gone.lane IS NOT NULL), array_agg(added.id),
    array_agg(added.seq), array_agg(CASE WHEN taken.lane IS NOT NULL THEN soon.id END)
  INTO found_places, found_ids, states, afters, ends, leaves, added_ids, seqs, turn_ids
  FROM held JOIN asked USING (id)
  LEFT JOIN added ON added.id = asked.message
  LEFT JOIN later ON later.id = held.id
  LEFT JOIN ended ON ended.id = asked.job
  LEFT JOIN gone ON gone.lane = ended.lane
  LEFT JOIN soon ON soon.lane = 'conversation:' || held.id
  LEFT JOIN taken ON taken.lane = soon.lane;

  RETURN QUERY
  SELECT done.*, talk.opened
  FROM unnest(found_places, found_ids, states, afters, ends, leaves, added_ids, seqs, turn_ids)
    AS done(place, conversation, state, after, ended, lane_left, message, seq, turn)
  LEFT JOIN open_conversations(of_tenant, (
    SELECT array_agg(id) FROM unnest(found_ids, turn_ids) AS chosen(id, turn) WHERE chosen.turn IS NOT NULL
  ), beside) talk ON talk.id = done.conversation;
END $$;

-- The best passages for each question by itself, best first; to begin this statement costs more than a small
-- tenant's search. The last look-up stays one: as a join the planner may read all of a tenant's chunks for ten.
CREATE FUNCTION search_passages(
  of_tenant uuid, vectors halfvec[], models text[], dimensions integer[], words text[], stems text[],
  languages text[], configurations text[], mark text, depth bigint, most bigint, k integer
) RETURNS TABLE (
  question integer, chunk_id bigint, document_id uuid, document text, page integer, heading text, text text,
  language text, "position" integer, score double precision, similarity double precision,
  lexical double precision
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN QUERY
  SELECT question.number::int, passage.*
  FROM unnest(vectors, models, dimensions, words, stems)
    WITH ORDINALITY AS question (vector, model, dimension, words, stems, number)
  CROSS JOIN LATERAL (
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
    SELECT chunk.id AS chunk_id, chunk.document_id, document.name, chunk.page, chunk.heading, chunk.text,
      chunk.language, chunk.position, fused.score,
      CASE WHEN (SELECT comparable FROM asked) THEN -(chunk.embedding <#> question.vector) ELSE 0 END
        AS similarity,
      coalesce(ts_rank(chunk.lexemes, (SELECT asked.words FROM asked)), 0)::float8
    FROM fused
    CROSS JOIN LATERAL (SELECT * FROM chunks WHERE tenant_id = of_tenant AND id = fused.id OFFSET 0) AS chunk
    JOIN documents AS document ON document.tenant_id = of_tenant AND document.id = chunk.document_id
  ) AS passage
  ORDER BY question.number, passage.score DESC, passage.similarity DESC, passage.chunk_id;
END $$;

-- Deliveries whose call may be made from now on, and what it takes, as JSON. Whoever makes the call says so first:
-- after a crash it is known that there may have been one. Where one may have been before, it is repeated only
-- after its provider had the time to tell.
CREATE FUNCTION begin_deliveries(of_tenant uuid, wanted uuid[], outcome_wait double precision)
RETURNS TABLE (message uuid, begun text) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN QUERY
  WITH due AS MATERIALIZED (
    SELECT message_id, part, round, attempts, repeated, started_at, created_at FROM deliveries
    WHERE tenant_id = of_tenant AND message_id = ANY(wanted) ORDER BY message_id FOR UPDATE
  ), begun AS (
    UPDATE deliveries d SET started_at = now(), repeated = d.repeated + (due.started_at IS NOT NULL)::int
    FROM due WHERE d.tenant_id = of_tenant AND d.message_id = due.message_id AND d.message_id = ANY(wanted)
      AND (due.started_at IS NULL OR due.started_at <= now() - make_interval(secs => outcome_wait))
    RETURNING d.message_id, d.repeated
  )
  SELECT delivery.message, row_to_json(delivery)::text FROM (
    SELECT due.message_id AS message, due.part, due.round, due.attempts, due.created_at,
      coalesce(begun.repeated, due.repeated) AS repeated, begun.message_id IS NOT NULL AS started,
      coalesce(extract(epoch FROM due.started_at - now())::float8 + outcome_wait, 0) AS wait,
      m.conversation_id AS conversation, m.text, m.citations, c.language, m.detail,
      p.external_id, coalesce(p.phone, '') AS phone, heard.at AS heard_at, row_to_json(ch) AS channel
    FROM due LEFT JOIN begun ON begun.message_id = due.message_id
    CROSS JOIN LATERAL (
      SELECT * FROM messages WHERE tenant_id = of_tenant AND id = due.message_id OFFSET 0) m
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

-- An answer each, to all of its messages or to none; drafts end either way. `endings` are the jobs that end with
-- them. A row for each answer that was given, with the job of its delivery where that was taken for the holder,
-- already begun; and a row for each job that ended.
CREATE FUNCTION answer_conversations(
  of_tenant uuid, at timestamptz, places bigint, holder text, lease double precision, sent_by_providers text[],
  ids uuid[], new_messages uuid[], texts text[], previews text[], declines boolean[], citation_texts text[],
  details jsonb[], languages text[], correlations text[], counts bigint[], answered uuid[], streamed uuid[],
  endings bigint[], ending_lanes text[], owners text[]
) RETURNS TABLE (
  message uuid, seq bigint, status text, delivery bigint, begun text, job bigint, lane_left boolean
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  said uuid[];
  seqs bigint[];
  statuses text[];
  carriers text[];
  taken_jobs bigint[];
  taken_messages uuid[];
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  -- A statement of its own: only a new snapshot surely sees what the holder before has answered.
  PERFORM FROM conversations WHERE tenant_id = of_tenant AND id = ANY(ids) ORDER BY id FOR UPDATE;

  WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(ids, new_messages, texts, previews, declines, citation_texts, details, languages,
      correlations, counts)
    AS asked(id, message, text, preview, declined, citations, detail, language, correlation, count)
  ), open AS MATERIALIZED (
    SELECT m.id, m.conversation_id FROM messages m
    WHERE m.tenant_id = of_tenant AND m.id = ANY(answered) AND m.answered_by IS NULL
  ), held AS MATERIALIZED (
    SELECT c.*, ch.kind FROM asked
    CROSS JOIN LATERAL (
      SELECT * FROM conversations WHERE tenant_id = of_tenant AND id = asked.id AND state = 'assistant' OFFSET 0
    ) c
    CROSS JOIN LATERAL (
      SELECT kind FROM channels WHERE tenant_id = of_tenant AND id = c.channel_id OFFSET 0
    ) ch
    WHERE asked.count = (SELECT count(*) FROM open WHERE open.conversation_id = c.id)
  ), dropped AS (
    DELETE FROM drafts WHERE tenant_id = of_tenant AND conversation_id = ANY(streamed)
  ), marked AS (
    UPDATE messages m SET answered_by = asked.message
    FROM open JOIN held ON held.id = open.conversation_id JOIN asked ON asked.id = held.id
    WHERE m.tenant_id = of_tenant AND m.id = open.id AND m.id = ANY(answered)
  ), added AS (
    INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, status, declined,
      citations, detail, correlation_id, created_at)
    SELECT held.tenant_id, asked.message, held.id, held.channel_id, held.last_seq + 1, 'assistant', asked.text,
      CASE WHEN held.kind = ANY(sent_by_providers) THEN 'queued' ELSE 'sent' END,
      asked.declined, asked.citations::jsonb, asked.detail, asked.correlation, at
    FROM held JOIN asked USING (id)
    RETURNING id, conversation_id, seq, status, correlation_id
  ), counted AS (
    UPDATE conversations c SET last_seq = added.seq, last_text = asked.preview, updated_at = at,
      language = coalesce(asked.language, c.language)
    FROM added JOIN asked ON asked.message = added.id
    WHERE c.tenant_id = of_tenant AND c.id = added.conversation_id AND c.id = ANY(ids)
  ), told AS (
    INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
    SELECT of_tenant, 'message.sent', conversation_id,
      jsonb_build_object('message', id, 'author', 'assistant'), correlation_id
    FROM added
  ), outgoing AS (
    INSERT INTO deliveries (tenant_id, message_id, created_at)
    SELECT of_tenant, id, at FROM added WHERE status = 'queued'
  ), carried AS (
    INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
    SELECT 'delivery:' || conversation_id, 'deliver', of_tenant, jsonb_build_object('message', id),
      correlation_id
    FROM added WHERE status = 'queued'
  )
  SELECT array_agg(id), array_agg(seq), array_agg(status),
    array_agg('delivery:' || conversation_id) FILTER (WHERE status = 'queued')
  INTO said, seqs, statuses, carriers FROM added;

  -- From here on only those whose role may end jobs.
  IF places > 0 AND carriers IS NOT NULL THEN
    WITH first AS MATERIALIZED (
      SELECT DISTINCT ON (lane) lane, id, (payload ->> 'message')::uuid AS message FROM jobs
      WHERE lane = ANY(carriers) AND kind = 'deliver' AND run_at <= now() ORDER BY lane, id
    ), taken AS (
      INSERT INTO lanes (lane, leased_by, leased_until)
      SELECT lane, holder, now() + make_interval(secs => lease) FROM first
      WHERE first.message = ANY(said) ORDER BY lane LIMIT places
      ON CONFLICT (lane) DO NOTHING RETURNING lane
    )
    SELECT array_agg(first.id), array_agg(first.message) INTO taken_jobs, taken_messages
    FROM first JOIN taken USING (lane);
  END IF;

  RETURN QUERY
  SELECT answer.message, answer.seq, answer.status, carrier.job, ready.begun, NULL::bigint, NULL::boolean
  FROM unnest(said, seqs, statuses) AS answer(message, seq, status)
  LEFT JOIN unnest(taken_jobs, taken_messages) AS carrier(job, message) ON carrier.message = answer.message
  LEFT JOIN begin_deliveries(of_tenant, taken_messages, 0) ready ON ready.message = answer.message;

  IF cardinality(endings) > 0 THEN
    RETURN QUERY
    SELECT NULL::uuid, NULL::bigint, NULL::text, NULL::bigint, NULL::text, over.job, over.lane_left
    FROM end_jobs(endings, ending_lanes, owners) over;
  END IF;
END $$;

-- Jobs whose effect is in this transaction, in lanes that their owners hold; each lane is left with its job unless
-- more is due there.
CREATE FUNCTION end_jobs(endings bigint[], ending_lanes text[], owners text[])
RETURNS TABLE (job bigint, lane_left boolean) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH ended AS (
    DELETE FROM jobs USING lanes
    WHERE jobs.id = ANY(endings) AND lanes.lane = jobs.lane AND lanes.lane = ANY(ending_lanes)
      AND lanes.leased_by = ANY(owners)
    RETURNING jobs.id, jobs.lane
  ), idle AS MATERIALIZED (
    SELECT lane FROM lanes
    WHERE lane = ANY(ending_lanes) AND leased_by = ANY(owners) AND lane IN (SELECT lane FROM ended)
      AND NOT EXISTS (
        SELECT FROM jobs WHERE jobs.lane = lanes.lane AND run_at <= now() AND jobs.id <> ALL(endings)
      )
    ORDER BY lane FOR UPDATE
  ), gone AS (
    DELETE FROM lanes USING idle WHERE lanes.lane = idle.lane AND lanes.lane = ANY(ending_lanes)
    RETURNING lanes.lane
  )
  SELECT ended.id, gone.lane IS NOT NULL FROM ended LEFT JOIN gone USING (lane);
END $$;

-- The provider has taken the last part: the delivery is over, its message has a name there, and whatever the
-- provider told of that name before counts. A delivery that is over already changes nothing. The job ends only
-- under its own lease; that the message was taken is true whoever writes it.
CREATE FUNCTION end_deliveries(
  of_tenant uuid, at timestamptz, sent uuid[], parts integer[], providers text[], notes jsonb[],
  endings bigint[], ending_lanes text[], owners text[]
) RETURNS TABLE (id uuid, conversation_id uuid, seq bigint, job bigint, lane_left boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('metachat.tenant', of_tenant::text, true);
  RETURN QUERY
  WITH given AS (
    SELECT * FROM unnest(sent, parts, providers, notes) AS g(message, part, provider, note)
  ), over AS (
    DELETE FROM deliveries d USING given g
    WHERE d.tenant_id = of_tenant AND d.message_id = g.message AND d.part = g.part
      AND d.message_id = ANY(sent)
    RETURNING d.message_id, g.provider,
      g.note || CASE WHEN d.repeated > 0 THEN jsonb_build_object('repeated', d.repeated) ELSE '{}' END AS note
  ), named AS (
    SELECT o.*, m.channel_id FROM over o
    CROSS JOIN LATERAL (SELECT * FROM messages WHERE tenant_id = of_tenant AND id = o.message_id OFFSET 0) m
  ), receipt AS (
    INSERT INTO receipts AS r (tenant_id, channel_id, provider_id, status, at)
    SELECT of_tenant, channel_id, provider, 'sent', end_deliveries.at FROM named ORDER BY channel_id, provider
    ON CONFLICT (tenant_id, channel_id, provider_id) DO UPDATE SET status = r.status
    RETURNING channel_id, provider_id, status, detail
  ), moved AS (
    UPDATE messages m
    SET provider_id = n.provider, status = r.status, detail = (m.detail - 'waiting') || n.note || r.detail
    FROM named n JOIN receipt r ON r.channel_id = n.channel_id AND r.provider_id = n.provider
    WHERE m.tenant_id = of_tenant AND m.id = n.message_id AND m.id = ANY(sent)
    RETURNING m.id, m.conversation_id, m.seq, m.status, m.correlation_id
  ), told AS (
    INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
    SELECT of_tenant, 'message.status', conversation_id,
      jsonb_build_object('message', id, 'status', status), correlation_id FROM moved
  )
  SELECT id, conversation_id, seq, NULL::bigint, NULL::boolean FROM moved;
  RETURN QUERY
  SELECT NULL::uuid, NULL::uuid, NULL::bigint, over.job, over.lane_left
  FROM end_jobs(endings, ending_lanes, owners) over;
END $$;

REVOKE EXECUTE ON FUNCTION assistant_of, open_conversations, bring, receive_messages, search_passages,
  begin_deliveries, answer_conversations, end_jobs, end_deliveries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION assistant_of, open_conversations, bring, receive_messages, search_passages,
  begin_deliveries, answer_conversations, end_jobs, end_deliveries TO metachat_worker;
GRANT EXECUTE ON FUNCTION assistant_of, open_conversations, search_passages, begin_deliveries,
  answer_conversations TO metachat_app;
