-- Stores, when they mean to be open, what the polls saw, and the reports made from both.
-- Every table belongs to tenants: tenant_id leads each key, and row-level security, forced on the owner too,
-- shows a session the rows of the tenant it has set and no others. The setting reads '' after a transaction that
-- set it, hence NULLIF. The sub-select makes Postgres read it once for a statement instead of once for a row.
--
-- The schema itself and the two roles are there before the first migration: deploy/postgres/roles.sql.

CREATE TABLE store.stores (
  tenant_id    uuid        NOT NULL,
  store_id     uuid        NOT NULL,
  name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
  timezone     text        NOT NULL,
  -- The id the store has in the tenant's own system.
  external_id  text        CHECK (char_length(external_id) BETWEEN 1 AND 100),
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  CONSTRAINT stores_pkey PRIMARY KEY (tenant_id, store_id),
  CONSTRAINT stores_external_id_key UNIQUE (tenant_id, external_id)
);

CREATE TABLE store.business_hours (
  tenant_id       uuid     NOT NULL,
  store_id        uuid     NOT NULL,
  -- Hours hold from this local day until the next set begins.
  effective_from  date     NOT NULL DEFAULT '-infinity',
  day_of_week     smallint NOT NULL CHECK (day_of_week BETWEEN 0 AND 6),  -- 0 is Monday
  -- Seconds of the local clock since midnight, as they were told. An end at or before the start is on the next day.
  start_second    int      NOT NULL CHECK (start_second BETWEEN 0 AND 86399),
  end_second      int      NOT NULL CHECK (end_second BETWEEN 0 AND 86400),
  CONSTRAINT business_hours_pkey
    PRIMARY KEY (tenant_id, store_id, effective_from, day_of_week, start_second, end_second),
  CONSTRAINT business_hours_store_fkey
    FOREIGN KEY (tenant_id, store_id) REFERENCES store.stores ON DELETE CASCADE
);

-- Partitioned by month, so that retention drops tables instead of deleting rows; ensure_poll_partitions makes them.
-- What is older than the platform is little, and comes from whoever likes: it shares one partition.
-- No foreign key: checking it row by row would cost an import more than all the rest. Whoever inserts locks the
-- store FOR KEY SHARE; deleting a store deletes its polls.
CREATE TABLE store.polls (
  tenant_id  uuid        NOT NULL,
  store_id   uuid        NOT NULL,
  at         timestamptz NOT NULL,
  is_active  boolean     NOT NULL,
  -- How often a later arrival contradicted and replaced what was here.
  replaced   smallint    NOT NULL DEFAULT 0,
  CONSTRAINT polls_pkey PRIMARY KEY (tenant_id, store_id, at)
) PARTITION BY RANGE (at);

CREATE TABLE store.polls_before_2020 PARTITION OF store.polls
  FOR VALUES FROM (MINVALUE) TO ('2020-01-01 00:00:00+00');
ALTER TABLE store.polls_before_2020 ENABLE ROW LEVEL SECURITY;
ALTER TABLE store.polls_before_2020 FORCE ROW LEVEL SECURITY;

CREATE TABLE store.imports (
  tenant_id       uuid        NOT NULL,
  import_id       uuid        NOT NULL,
  kind            text        NOT NULL CHECK (kind IN ('polls', 'hours', 'timezones')),
  rows            bigint      NOT NULL,
  accepted        bigint      NOT NULL,
  duplicates      bigint      NOT NULL,
  rejected        bigint      NOT NULL,
  stores_created  bigint      NOT NULL,
  completed_at    timestamptz NOT NULL,
  CONSTRAINT imports_pkey PRIMARY KEY (tenant_id, import_id)
);

