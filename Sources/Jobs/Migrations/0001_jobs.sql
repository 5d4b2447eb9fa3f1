-- The durable queue of one service, in its schema. Written by Jobs as a template: {schema} is that of the service,
-- {role} the role it logs in as.
--
-- Jobs of all tenants lie in these tables side by side, so the service may not look into them: it adds jobs, and
-- everything else it does through the functions below, which run as the owner. No statement a service writes can see
-- or touch a job of another tenant, because it can see none.
--
-- A job moves: scheduled → ready → running → history, with detours through blocked (a limit is reached) and dead (it
-- failed for good). Each station is a table of its own, so that the one everybody looks at, ready, stays small
-- whatever lies in the others.
--
-- These tables are empty at one moment and full at the next, faster than statistics are gathered, and a plan that was
-- made for an empty one walks over all of a full one. So the functions that run all day leave the planner no choice:
-- they find rows by an index, one lookup each (LATERAL with LIMIT), and take those they have locked, or that nobody else
-- changes, by their place (ctid = ANY).
--
-- Time is read from this server alone. Whether a worker lives is not a matter of time here: see jobs_workers.

-- What a job is, at every station.
CREATE TABLE {schema}.jobs_template (
  job_id        uuid        NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  queue         text        COLLATE "C" NOT NULL CHECK (char_length(queue) BETWEEN 1 AND 100),
  kind          text        COLLATE "C" NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 100),
  -- Whose it is; null for the service's own.
  tenant_id     uuid,
  -- 0 goes first.
  priority      smallint    NOT NULL CHECK (priority BETWEEN 0 AND 3),
  -- Tenants are spread over lanes 0 to 63, which take turns. Lane 64 is for jobs whose workers have died twice: a
  -- worker runs at most one of those of a queue at a time.
  lane          smallint    NOT NULL CHECK (lane BETWEEN 0 AND 64),
  -- Counts up with every run. Whoever acknowledges names it, and is refused if it is not the current one.
  attempt       int         NOT NULL DEFAULT 0,
  -- Runs that failed, of the most there may be.
  failed        smallint    NOT NULL DEFAULT 0,
  max_attempts  smallint    NOT NULL CHECK (max_attempts BETWEEN 1 AND 1000),
  -- Runs whose worker died.
  crashes       smallint    NOT NULL DEFAULT 0,
  -- Jobs with the same key share a limit: see jobs_limits.
  limit_key     text        COLLATE "C" CHECK (char_length(limit_key) BETWEEN 1 AND 200),
  -- At most one job of this kind has it: see jobs_unique.
  unique_key    text        COLLATE "C" CHECK (char_length(unique_key) BETWEEN 1 AND 200),
  -- Its row in jobs_dead is to be resolved when it succeeds.
  is_redriven   boolean     NOT NULL DEFAULT false,
  payload       jsonb       NOT NULL CHECK (pg_column_size(payload) <= 262144),
  -- The last failures, the newest last: [{"attempt", "at", "ms", "code", "message", "isTold"}].
  failures      jsonb
);

-- In the order in which they were made ready.
CREATE SEQUENCE {schema}.jobs_seq;

CREATE TABLE {schema}.jobs_ready (
  LIKE {schema}.jobs_template INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  seq      bigint      NOT NULL DEFAULT nextval('{schema}.jobs_seq'),
  ready_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT jobs_ready_pkey PRIMARY KEY (job_id)
) WITH (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000);
CREATE INDEX jobs_ready_next_idx ON {schema}.jobs_ready (queue, priority, lane, seq);
-- Whether a limit is still of use.
CREATE INDEX jobs_ready_limit_idx ON {schema}.jobs_ready (limit_key) WHERE limit_key IS NOT NULL;

-- Held back by the limit of their key, until jobs_unblock finds room.
CREATE TABLE {schema}.jobs_blocked (
  LIKE {schema}.jobs_template INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  CONSTRAINT jobs_blocked_pkey PRIMARY KEY (job_id)
);
-- An id begins with the time it was made: the oldest job goes first, however often it has been back here.
CREATE INDEX jobs_blocked_next_idx ON {schema}.jobs_blocked (limit_key, priority, job_id);

