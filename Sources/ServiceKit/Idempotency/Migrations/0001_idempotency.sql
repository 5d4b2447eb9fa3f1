-- What calls with an idempotency key were answered, so that the same key has its effect once. {schema} is the schema of
-- the service whose calls they are, and {role} the role it logs in as.

CREATE TABLE {schema}.idempotency_keys (
  tenant_id     uuid        NOT NULL,
  -- Who called what: a key is its caller's own, for one method.
  subject       text        NOT NULL,
  method        text        NOT NULL,
  key           text        NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 255),
  -- SHA-256 of the request.
  request_hash  bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
  -- gRPC's. At 0 the answer is the response, else a google.rpc.Status.
  code          smallint    NOT NULL CHECK (code BETWEEN 0 AND 16),
  -- Encrypted, for it holds what is shown only once.
  is_sealed     boolean     NOT NULL,
  answer        bytea       NOT NULL CHECK (octet_length(answer) <= 262144 + 28),
  -- Of a response: names and values in turn.
  metadata      text[]      NOT NULL,
  expires_at    timestamptz NOT NULL,
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, subject, method, key)
);

CREATE INDEX idempotency_keys_expiry_idx ON {schema}.idempotency_keys (expires_at);

ALTER TABLE {schema}.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {schema}.idempotency_keys
  USING (tenant_id = (SELECT NULLIF(current_setting('mainstreet.tenant', true), '')::uuid));
-- For the sweep, which is done as the owner: of all tenants what has expired, and nothing else.
CREATE POLICY expired ON {schema}.idempotency_keys TO CURRENT_USER USING (expires_at <= now());

-- Takes a key until the transaction ends. Returns no row if it is the caller's to use, a row of nulls if another
-- transaction has it, else what was answered before.
--
-- Of the two steps the second sees what was committed until the first was done, for each statement of a volatile function
-- looks anew: so whoever gets the key from another finds the other's answer.
CREATE FUNCTION {schema}.idempotency_claim(uuid, text, text, text, at timestamptz)
RETURNS TABLE (request_hash bytea, code smallint, is_sealed boolean, answer bytea, metadata text[])
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF NOT pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended(pg_catalog.concat_ws(E'\n', '{schema}.idempotency_keys', $1, $2, $3, $4), 0))
  THEN
    RETURN NEXT;
    RETURN;
  END IF;
  RETURN QUERY
    SELECT k.request_hash, k.code, k.is_sealed, k.answer, k.metadata
    FROM {schema}.idempotency_keys AS k
    WHERE k.tenant_id = $1 AND k.subject = $2 AND k.method = $3 AND k.key = $4 AND k.expires_at > $5;
END
$$;

-- Deletes at most so many answers that have expired, and returns how many.
CREATE FUNCTION {schema}.idempotency_sweep(most int)
RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH gone AS (
    DELETE FROM {schema}.idempotency_keys
    WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM {schema}.idempotency_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT most
      FOR UPDATE SKIP LOCKED))
    RETURNING 1
  )
  SELECT count(*)::int FROM gone
$$;

REVOKE ALL ON FUNCTION {schema}.idempotency_claim, {schema}.idempotency_sweep FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.idempotency_claim, {schema}.idempotency_sweep TO {role};
GRANT SELECT, INSERT, UPDATE ON {schema}.idempotency_keys TO {role};