CREATE TABLE store.reports (
  tenant_id       uuid        NOT NULL,
  report_id       uuid        NOT NULL,
  -- Of an open one its job says how it fares: it has the report's id.
  status          text        NOT NULL CHECK (status IN ('open', 'complete', 'failed')),
  policy          text        NOT NULL CHECK (policy IN ('step')),
  as_of           timestamptz,
  -- Which stores; all when null.
  store_ids       uuid[],
  engine_version  text        NOT NULL DEFAULT '',
  row_count       bigint,
  failure_reason  text,
  created_at      timestamptz NOT NULL,
  completed_at    timestamptz,
  CONSTRAINT reports_pkey PRIMARY KEY (tenant_id, report_id),
  CONSTRAINT reports_outcome_check CHECK (
    (status = 'complete') = (row_count IS NOT NULL) AND (status = 'failed') = (failure_reason IS NOT NULL))
);

-- A tenant has at most 20 of the one and keeps 100 of the other.
CREATE INDEX reports_open_idx ON store.reports (tenant_id, created_at) WHERE status = 'open';
CREATE INDEX reports_finished_idx ON store.reports (tenant_id, completed_at) WHERE completed_at IS NOT NULL;

-- The finished CSV in pieces of at most 1 MiB, so that a download never holds more than one.
CREATE TABLE store.report_chunks (
  tenant_id  uuid  NOT NULL,
  report_id  uuid  NOT NULL,
  ordinal    int   NOT NULL,
  bytes      bytea NOT NULL CHECK (octet_length(bytes) <= 1048576),
  CONSTRAINT report_chunks_pkey PRIMARY KEY (tenant_id, report_id, ordinal),
  CONSTRAINT report_chunks_report_fkey
    FOREIGN KEY (tenant_id, report_id) REFERENCES store.reports ON DELETE CASCADE
);

DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['stores', 'business_hours', 'polls', 'imports', 'reports', 'report_chunks'] LOOP
    EXECUTE format('ALTER TABLE store.%I ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('ALTER TABLE store.%I FORCE ROW LEVEL SECURITY', guarded);
    EXECUTE format(
      'CREATE POLICY tenant ON store.%I
         USING (tenant_id = (SELECT NULLIF(current_setting(''mainstreet.tenant'', true), '''')::uuid))', guarded);
  END LOOP;
END
$$;

-- Makes the partitions of polls for the months of these instants, where they are missing: from 2020 to now, and no
-- more than 120 in one call. Attaching, unlike creating
-- in place, keeps nobody from reading or writing the others meanwhile.
CREATE FUNCTION store.ensure_poll_partitions(instants timestamptz[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  month timestamptz;
  months timestamptz[];
  partition text;
BEGIN
  SELECT array_agg(DISTINCT asked.month) INTO months
  FROM unnest(instants) AS instant, date_trunc('month', instant) AS asked (month)
  WHERE instant >= '2020-01-01' AND instant < now() + interval '1 day'
    AND to_regclass(to_char(asked.month, '"store.polls_"YYYY_MM')) IS NULL;
  IF months IS NULL THEN RETURN; END IF;
  IF cardinality(months) > 120 THEN
    RAISE program_limit_exceeded USING MESSAGE = 'polls of more than 120 new months at once';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('store.polls'), 0);
  FOREACH month IN ARRAY months LOOP
    partition := to_char(month, '"polls_"YYYY_MM');
    -- Somebody else may have made it while this waited for the lock.
    CONTINUE WHEN to_regclass('store.' || partition) IS NOT NULL;
    EXECUTE format('CREATE TABLE store.%I (LIKE store.polls INCLUDING ALL)', partition);
    EXECUTE format('ALTER TABLE store.%I ENABLE ROW LEVEL SECURITY', partition);
    EXECUTE format('ALTER TABLE store.%I FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format(
      'ALTER TABLE store.polls ATTACH PARTITION store.%I FOR VALUES FROM (%L) TO (%L)',
      partition, month, month + interval '1 month');
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION store.ensure_poll_partitions FROM PUBLIC;

GRANT USAGE ON SCHEMA store TO mainstreet_store;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON store.stores, store.business_hours, store.polls, store.reports, store.report_chunks TO mainstreet_store;
GRANT SELECT, INSERT ON store.imports TO mainstreet_store;
GRANT EXECUTE ON FUNCTION store.ensure_poll_partitions TO mainstreet_store;