CREATE TABLE {schema}.jobs_scheduled (
  LIKE {schema}.jobs_template INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  run_at timestamptz NOT NULL,
  CONSTRAINT jobs_scheduled_pkey PRIMARY KEY (job_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_scheduled_due_idx ON {schema}.jobs_scheduled (run_at);
CREATE INDEX jobs_scheduled_limit_idx ON {schema}.jobs_scheduled (limit_key) WHERE limit_key IS NOT NULL;

CREATE TABLE {schema}.jobs_running (
  LIKE {schema}.jobs_template INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  worker_id        bigint           NOT NULL,
  started_at       timestamptz      NOT NULL DEFAULT clock_timestamp(),
  progress         double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
  cancel_requested boolean          NOT NULL DEFAULT false,
  -- Said of jobs of lane 64 only: see jobs_begin.
  is_begun         boolean          NOT NULL DEFAULT false,
  CONSTRAINT jobs_running_pkey PRIMARY KEY (job_id)
) WITH (
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000);
CREATE INDEX jobs_running_limit_idx ON {schema}.jobs_running (limit_key) WHERE limit_key IS NOT NULL;
CREATE INDEX jobs_running_cancel_idx ON {schema}.jobs_running (worker_id) WHERE cancel_requested;

-- What became of them, a partition a day: see jobs_keep_history.
CREATE TABLE {schema}.jobs_history (
  job_id       uuid        NOT NULL,
  finished_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  outcome      text        COLLATE "C" NOT NULL CHECK (outcome IN ('succeeded', 'dead', 'cancelled')),
  created_at   timestamptz NOT NULL,
  started_at   timestamptz,
  queue        text        COLLATE "C" NOT NULL,
  kind         text        COLLATE "C" NOT NULL,
  tenant_id    uuid,
  attempt      int         NOT NULL,
  failures     jsonb
) PARTITION BY RANGE (finished_at);
CREATE INDEX jobs_history_job_idx ON {schema}.jobs_history (job_id);
-- For what no other partition takes, so that a missed maintenance refuses nobody's acknowledgement.
CREATE TABLE {schema}.jobs_history_other PARTITION OF {schema}.jobs_history DEFAULT;

CREATE TABLE {schema}.jobs_dead (
  LIKE {schema}.jobs_template INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
  died_at     timestamptz NOT NULL DEFAULT now(),
  -- Of the last failure; what dead jobs are grouped by.
  error_code  text        COLLATE "C" NOT NULL,
  redrives    int         NOT NULL DEFAULT 0,
  -- On its way again.
  redriven_at timestamptz,
  -- It succeeded after all.
  resolved_at timestamptz,
  CONSTRAINT jobs_dead_pkey PRIMARY KEY (job_id)
);
CREATE INDEX jobs_dead_open_idx ON {schema}.jobs_dead (kind, error_code, died_at)
  WHERE redriven_at IS NULL AND resolved_at IS NULL;
CREATE INDEX jobs_dead_limit_idx ON {schema}.jobs_dead (limit_key) WHERE limit_key IS NOT NULL;
CREATE INDEX jobs_dead_order_idx ON {schema}.jobs_dead (died_at, job_id)
  WHERE redriven_at IS NULL AND resolved_at IS NULL;

-- A worker beats; whoever watches it and sees the same beat for the length of its lease, by a clock of its own, may
-- bury it, if the beat is still the same then. No clock but the watcher's is asked, and none may jump.
CREATE TABLE {schema}.jobs_workers (
  worker_id  bigint      GENERATED ALWAYS AS IDENTITY,
  name       text        NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  -- Each worker has its own; those who watch may have others.
  lease      interval    NOT NULL CHECK (lease BETWEEN interval '100 milliseconds' AND interval '1 hour'),
  beat       bigint      NOT NULL DEFAULT 0,
  CONSTRAINT jobs_workers_pkey PRIMARY KEY (worker_id)
) WITH (fillfactor = 50);

CREATE TABLE {schema}.jobs_queues (
  queue       text        COLLATE "C" NOT NULL,
  is_paused   boolean     NOT NULL DEFAULT false,
  -- Limits of the queue as a whole; null is none.
  max_running int         CHECK (max_running > 0),
  rate        double precision CHECK (rate > 0),        -- a second
  burst       double precision CHECK (burst >= 1),
  tokens      double precision NOT NULL DEFAULT 0,
  refilled_at timestamptz NOT NULL DEFAULT '-infinity',
  CHECK ((rate IS NULL) = (burst IS NULL)),
  CONSTRAINT jobs_queues_pkey PRIMARY KEY (queue)
);

CREATE TABLE {schema}.jobs_limits (
  limit_key   text        COLLATE "C" NOT NULL,
  -- To within an hour. Those that add jobs declare their limits again every few hours: see jobs_keep_history.
  declared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  max_running int         CHECK (max_running > 0),
  rate        double precision CHECK (rate > 0),
  burst       double precision CHECK (burst >= 1),
  tokens      double precision NOT NULL DEFAULT 0,
  refilled_at timestamptz NOT NULL DEFAULT '-infinity',
  CHECK ((rate IS NULL) = (burst IS NULL)),
  CONSTRAINT jobs_limits_pkey PRIMARY KEY (limit_key)
) WITH (fillfactor = 50);

-- Which unique keys are taken. A key is free again when its job has got so far (started or ended) and held_until has passed.
CREATE TABLE {schema}.jobs_unique (
  kind        text        COLLATE "C" NOT NULL,
  unique_key  text        COLLATE "C" NOT NULL,
  job_id      uuid        NOT NULL,
  -- Let go when the job starts, rather than when it ends; and had again while it waits to be run again.
  until_start boolean     NOT NULL,
  is_over     boolean     NOT NULL DEFAULT false,
  held_until  timestamptz NOT NULL,
  CONSTRAINT jobs_unique_pkey PRIMARY KEY (kind, unique_key)
);

CREATE TABLE {schema}.jobs_crons (
  name         text        COLLATE "C" NOT NULL,
  expression   text        NOT NULL,
  timezone     text        NOT NULL,
  next_at      timestamptz NOT NULL,
  last_at      timestamptz,
  is_paused    boolean     NOT NULL DEFAULT false,
  CONSTRAINT jobs_crons_pkey PRIMARY KEY (name)
);

-- ── Adding ──────────────────────────────────────────────────────────────────────────────────────

-- Adds jobs, in the caller's transaction: there when it commits, and gone with it. Those with a time or a delay are
-- scheduled.
CREATE FUNCTION {schema}.jobs_add(
  ids uuid[], queues text[], kinds text[], tenants uuid[], priorities smallint[], lanes smallint[],
  most_attempts smallint[], limit_keys text[], payloads text[], run_ats timestamptz[], delays interval[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO {schema}.jobs_ready
    (job_id, queue, kind, tenant_id, priority, lane, max_attempts, limit_key, payload)
  SELECT id, queue, kind, tenant, priority, lane, attempts, limit_key, payload::jsonb
  FROM unnest(ids, queues, kinds, tenants, priorities, lanes, most_attempts, limit_keys, payloads, run_ats, delays)
    AS job (id, queue, kind, tenant, priority, lane, attempts, limit_key, payload, run_at, delay)
  WHERE run_at IS NULL AND delay IS NULL;
  -- Most often there are none, and this costs as much as the whole insert of a single job.
  IF EXISTS (SELECT FROM unnest(run_ats, delays) AS t (run_at, delay) WHERE run_at IS NOT NULL OR delay IS NOT NULL) THEN
    INSERT INTO {schema}.jobs_scheduled
      (job_id, queue, kind, tenant_id, priority, lane, max_attempts, limit_key, payload, run_at)
    SELECT id, queue, kind, tenant, priority, lane, attempts, limit_key, payload::jsonb,
      -- What was due before this is looked for by nobody but now and then; see jobs_stage.
      greatest(coalesce(run_at, clock_timestamp() + delay), clock_timestamp())
    FROM unnest(ids, queues, kinds, tenants, priorities, lanes, most_attempts, limit_keys, payloads, run_ats, delays)
      AS job (id, queue, kind, tenant, priority, lane, attempts, limit_key, payload, run_at, delay)
    WHERE run_at IS NOT NULL OR delay IS NOT NULL;
  END IF;
END
$$;

-- Adds a job unless another of its kind has the key; returns the one that has it then. Two transactions that take the
-- same free key take turns. Whoever finds it held keeps nobody from ending the job that holds it: the key is read without
-- a lock. Only a job that lets go of it when it starts may not start before the caller's transaction has ended, for it
-- would not see what it is to run for; those that fetch pass over it meanwhile.
CREATE FUNCTION {schema}.jobs_add_unique(
  id uuid, queue text, kind text, tenant uuid, priority smallint, lane smallint, most_attempts smallint,
  limit_key text, payload text, run_at timestamptz, delay interval, unique_key text, until_start boolean,
  held_for interval)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  holder {schema}.jobs_unique;
  is_taken boolean := false;
BEGIN
  FOR round IN 1..100 LOOP
    SELECT held.* INTO holder FROM {schema}.jobs_unique AS held
    WHERE held.kind = kind AND held.unique_key = unique_key;
    IF NOT FOUND THEN
      INSERT INTO {schema}.jobs_unique (kind, unique_key, job_id, until_start, held_until)
      VALUES (kind, unique_key, id, until_start, clock_timestamp() + held_for)
      ON CONFLICT ON CONSTRAINT jobs_unique_pkey DO NOTHING;
      is_taken := FOUND;
    ELSIF holder.is_over AND holder.held_until <= clock_timestamp() THEN
      BEGIN
        UPDATE {schema}.jobs_unique AS held
        SET job_id = id, until_start = until_start, is_over = false, held_until = clock_timestamp() + held_for
        WHERE held.kind = kind AND held.unique_key = unique_key
          AND held.is_over AND held.held_until <= clock_timestamp();
        is_taken := FOUND;
        IF NOT is_taken THEN RAISE 'the key was taken' USING ERRCODE = 'JQ001'; END IF;
      EXCEPTION WHEN SQLSTATE 'JQ001' THEN
        -- Somebody else took it while this waited. Undone, so that the row is not kept locked.
        NULL;
      END;
    ELSIF holder.is_over OR NOT holder.until_start THEN
      RETURN holder.job_id;
    ELSE
      PERFORM 1 FROM {schema}.jobs_ready AS r WHERE r.job_id = holder.job_id FOR KEY SHARE;
      IF FOUND THEN RETURN holder.job_id; END IF;
      PERFORM 1 FROM {schema}.jobs_scheduled AS s WHERE s.job_id = holder.job_id FOR KEY SHARE;
      IF FOUND THEN RETURN holder.job_id; END IF;
      PERFORM 1 FROM {schema}.jobs_blocked AS b WHERE b.job_id = holder.job_id FOR KEY SHARE;
      IF FOUND THEN RETURN holder.job_id; END IF;
      -- It has just moved on: perhaps it has started.
    END IF;
    EXIT WHEN is_taken;
  END LOOP;
  IF NOT is_taken THEN
    RAISE 'the key % does not stand still', unique_key USING ERRCODE = 'lock_not_available';
  END IF;
  -- See jobs_add.
  IF run_at IS NOT NULL OR delay IS NOT NULL THEN
    run_at := greatest(coalesce(run_at, clock_timestamp() + delay), clock_timestamp());
  END IF;
  IF run_at IS NULL THEN
    INSERT INTO {schema}.jobs_ready
      (job_id, queue, kind, tenant_id, priority, lane, max_attempts, limit_key, unique_key, payload)
    VALUES (id, queue, kind, tenant, priority, lane, most_attempts, limit_key, unique_key, payload::jsonb);
  ELSE
    INSERT INTO {schema}.jobs_scheduled
      (job_id, queue, kind, tenant_id, priority, lane, max_attempts, limit_key, unique_key, payload, run_at)
    VALUES (id, queue, kind, tenant, priority, lane, most_attempts, limit_key, unique_key, payload::jsonb, run_at);
  END IF;
  RETURN id;
END
$$;

-- ── Workers ─────────────────────────────────────────────────────────────────────────────────────

CREATE FUNCTION {schema}.jobs_enlist(worker_name text, lease interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO {schema}.jobs_workers (name, lease) VALUES (worker_name, lease) RETURNING worker_id
$$;

-- Says that the worker lives and how far its jobs are. Returns the jobs somebody wants cancelled, or no row for a worker
-- that was buried: nothing it runs is its own any more.
CREATE FUNCTION {schema}.jobs_beat(worker bigint, jobs uuid[], shares double precision[])
RETURNS TABLE (cancelled uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  UPDATE {schema}.jobs_workers SET beat = beat + 1 WHERE worker_id = worker;
  IF NOT FOUND THEN RETURN; END IF;
  -- Waits for nobody, since it holds many: a job that is just being acknowledged needs no progress.
  UPDATE {schema}.jobs_running AS r SET progress = p.share
  FROM unnest(jobs, shares) AS p (job, share), (
    SELECT job_id FROM {schema}.jobs_running WHERE job_id = ANY (jobs) FOR UPDATE SKIP LOCKED) AS free
  WHERE r.job_id = p.job AND r.job_id = free.job_id AND r.worker_id = worker AND r.progress <> p.share;
  RETURN QUERY
    SELECT coalesce(array_agg(job_id), '{}') FROM {schema}.jobs_running
    WHERE worker_id = worker AND cancel_requested;
END
$$;

CREATE FUNCTION {schema}.jobs_watch() RETURNS TABLE (worker_id bigint, beat bigint, lease interval)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT worker_id, beat, lease FROM {schema}.jobs_workers
$$;

-- ── Running ─────────────────────────────────────────────────────────────────────────────────────

-- What a bucket holds by now that was refilled then.
CREATE FUNCTION {schema}.jobs_refill(
  tokens double precision, rate double precision, burst double precision, refilled_at timestamptz, now_at timestamptz)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF refilled_at = '-infinity' THEN RETURN burst; END IF;
  -- The clock may have been set back.
  RETURN least(burst, tokens + rate * greatest(0, extract(epoch FROM now_at - refilled_at)));
END
$$;

-- How many more jobs with these keys may run, of those that are wanted, and takes so many of their tokens. Whoever
-- asks holds the keys until its transaction ends, and everybody takes them in the same order. `next_in` is when a rate
-- allows one more, in seconds; null if it is not a rate that forbids it.
CREATE FUNCTION {schema}.jobs_allow(keys text[], wanted int[], takes boolean)
RETURNS TABLE (limit_key text, allowed int, next_in double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  want record;
  bucket {schema}.jobs_limits;
  now_at timestamptz;
BEGIN
  FOR want IN SELECT * FROM unnest(keys, wanted) AS w (key, count) ORDER BY w.key COLLATE "C" LOOP
    limit_key := want.key;
    allowed := want.count;
    next_in := NULL;
    SELECT * INTO bucket FROM {schema}.jobs_limits AS l WHERE l.limit_key = want.key FOR UPDATE;
    IF FOUND AND bucket.max_running IS NOT NULL THEN
      allowed := least(allowed, greatest(0, bucket.max_running - (
        SELECT count(*) FROM {schema}.jobs_running AS r WHERE r.limit_key = want.key)::int));
    END IF;
    IF FOUND AND bucket.rate IS NOT NULL THEN
      now_at := clock_timestamp();
      bucket.tokens := {schema}.jobs_refill(bucket.tokens, bucket.rate, bucket.burst, bucket.refilled_at, now_at);
      allowed := least(allowed, floor(bucket.tokens)::int);
      IF bucket.tokens < want.count THEN
        next_in := (1 - bucket.tokens + floor(bucket.tokens)) / bucket.rate;
      END IF;
      UPDATE {schema}.jobs_limits AS l
      SET tokens = bucket.tokens - CASE WHEN takes THEN allowed ELSE 0 END, refilled_at = now_at
      WHERE l.limit_key = want.key;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;

-- How many jobs of the queue may be taken now, of as many as are wanted, and whether each costs a token. `next_in`, if
-- it is fewer than wanted: in how many milliseconds a rate allows another, or 0 if jobs must end first. Queues without
-- limits of their own lock nothing.
CREATE FUNCTION {schema}.jobs_admit(of_queue text, wanted int, OUT allowed int, OUT costs boolean, OUT next_in bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  bucket {schema}.jobs_queues;
  now_at timestamptz;
BEGIN
  allowed := wanted;
  costs := false;
  SELECT * INTO bucket FROM {schema}.jobs_queues WHERE queue = of_queue;
  IF NOT FOUND THEN RETURN; END IF;
  IF bucket.is_paused THEN allowed := 0; END IF;
  IF allowed <= 0 OR bucket.max_running IS NULL AND bucket.rate IS NULL THEN RETURN; END IF;
  SELECT * INTO bucket FROM {schema}.jobs_queues WHERE queue = of_queue FOR UPDATE;
  IF bucket.max_running IS NOT NULL THEN
    allowed := least(allowed, greatest(0, bucket.max_running - (
      SELECT count(*) FROM {schema}.jobs_running WHERE queue = of_queue)::int));
    IF allowed < wanted THEN next_in := 0; END IF;
  END IF;
  IF bucket.rate IS NOT NULL THEN
    costs := true;
    now_at := clock_timestamp();
    bucket.tokens := {schema}.jobs_refill(bucket.tokens, bucket.rate, bucket.burst, bucket.refilled_at, now_at);
    IF bucket.tokens < allowed THEN
      allowed := floor(bucket.tokens);
      next_in := ceil((1 - bucket.tokens + allowed) / bucket.rate * 1000);
    END IF;
    UPDATE {schema}.jobs_queues SET tokens = bucket.tokens, refilled_at = now_at WHERE queue = of_queue;
  END IF;
END
$$;

-- Takes up to `most` jobs for the worker: by priority, then lane by lane from `first_lane` on, from each lane at most
-- `share`, in their order. `floors` has for each priority and lane, 4 × 64 of them, where to begin: what lies below was
-- taken long ago, and while an old transaction keeps it from being cleaned away, walking over it would take ever
-- longer. Of lane 64 at most `suspects`, as part of the `most`. A worker that was buried gets nothing.
--
-- Those whose key is at its limit are moved to jobs_blocked, and returned as attempt 0, without a payload: there may be
-- more jobs behind them, which the queue's limits allow, since these cost no token.
--
-- Where the queue's own limits allow less than `most`, a row of attempt -1 says so, with a `seq` of in how many
-- milliseconds a rate allows another job, or 0 if jobs must end first.
CREATE FUNCTION {schema}.jobs_fetch(
  worker bigint, of_queue text, most int, share int, first_lane int, floors bigint[], suspects int)
RETURNS TABLE (
  job_id uuid, attempt int, failed smallint, max_attempts smallint, kind text, tenant_id uuid, limit_key text,
  priority smallint, lane smallint, seq bigint, ready_at timestamptz, fetched_at timestamptz, payload jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  allowed int;
  costs boolean;
  next_in bigint;
BEGIN
  PERFORM 1 FROM {schema}.jobs_workers WHERE worker_id = worker FOR KEY SHARE;
  IF NOT FOUND THEN RETURN; END IF;
  SELECT a.allowed, a.costs, a.next_in INTO allowed, costs, next_in FROM {schema}.jobs_admit(of_queue, most) AS a;
  IF next_in IS NOT NULL THEN
    RETURN QUERY SELECT NULL::uuid, -1, 0::smallint, 0::smallint, '', NULL::uuid, NULL, 0::smallint, 0::smallint,
      next_in, statement_timestamp(), statement_timestamp(), NULL::jsonb;
  END IF;
  IF allowed <= 0 THEN RETURN; END IF;
  RETURN QUERY
  WITH suspect AS MATERIALIZED (
    SELECT r.place FROM generate_series(0, 3) AS p (priority), LATERAL (
      SELECT r.ctid AS place FROM {schema}.jobs_ready AS r
      WHERE r.queue = of_queue AND r.priority = p.priority AND r.lane = 64
      ORDER BY r.seq LIMIT suspects FOR UPDATE SKIP LOCKED) AS r
    LIMIT least(suspects, allowed)),
  picked AS MATERIALIZED (
    SELECT place FROM suspect
    UNION ALL
    (SELECT job.place
     FROM (SELECT (n - 1) / 64 AS priority, (first_lane + n - 1) & 63 AS lane,
             floors[(n - 1) / 64 * 64 + ((first_lane + n - 1) & 63) + 1] AS floor
           FROM generate_series(1, 256) AS n) AS l,
       LATERAL (
         SELECT r.ctid AS place FROM {schema}.jobs_ready AS r
         WHERE r.queue = of_queue AND r.priority = l.priority AND r.lane = l.lane AND r.seq >= l.floor
         ORDER BY r.seq LIMIT share FOR UPDATE SKIP LOCKED) AS job
     LIMIT allowed - (SELECT count(*) FROM suspect))
  ),
  taken AS (DELETE FROM {schema}.jobs_ready WHERE ctid = ANY (ARRAY(SELECT place FROM picked)) RETURNING *),
  limited AS MATERIALIZED (
    SELECT t.job_id, t.limit_key, row_number() OVER (PARTITION BY t.limit_key ORDER BY t.priority, t.job_id) AS place
    FROM taken AS t WHERE t.limit_key IS NOT NULL),
  allowed AS MATERIALIZED (
    SELECT a.* FROM (
      SELECT array_agg(w.limit_key) AS keys, array_agg(w.count) AS wanted
      FROM (SELECT limit_key, count(*)::int AS count FROM limited GROUP BY limit_key) AS w) AS w,
      LATERAL {schema}.jobs_allow(w.keys, w.wanted, true) AS a),
  over AS MATERIALIZED (
    SELECT l.job_id FROM limited AS l JOIN allowed AS a ON a.limit_key = l.limit_key WHERE l.place > a.allowed),
  blocked AS (
    INSERT INTO {schema}.jobs_blocked (
      job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes, limit_key,
      unique_key, is_redriven, payload, failures)
    SELECT t.job_id, t.created_at, t.queue, t.kind, t.tenant_id, t.priority, t.lane, t.attempt, t.failed,
      t.max_attempts, t.crashes, t.limit_key, t.unique_key, t.is_redriven, t.payload, t.failures
    FROM taken AS t WHERE t.job_id IN (SELECT o.job_id FROM over AS o)),
  started AS (
    UPDATE {schema}.jobs_unique SET is_over = true WHERE ctid = ANY (ARRAY(
      SELECT u.place FROM taken AS t, LATERAL (
        SELECT u.ctid AS place FROM {schema}.jobs_unique AS u
        WHERE u.kind = t.kind AND u.unique_key = t.unique_key AND u.job_id = t.job_id AND u.until_start
          AND NOT u.is_over LIMIT 1) AS u
      WHERE t.unique_key IS NOT NULL AND t.job_id NOT IN (SELECT o.job_id FROM over AS o)))),
  running AS (
    INSERT INTO {schema}.jobs_running (
      job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes, limit_key,
      unique_key, is_redriven, payload, failures, worker_id)
    SELECT t.job_id, t.created_at, t.queue, t.kind, t.tenant_id, t.priority, t.lane, t.attempt + 1, t.failed,
      t.max_attempts, t.crashes, t.limit_key, t.unique_key, t.is_redriven, t.payload, t.failures, worker
    FROM taken AS t WHERE t.limit_key IS NULL OR t.job_id NOT IN (SELECT o.job_id FROM over AS o)),
  charged AS (
    UPDATE {schema}.jobs_queues AS q
    SET tokens = tokens - (SELECT count(*) FROM taken) + (SELECT count(*) FROM over)
    WHERE costs AND q.queue = of_queue)
  SELECT t.job_id, CASE WHEN o.job_id IS NULL THEN t.attempt + 1 ELSE 0 END, t.failed, t.max_attempts, t.kind,
    t.tenant_id, t.limit_key, t.priority, t.lane, t.seq, t.ready_at, statement_timestamp(),
    CASE WHEN o.job_id IS NULL THEN t.payload ELSE 'null' END
  FROM taken AS t LEFT JOIN over AS o ON t.limit_key IS NOT NULL AND o.job_id = t.job_id;
END
$$;

-- Says that the worker begins a job of lane 64; false if the job is not its own any more. A worker that dies may not have
-- begun what it had fetched, and that shall not be the death of those. Of all others nobody is told, which would cost as
-- much as the rest of a job: all that a worker's death does to them is that they take turns the next time.
CREATE FUNCTION {schema}.jobs_begin(worker bigint, id uuid, of_attempt int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM 1 FROM {schema}.jobs_workers WHERE worker_id = worker FOR KEY SHARE;
  UPDATE {schema}.jobs_running SET is_begun = true
  WHERE job_id = id AND attempt = of_attempt AND worker_id = worker;
  RETURN FOUND;
END
$$;

-- Acknowledges jobs that succeeded. Returns those that are not this worker's any more, whose effect is somebody
-- else's to have. (The lock on the worker keeps it from being buried meanwhile, which would take the same jobs in another
-- order.)
CREATE FUNCTION {schema}.jobs_finish(worker bigint, jobs uuid[], attempts int[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM {schema}.jobs_workers WHERE worker_id = worker FOR KEY SHARE;
  RETURN QUERY
  -- A key that was let go already is another's to take, and nobody waits for whoever is just doing that.
  -- Not by place: of a row that changes meanwhile (its progress, a wish to cancel it) that is another then. IS TRUE keeps
  -- the planner from making a join of it.
  WITH done AS (
    DELETE FROM {schema}.jobs_running AS r
    WHERE r.job_id = ANY (jobs) AND r.worker_id = worker
      AND ((r.job_id, r.attempt) IN (SELECT g.job, g.attempt FROM unnest(jobs, attempts) AS g (job, attempt))) IS TRUE
    RETURNING r.*),
  kept AS (
    INSERT INTO {schema}.jobs_history
      (job_id, outcome, created_at, started_at, queue, kind, tenant_id, attempt, failures)
    SELECT job_id, 'succeeded', created_at, started_at, queue, kind, tenant_id, attempt, failures FROM done),
  freed AS (
    UPDATE {schema}.jobs_unique SET is_over = true WHERE ctid = ANY (ARRAY(
      SELECT u.place FROM done AS d, LATERAL (
        SELECT u.ctid AS place FROM {schema}.jobs_unique AS u
        WHERE u.kind = d.kind AND u.unique_key = d.unique_key AND u.job_id = d.job_id AND NOT u.is_over LIMIT 1) AS u
      WHERE d.unique_key IS NOT NULL))),
  resolved AS (
    UPDATE {schema}.jobs_dead SET resolved_at = clock_timestamp() WHERE job_id = ANY (ARRAY(
      SELECT d.job_id FROM done AS d WHERE d.is_redriven)))
  SELECT g.job FROM unnest(jobs) AS g (job) WHERE g.job NOT IN (SELECT d.job_id FROM done AS d);
END
$$;

-- What becomes of a job that has left jobs_running without success. `outcome` is
--   retry    it failed, and runs again after `delay` if it may
--   dead     it failed for good
--   snooze   it runs again after `delay`, and has not failed
--   crash    its worker died
--   cancel   it was called off
-- One that somebody wants cancelled does not run again, whatever it came to.
CREATE FUNCTION {schema}.jobs_settle_one(job {schema}.jobs_running, outcome text, delay interval, failure jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept jsonb := coalesce(job.failures, '[]');
BEGIN
  IF job.cancel_requested AND outcome IN ('retry', 'snooze', 'crash') THEN outcome := 'cancel'; END IF;
  IF failure IS NOT NULL THEN
    IF jsonb_array_length(kept) >= 10 THEN kept := kept - 0; END IF;
    job.failures := kept || jsonb_build_array(failure || jsonb_build_object(
      'attempt', job.attempt, 'at', clock_timestamp(),
      'ms', round(extract(epoch FROM clock_timestamp() - job.started_at) * 1000)));
  END IF;
  IF outcome IN ('retry', 'dead') THEN job.failed := job.failed + 1; END IF;
  -- Not the job's failure: it may only have been near the one that did it. Those are told apart by being run one by
  -- one from the second time on, and the third time nobody else can have been it.
  IF outcome = 'crash' THEN
    job.crashes := job.crashes + 1;
    IF job.crashes >= 2 THEN job.lane := 64; END IF;
  END IF;

  IF outcome IN ('cancel', 'dead') OR outcome = 'retry' AND job.failed >= job.max_attempts OR job.crashes >= 3 THEN
    INSERT INTO {schema}.jobs_history
      (job_id, outcome, created_at, started_at, queue, kind, tenant_id, attempt, failures)
    VALUES (job.job_id, CASE outcome WHEN 'cancel' THEN 'cancelled' ELSE 'dead' END, job.created_at, job.started_at,
      job.queue, job.kind, job.tenant_id, job.attempt, job.failures);
    PERFORM {schema}.jobs_let_go(job.job_id, job.kind, job.unique_key, job.is_redriven);
    IF outcome <> 'cancel' THEN
      INSERT INTO {schema}.jobs_dead (
        job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes, limit_key,
        unique_key, payload, failures, error_code)
      VALUES (job.job_id, job.created_at, job.queue, job.kind, job.tenant_id, job.priority, job.lane, job.attempt,
        job.failed, job.max_attempts, job.crashes, job.limit_key, job.unique_key, job.payload, job.failures,
        coalesce(left(failure->>'code', 100), 'UNKNOWN'))
      ON CONFLICT ON CONSTRAINT jobs_dead_pkey DO UPDATE SET
        died_at = clock_timestamp(), attempt = EXCLUDED.attempt, failed = EXCLUDED.failed,
        crashes = EXCLUDED.crashes, failures = EXCLUDED.failures, error_code = EXCLUDED.error_code;
    END IF;
    RETURN;
  END IF;

  -- It waits again, and so has the key again that it let go when it was fetched, unless another has taken that or is
  -- about to: for such a one nobody waits.
  IF job.unique_key IS NOT NULL THEN
    UPDATE {schema}.jobs_unique SET is_over = false WHERE ctid = ANY (ARRAY(
      SELECT u.ctid FROM {schema}.jobs_unique AS u
      WHERE u.kind = job.kind AND u.unique_key = job.unique_key AND u.job_id = job.job_id AND u.until_start AND u.is_over
      FOR UPDATE SKIP LOCKED));
  END IF;
  IF delay > interval '0' THEN
    INSERT INTO {schema}.jobs_scheduled (
      job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes, limit_key,
      unique_key, is_redriven, payload, failures, run_at)
    VALUES (job.job_id, job.created_at, job.queue, job.kind, job.tenant_id, job.priority, job.lane, job.attempt,
      job.failed, job.max_attempts, job.crashes, job.limit_key, job.unique_key, job.is_redriven, job.payload,
      job.failures, clock_timestamp() + delay);
  ELSE
    INSERT INTO {schema}.jobs_ready (
      job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes, limit_key,
      unique_key, is_redriven, payload, failures)
    VALUES (job.job_id, job.created_at, job.queue, job.kind, job.tenant_id, job.priority, job.lane, job.attempt,
      job.failed, job.max_attempts, job.crashes, job.limit_key, job.unique_key, job.is_redriven, job.payload,
      job.failures);
  END IF;
END
$$;

-- Acknowledges jobs that did not succeed; see jobs_settle_one. Returns those that are not this worker's any more.
CREATE FUNCTION {schema}.jobs_settle(
  worker bigint, jobs uuid[], attempts int[], outcomes text[], delays interval[], failures text[])
RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  job {schema}.jobs_running;
BEGIN
  PERFORM 1 FROM {schema}.jobs_workers WHERE worker_id = worker FOR KEY SHARE;
  FOR i IN 1..cardinality(jobs) LOOP
    DELETE FROM {schema}.jobs_running AS r
    WHERE r.job_id = jobs[i] AND r.attempt = attempts[i] AND r.worker_id = worker RETURNING r.* INTO job;
    IF FOUND THEN
      PERFORM {schema}.jobs_settle_one(job, outcomes[i], delays[i], failures[i]::jsonb);
    ELSE
      RETURN NEXT jobs[i];
    END IF;
  END LOOP;
END
$$;

-- Gives back what the worker is said to have been running for a while and does not know of: what it fetched over a
-- connection that broke before the answer came. Returns how many jobs that was.
CREATE FUNCTION {schema}.jobs_reclaim(worker bigint, known uuid[], since interval) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  job {schema}.jobs_running;
  count int := 0;
BEGIN
  PERFORM 1 FROM {schema}.jobs_workers WHERE worker_id = worker FOR KEY SHARE;
  FOR job IN
    DELETE FROM {schema}.jobs_running
    WHERE worker_id = worker AND started_at < clock_timestamp() - since AND job_id <> ALL (known) RETURNING *
  LOOP
    PERFORM {schema}.jobs_settle_one(job, 'snooze', interval '0', NULL);
    count := count + 1;
  END LOOP;
  RETURN count;
END
$$;

-- Takes a worker off the list: one that leaves, or, with the beat at which it has stood still, one that is dead. What it
-- has not finished is given back. Returns how many jobs that was; null if it lives after all, or froze in the middle of
-- taking or acknowledging a job: then it is to be tried again, for it holds its place until that has ended. A job of lane
-- 64 that a dead one had not begun is not blamed; see jobs_begin.
CREATE FUNCTION {schema}.jobs_bury(worker bigint, still_at bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  job {schema}.jobs_running;
  is_blamed boolean;
  count int := 0;
BEGIN
  IF still_at IS NOT NULL THEN
    PERFORM 1 FROM {schema}.jobs_workers WHERE worker_id = worker FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
  -- Of one that leaves, waits for a fetch that is under way; and comes before any later one.
  DELETE FROM {schema}.jobs_workers WHERE worker_id = worker AND (still_at IS NULL OR beat = still_at);
  IF NOT FOUND THEN RETURN NULL; END IF;
  FOR job IN DELETE FROM {schema}.jobs_running WHERE worker_id = worker RETURNING * LOOP
    is_blamed := still_at IS NOT NULL AND (job.lane < 64 OR job.is_begun);
    PERFORM {schema}.jobs_settle_one(
      job, CASE WHEN is_blamed THEN 'crash' ELSE 'snooze' END, interval '0',
      CASE WHEN is_blamed THEN
        '{"code": "WORKER_DIED", "message": "the worker that ran it went silent"}'::jsonb END);
    count := count + 1;
  END LOOP;
  RETURN count;
END
$$;

-- ── Time and limits ─────────────────────────────────────────────────────────────────────────────

-- Makes ready what is due. Nothing before `since` is looked at; see jobs_fetch on floors. Returns the queues that have
-- got jobs, how many jobs, until when they were due, and in how many seconds the next is, or null.
CREATE FUNCTION {schema}.jobs_stage(most int, since timestamptz)
RETURNS TABLE (queues text[], moved int, reached timestamptz, next_in double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  WITH due AS MATERIALIZED (
    SELECT ctid AS place FROM {schema}.jobs_scheduled
    WHERE run_at <= clock_timestamp() AND run_at >= since ORDER BY run_at LIMIT most FOR UPDATE SKIP LOCKED),
  taken AS (DELETE FROM {schema}.jobs_scheduled WHERE ctid = ANY (ARRAY(SELECT place FROM due)) RETURNING *),
  made AS (
    INSERT INTO {schema}.jobs_ready (
      job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes, limit_key,
      unique_key, is_redriven, payload, failures)
    SELECT job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes,
      limit_key, unique_key, is_redriven, payload, failures
    FROM taken ORDER BY run_at)
  SELECT coalesce(array_agg(DISTINCT queue), '{}'), count(*)::int, max(run_at) INTO queues, moved, reached FROM taken;
  SELECT extract(epoch FROM min(run_at) - clock_timestamp()) INTO next_in FROM (
    SELECT run_at FROM {schema}.jobs_scheduled WHERE run_at >= since ORDER BY run_at LIMIT 1) AS first;
  RETURN NEXT;
END
$$;

-- Makes blocked jobs ready whose limit has room again, for each key at most so many. Returns the queues that have got
-- jobs, and in how many seconds a rate leaves room for more.
CREATE FUNCTION {schema}.jobs_unblock(keys text[], counts int[])
RETURNS TABLE (queues text[], next_in double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  room record;
  got text[];
BEGIN
  queues := '{}';
  FOR room IN SELECT * FROM {schema}.jobs_allow(keys, counts, false) LOOP
    WITH freed AS MATERIALIZED (
      SELECT ctid AS place FROM {schema}.jobs_blocked WHERE limit_key = room.limit_key
      ORDER BY priority, job_id LIMIT room.allowed FOR UPDATE SKIP LOCKED),
    taken AS (DELETE FROM {schema}.jobs_blocked WHERE ctid = ANY (ARRAY(SELECT place FROM freed)) RETURNING *),
    made AS (
      INSERT INTO {schema}.jobs_ready (
        job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes, limit_key,
        unique_key, is_redriven, payload, failures)
      SELECT job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, failed, max_attempts, crashes,
        limit_key, unique_key, is_redriven, payload, failures
      FROM taken ORDER BY priority, job_id)
    SELECT array_agg(DISTINCT queue) INTO got FROM taken;
    queues := queues || coalesce(got, '{}');
    next_in := least(next_in, room.next_in);
  END LOOP;
  RETURN NEXT;
END
$$;

-- Does so for the keys that come after `after`, at most so many. `reached` is the last of them, to go on from; null when
-- there were no more.
CREATE FUNCTION {schema}.jobs_unblock_after(after text, most int)
RETURNS TABLE (queues text[], next_in double precision, reached text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  keys text[];
BEGIN
  -- From key to key, however many jobs each has.
  WITH RECURSIVE key (name, place) AS (
    SELECT min(limit_key), 1 FROM {schema}.jobs_blocked WHERE limit_key > after
    UNION ALL
    SELECT (SELECT min(b.limit_key) FROM {schema}.jobs_blocked AS b WHERE b.limit_key > key.name), place + 1
    FROM key WHERE key.name IS NOT NULL AND place < most)
  SELECT array_agg(name) INTO keys FROM key WHERE name IS NOT NULL;
  queues := '{}';
  IF keys IS NOT NULL THEN
    SELECT u.queues, u.next_in INTO queues, next_in
    FROM {schema}.jobs_unblock(keys, array_fill(100, ARRAY[cardinality(keys)])) AS u;
    IF cardinality(keys) = most THEN reached := keys[most]; END IF;
  END IF;
  RETURN NEXT;
END
$$;

-- Says what a key's limit is, and that it is in use; outside of the transaction that adds the job, since whoever changes
-- a limit holds it.
CREATE FUNCTION {schema}.jobs_limit(key text, running int, per_second double precision, at_once double precision)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO {schema}.jobs_limits AS l (limit_key, max_running, rate, burst) VALUES (key, running, per_second, at_once)
  ON CONFLICT ON CONSTRAINT jobs_limits_pkey DO UPDATE
    SET max_running = EXCLUDED.max_running, rate = EXCLUDED.rate, burst = EXCLUDED.burst,
      declared_at = EXCLUDED.declared_at
    WHERE (l.max_running, l.rate, l.burst) IS DISTINCT FROM (EXCLUDED.max_running, EXCLUDED.rate, EXCLUDED.burst)
      OR l.declared_at < clock_timestamp() - interval '1 hour'
$$;

-- Says what the limits of a queue are; the tokens it has saved up, and whether it is paused, stay as they are.
CREATE FUNCTION {schema}.jobs_limit_queue(
  of_queue text, running int, per_second double precision, at_once double precision)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO {schema}.jobs_queues AS q (queue, max_running, rate, burst)
  VALUES (of_queue, running, per_second, at_once)
  ON CONFLICT ON CONSTRAINT jobs_queues_pkey DO UPDATE
    SET max_running = EXCLUDED.max_running, rate = EXCLUDED.rate, burst = EXCLUDED.burst
    WHERE (q.max_running, q.rate, q.burst) IS DISTINCT FROM (EXCLUDED.max_running, EXCLUDED.rate, EXCLUDED.burst)
$$;

-- ── Cron ────────────────────────────────────────────────────────────────────────────────────────

-- Declares a cron job. A changed expression or zone starts it anew from `first`.
CREATE FUNCTION {schema}.jobs_cron(cron text, of_expression text, zone text, first timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO {schema}.jobs_crons AS c (name, expression, timezone, next_at) VALUES (cron, of_expression, zone, first)
  ON CONFLICT ON CONSTRAINT jobs_crons_pkey DO UPDATE
    SET expression = EXCLUDED.expression, timezone = EXCLUDED.timezone, next_at = EXCLUDED.next_at
    WHERE (c.expression, c.timezone) IS DISTINCT FROM (EXCLUDED.expression, EXCLUDED.timezone)
$$;

-- The cron jobs that are not paused, and the time.
CREATE FUNCTION {schema}.jobs_crons_next()
RETURNS TABLE (name text, expression text, timezone text, next_at timestamptz, now_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT name, expression, timezone, next_at, statement_timestamp() FROM {schema}.jobs_crons WHERE NOT is_paused
$$;

-- All cron jobs.
CREATE FUNCTION {schema}.jobs_crons_said()
RETURNS TABLE (
  name text, expression text, timezone text, next_at timestamptz, last_at timestamptz, is_paused boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT name, expression, timezone, next_at, last_at, is_paused FROM {schema}.jobs_crons ORDER BY name LIMIT 1000
$$;

-- Holds a cron job back, or lets it go on. False if there is none of this name.
CREATE FUNCTION {schema}.jobs_pause_cron(cron text, paused boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE {schema}.jobs_crons SET is_paused = paused WHERE name = cron;
  RETURN FOUND;
END
$$;

-- Moves a cron job on from the tick at `at`, and says whether the caller is the one who has: whoever is adds the job, in the
-- same transaction.
CREATE FUNCTION {schema}.jobs_tick(cron text, of_expression text, at timestamptz, following timestamptz)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE {schema}.jobs_crons SET last_at = at, next_at = following
  WHERE name = cron AND next_at = at AND expression = of_expression AND NOT is_paused;
  RETURN FOUND;
END
$$;

-- ── One job ─────────────────────────────────────────────────────────────────────────────────────

-- Where a job is and how it fares; no row if nobody knows it, or `of_tenant` is not null and not its tenant. One
-- statement sees a job at one station, however fast it moves.
CREATE FUNCTION {schema}.jobs_find(id uuid, of_tenant uuid)
RETURNS TABLE (
  station text, queue text, kind text, tenant_id uuid, attempt int, failed smallint, max_attempts smallint,
  created_at timestamptz, run_at timestamptz, started_at timestamptz, finished_at timestamptz, progress double precision,
  cancel_requested boolean, failures jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT * FROM (
    SELECT 'ready', queue, kind, tenant_id, attempt, failed, max_attempts, created_at, ready_at, NULL::timestamptz,
      NULL::timestamptz, 0::double precision, false, failures
    FROM {schema}.jobs_ready WHERE job_id = id
    UNION ALL
    SELECT 'blocked', queue, kind, tenant_id, attempt, failed, max_attempts, created_at, NULL, NULL, NULL, 0, false,
      failures
    FROM {schema}.jobs_blocked WHERE job_id = id
    UNION ALL
    SELECT 'scheduled', queue, kind, tenant_id, attempt, failed, max_attempts, created_at, run_at, NULL, NULL, 0, false,
      failures
    FROM {schema}.jobs_scheduled WHERE job_id = id
    UNION ALL
    SELECT 'running', queue, kind, tenant_id, attempt, failed, max_attempts, created_at, NULL, started_at, NULL,
      progress, cancel_requested, failures
    FROM {schema}.jobs_running WHERE job_id = id
    UNION ALL
    (SELECT outcome, queue, kind, tenant_id, attempt, NULL, NULL, created_at, NULL, started_at, finished_at,
       (outcome = 'succeeded')::int, false, failures
     FROM {schema}.jobs_history WHERE job_id = id ORDER BY finished_at DESC LIMIT 1)
  ) AS found (station, queue, kind, tenant_id)
  WHERE of_tenant IS NULL OR tenant_id = of_tenant
  LIMIT 1
$$;

-- Calls a job off, if it is `of_tenant`'s or that is null. A job that waits is over at once (`cancelled`); of one that runs
-- its worker is to be told (`requested`), and its queue comes along; one that is over stays what it is (`finished`).
-- Also: `unknown`.
CREATE FUNCTION {schema}.jobs_cancel(id uuid, of_tenant uuid) RETURNS TABLE (answer text, of_queue text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  station text;
  job record;
BEGIN
  -- A job that moves on between the question where it is and the attempt to stop it there is asked for again.
  FOR round IN 1..100 LOOP
    SELECT f.station, f.queue INTO station, of_queue FROM {schema}.jobs_find(id, of_tenant) AS f;
    CASE
      WHEN station IS NULL THEN
        answer := 'unknown';
        RETURN NEXT;
        RETURN;
      WHEN station IN ('succeeded', 'dead', 'cancelled') THEN
        answer := 'finished';
        RETURN NEXT;
        RETURN;
      WHEN station = 'running' THEN
        UPDATE {schema}.jobs_running SET cancel_requested = true WHERE job_id = id;
        IF FOUND THEN
          answer := 'requested';
          RETURN NEXT;
          RETURN;
        END IF;
      ELSE
        EXECUTE format(
          'DELETE FROM {schema}.jobs_%s WHERE job_id = $1
           RETURNING job_id, created_at, queue, kind, tenant_id, attempt, unique_key, is_redriven, failures', station)
          INTO job USING id;
        IF job.job_id IS NOT NULL THEN
          INSERT INTO {schema}.jobs_history (job_id, outcome, created_at, queue, kind, tenant_id, attempt, failures)
          VALUES (job.job_id, 'cancelled', job.created_at, job.queue, job.kind, job.tenant_id, job.attempt, job.failures);
          PERFORM {schema}.jobs_let_go(job.job_id, job.kind, job.unique_key, job.is_redriven);
          answer := 'cancelled';
          RETURN NEXT;
          RETURN;
        END IF;
    END CASE;
  END LOOP;
  RAISE 'job % does not stand still', id USING ERRCODE = 'lock_not_available';
END
$$;

-- What a job leaves behind that ends without success: its unique key, and the dead job it was redriven from, dead again.
CREATE FUNCTION {schema}.jobs_let_go(id uuid, of_kind text, of_key text, was_redriven boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF of_key IS NOT NULL THEN
    UPDATE {schema}.jobs_unique SET is_over = true
    WHERE kind = of_kind AND unique_key = of_key AND job_id = id AND NOT is_over;
  END IF;
  IF was_redriven THEN
    UPDATE {schema}.jobs_dead SET redriven_at = NULL WHERE job_id = id;
  END IF;
END
$$;

-- ── Dead letters ────────────────────────────────────────────────────────────────────────────────

-- The dead jobs that are neither on their way again nor resolved, of those asked for; null asks for all. With the rights
-- and the search path of whoever calls it, which makes it a part of that statement: so a page costs what is on it.
CREATE FUNCTION {schema}.jobs_dead_matching(
  of_ids uuid[], of_kind text, of_error text, of_tenant uuid, died_from timestamptz, died_before timestamptz)
RETURNS SETOF {schema}.jobs_dead
LANGUAGE sql STABLE AS $$
  SELECT * FROM {schema}.jobs_dead
  WHERE redriven_at IS NULL AND resolved_at IS NULL
    AND (of_ids IS NULL OR job_id = ANY (of_ids)) AND (of_kind IS NULL OR kind = of_kind)
    AND (of_error IS NULL OR error_code = of_error) AND (of_tenant IS NULL OR tenant_id = of_tenant)
    AND (died_from IS NULL OR died_at >= died_from) AND (died_before IS NULL OR died_at < died_before)
$$;

-- How many there are of each kind and error, the most first.
CREATE FUNCTION {schema}.jobs_dead_groups(
  of_ids uuid[], of_kind text, of_error text, of_tenant uuid, died_from timestamptz, died_before timestamptz)
RETURNS TABLE (kind text, error_code text, jobs bigint, first_died_at timestamptz, last_died_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT kind, error_code, count(*), min(died_at), max(died_at)
  FROM {schema}.jobs_dead_matching(of_ids, of_kind, of_error, of_tenant, died_from, died_before)
  GROUP BY kind, error_code ORDER BY count(*) DESC, kind, error_code LIMIT 1000
$$;

-- One by one, those that died first in front, from behind (after_died, after_id) on.
CREATE FUNCTION {schema}.jobs_dead_list(
  of_ids uuid[], of_kind text, of_error text, of_tenant uuid, died_from timestamptz, died_before timestamptz,
  after_died timestamptz, after_id uuid, most int)
RETURNS TABLE (
  job_id uuid, queue text, kind text, tenant_id uuid, attempt int, created_at timestamptz, died_at timestamptz,
  error_code text, redrives int, payload jsonb, failures jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT job_id, queue, kind, tenant_id, attempt, created_at, died_at, error_code, redrives, payload, failures
  FROM {schema}.jobs_dead_matching(of_ids, of_kind, of_error, of_tenant, died_from, died_before)
  WHERE after_died IS NULL OR (died_at, job_id) > (after_died, after_id)
  ORDER BY died_at, job_id LIMIT most
$$;

-- Has up to `most` of them run again from the start, and returns the queue of each. One whose unique key another job has
-- by now stays where it is. One that may have killed its workers still runs alone, and dies of the next time.
CREATE FUNCTION {schema}.jobs_redrive(
  of_ids uuid[], of_kind text, of_error text, of_tenant uuid, died_from timestamptz, died_before timestamptz, most int)
RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  dead {schema}.jobs_dead;
BEGIN
  FOR dead IN
    -- As an array: a join is planned badly while nothing is known about how many are dead.
    SELECT d.* FROM {schema}.jobs_dead AS d
    WHERE d.job_id = ANY (ARRAY(
        SELECT m.job_id FROM {schema}.jobs_dead_matching(of_ids, of_kind, of_error, of_tenant, died_from, died_before) AS m
        WHERE NOT EXISTS (
          SELECT 1 FROM {schema}.jobs_unique AS u
          WHERE u.kind = m.kind AND u.unique_key = m.unique_key AND u.job_id <> m.job_id
            AND NOT (u.is_over AND u.held_until <= clock_timestamp()))
        ORDER BY m.died_at, m.job_id LIMIT most))
      AND d.redriven_at IS NULL AND d.resolved_at IS NULL
    FOR UPDATE SKIP LOCKED
  LOOP
    IF dead.unique_key IS NOT NULL THEN
      INSERT INTO {schema}.jobs_unique AS held (kind, unique_key, job_id, until_start, held_until)
      VALUES (dead.kind, dead.unique_key, dead.job_id, false, clock_timestamp())
      ON CONFLICT ON CONSTRAINT jobs_unique_pkey DO UPDATE
        SET job_id = EXCLUDED.job_id, until_start = false, is_over = false
        WHERE held.is_over AND held.held_until <= clock_timestamp() OR held.job_id = EXCLUDED.job_id;
      -- Two dead jobs may have the same key: only one of them can.
      CONTINUE WHEN NOT FOUND;
    END IF;
    UPDATE {schema}.jobs_dead SET redriven_at = clock_timestamp(), redrives = redrives + 1
    WHERE job_id = dead.job_id;
    INSERT INTO {schema}.jobs_ready (
      job_id, created_at, queue, kind, tenant_id, priority, lane, attempt, max_attempts, crashes, limit_key,
      unique_key, is_redriven, payload, failures)
    VALUES (dead.job_id, dead.created_at, dead.queue, dead.kind, dead.tenant_id, dead.priority, dead.lane,
      dead.attempt, dead.max_attempts, least(dead.crashes, 2), dead.limit_key, dead.unique_key, true, dead.payload,
      dead.failures);
    RETURN NEXT dead.queue;
  END LOOP;
END
$$;

-- Gives a dead job another payload, for when it is run again. False if there is no such job, or it is not dead any more.
CREATE FUNCTION {schema}.jobs_dead_edit(id uuid, of_tenant uuid, new_payload text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE {schema}.jobs_dead SET payload = new_payload::jsonb
  WHERE job_id = id AND (of_tenant IS NULL OR tenant_id = of_tenant) AND redriven_at IS NULL AND resolved_at IS NULL;
  RETURN FOUND;
END
$$;

-- Gives up on up to `most` of them, and returns how many that were. Their history stays.
CREATE FUNCTION {schema}.jobs_dead_delete(
  of_ids uuid[], of_kind text, of_error text, of_tenant uuid, died_from timestamptz, died_before timestamptz, most int)
RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  count int;
BEGIN
  DELETE FROM {schema}.jobs_dead AS d
  WHERE d.job_id = ANY (ARRAY(
      SELECT m.job_id FROM {schema}.jobs_dead_matching(of_ids, of_kind, of_error, of_tenant, died_from, died_before) AS m
      ORDER BY m.died_at, m.job_id LIMIT most))
    AND d.redriven_at IS NULL AND d.resolved_at IS NULL;
  GET DIAGNOSTICS count = ROW_COUNT;
  RETURN count;
END
$$;

-- ── Keeping house ───────────────────────────────────────────────────────────────────────────────

-- Holds a queue back, or lets it go on. What runs, runs on.
CREATE FUNCTION {schema}.jobs_pause(of_queue text, paused boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO {schema}.jobs_queues AS q (queue, is_paused) VALUES (of_queue, paused)
  ON CONFLICT ON CONSTRAINT jobs_queues_pkey DO UPDATE SET is_paused = EXCLUDED.is_paused
$$;

-- The queues of which something has been said: limits, or to pause.
CREATE FUNCTION {schema}.jobs_queues_said()
RETURNS TABLE (queue text, is_paused boolean, max_running int, rate double precision, burst double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT queue, is_paused, max_running, rate, burst FROM {schema}.jobs_queues ORDER BY queue LIMIT 1000
$$;

-- How many jobs are at each station, queue by queue, and for how many seconds the oldest has been there (of scheduled
-- ones: how late the first is). Of a table that is larger than so many pages as many are looked at, here and there, and
-- the rest is taken to be like them.
CREATE FUNCTION {schema}.jobs_count(most_pages int)
RETURNS TABLE (station text, queue text, jobs bigint, oldest double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  pages bigint;
  share double precision;
  since text;
  filter text;
BEGIN
  FOR station, since, filter IN VALUES
    ('ready', 'ready_at', 'true'), ('scheduled', 'run_at', 'true'), ('blocked', 'created_at', 'true'),
    ('running', 'started_at', 'true'), ('dead', 'died_at', 'redriven_at IS NULL AND resolved_at IS NULL')
  LOOP
    pages := pg_relation_size(format('{schema}.jobs_%s', station)) / 8192;
    share := CASE WHEN pages <= most_pages THEN 1 ELSE most_pages / pages::double precision END;
    RETURN QUERY EXECUTE format(
      'SELECT %L, queue::text, round(count(*) / $1)::bigint,
         greatest(0, extract(epoch FROM clock_timestamp() - min(%I)))::double precision
       FROM {schema}.jobs_%s TABLESAMPLE SYSTEM ($1 * 100) WHERE %s GROUP BY queue', station, since, station, filter)
      USING share;
  END LOOP;
END
$$;

-- Makes the history's partitions for so many days to come, and drops those that have grown old; likewise what is left of
-- unique keys, of limits and of dead jobs that were resolved. Returns how many partitions it made and dropped; null if
-- somebody else is at it.
CREATE FUNCTION {schema}.jobs_keep_history(ahead int, keep interval) RETURNS TABLE (made int, dropped int)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
SET enable_seqscan = off AS $$
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  day date;
  partition text;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('{schema}.jobs_keep_history', 0)) THEN RETURN; END IF;
  made := 0;
  dropped := 0;
  FOR day IN SELECT today + n FROM generate_series(0, ahead) AS n LOOP
    partition := 'jobs_history_' || to_char(day, 'YYYYMMDD');
    -- What lies in the catch-all already stays there: to move it everybody would have to wait.
    CONTINUE WHEN to_regclass('{schema}.' || partition) IS NOT NULL OR EXISTS (
      SELECT FROM {schema}.jobs_history_other
      WHERE finished_at >= day::timestamp AT TIME ZONE 'UTC' AND finished_at < (day + 1)::timestamp AT TIME ZONE 'UTC');
    -- Attached rather than created in place, which would keep acknowledgements waiting.
    EXECUTE format(
      'CREATE TABLE {schema}.%I (LIKE {schema}.jobs_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
      partition);
    EXECUTE format(
      'ALTER TABLE {schema}.jobs_history ATTACH PARTITION {schema}.%I FOR VALUES FROM (%L) TO (%L)',
      partition, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    made := made + 1;
  END LOOP;
  FOR partition IN
    SELECT c.relname FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE i.inhparent = '{schema}.jobs_history'::regclass AND c.relname ~ '^jobs_history_[0-9]{8}$'
      AND c.relname < 'jobs_history_' || to_char((clock_timestamp() - keep) AT TIME ZONE 'UTC', 'YYYYMMDD')
  LOOP
    EXECUTE format('DROP TABLE {schema}.%I', partition);
    dropped := dropped + 1;
  END LOOP;
  -- A bounded lot each time, so that nobody waits long for what this holds.
  DELETE FROM {schema}.jobs_history_other WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.jobs_history_other WHERE finished_at < clock_timestamp() - keep LIMIT 10000));
  DELETE FROM {schema}.jobs_unique WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.jobs_unique WHERE is_over AND held_until <= clock_timestamp()
    LIMIT 10000 FOR UPDATE SKIP LOCKED));
  -- Limits nobody has declared for two days, under which no job is and nothing is used up. Whoever adds jobs declares
  -- theirs again well before that: see KnownLimits.
  DELETE FROM {schema}.jobs_limits WHERE ctid = ANY (ARRAY(
    SELECT l.ctid FROM {schema}.jobs_limits AS l
    WHERE l.declared_at < clock_timestamp() - interval '2 days'
      AND (l.rate IS NULL
        OR {schema}.jobs_refill(l.tokens, l.rate, l.burst, l.refilled_at, clock_timestamp()) >= l.burst)
      AND (SELECT 1 FROM {schema}.jobs_ready AS j WHERE j.limit_key = l.limit_key LIMIT 1) IS NULL
      AND (SELECT 1 FROM {schema}.jobs_scheduled AS j WHERE j.limit_key = l.limit_key LIMIT 1) IS NULL
      AND (SELECT 1 FROM {schema}.jobs_blocked AS j WHERE j.limit_key = l.limit_key LIMIT 1) IS NULL
      AND (SELECT 1 FROM {schema}.jobs_running AS j WHERE j.limit_key = l.limit_key LIMIT 1) IS NULL
      AND (SELECT 1 FROM {schema}.jobs_dead AS j WHERE j.limit_key = l.limit_key LIMIT 1) IS NULL
    LIMIT 10000 FOR UPDATE SKIP LOCKED));
  DELETE FROM {schema}.jobs_dead WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.jobs_dead WHERE resolved_at < clock_timestamp() - keep LIMIT 10000));
  RETURN NEXT;
END
$$;

SELECT {schema}.jobs_keep_history(7, interval '30 days');

-- ── Rights ──────────────────────────────────────────────────────────────────────────────────────

-- It has served to say once what a job is.
DROP TABLE {schema}.jobs_template;

-- In bulk jobs are copied in, which a function cannot do.
GRANT INSERT ON {schema}.jobs_ready, {schema}.jobs_scheduled TO {role};
GRANT USAGE ON SEQUENCE {schema}.jobs_seq TO {role};

DO $$
DECLARE
  function regprocedure;
BEGIN
  FOR function IN
    SELECT oid FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace AND proname ~ '^jobs_'
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
    -- All but those that only the others call.
    IF function::text !~ '\mjobs_(settle_one|allow|admit|refill|let_go|dead_matching)\(' THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {role}', function);
    END IF;
  END LOOP;
END
$$;
