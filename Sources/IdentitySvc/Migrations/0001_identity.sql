-- Who there is: tenants, the people and programs that act for them, how they prove it, and what they did.
--
-- Two kinds of tables. What belongs to a tenant has tenant_id in front of each key and row-level security, forced on
-- the owner too. What belongs to nobody in particular (accounts, sessions, signing keys) the service reaches only
-- through the functions below, which run as the owner: no statement of its own can read a password's hash or a session
-- that was not asked for by what proves it.
--
-- A credential is looked up before anybody knows whose it is. For that the owner alone may read the tables of all
-- tenants (the policies `directory`), and the functions that use it are narrow: one row, for one proof.
--
-- The schema itself and the two roles are there before the first migration: deploy/postgres/roles.sql.

-- ── Of tenants ───────────────────────────────────────────────────────────────────────────────────

CREATE TABLE identity.tenants (
  tenant_id    uuid        NOT NULL,
  name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
  -- Unique among all tenants, which identity.slugs sees to.
  slug         text        NOT NULL,
  plan         text        NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'premium')),
  timezone     text        NOT NULL,
  currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  shop_domain  text        CHECK (char_length(shop_domain) BETWEEN 1 AND 255),
  settings     jsonb       NOT NULL DEFAULT '{}'
    CONSTRAINT tenants_settings_check CHECK (jsonb_typeof(settings) = 'object' AND octet_length(settings::text) <= 32768),
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id)
);

-- How many calls of a class a tenant may make in a minute, where that is not what its plan says.
CREATE TABLE identity.rate_limits (
  tenant_id   uuid NOT NULL,
  rate_class  text NOT NULL CHECK (rate_class IN ('ingest', 'query', 'auth', 'write')),
  per_minute  int  NOT NULL CHECK (per_minute BETWEEN 1 AND 10000000),
  CONSTRAINT rate_limits_pkey PRIMARY KEY (tenant_id, rate_class),
  CONSTRAINT rate_limits_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES identity.tenants
);

CREATE TABLE identity.memberships (
  tenant_id   uuid        NOT NULL,
  account_id  uuid        NOT NULL,
  role        text        NOT NULL CHECK (role IN ('owner', 'admin', 'manager', 'staff', 'viewer', 'customer')),
  joined_at   timestamptz NOT NULL,
  CONSTRAINT memberships_pkey PRIMARY KEY (tenant_id, account_id),
  CONSTRAINT memberships_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES identity.tenants
);

CREATE INDEX memberships_account_idx ON identity.memberships (account_id, joined_at);
CREATE INDEX memberships_joined_idx ON identity.memberships (tenant_id, joined_at, account_id);

CREATE TABLE identity.invitations (
  tenant_id      uuid        NOT NULL,
  invitation_id  uuid        NOT NULL,
  email          text        NOT NULL,
  -- The address as it is compared: in lower case.
  email_key      text        NOT NULL,
  role           text        NOT NULL CHECK (role IN ('owner', 'admin', 'manager', 'staff', 'viewer', 'customer')),
  -- SHA-256 of the token.
  token_hash     bytea       NOT NULL CHECK (octet_length(token_hash) = 32),
  created_at     timestamptz NOT NULL,
  expires_at     timestamptz NOT NULL,
  accepted_at    timestamptz,
  revoked_at     timestamptz,
  CONSTRAINT invitations_pkey PRIMARY KEY (tenant_id, invitation_id)
);

CREATE UNIQUE INDEX invitations_open_key ON identity.invitations (tenant_id, email_key)
  WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_token_idx ON identity.invitations (token_hash);

CREATE TABLE identity.api_keys (
  tenant_id     uuid        NOT NULL,
  key_id        uuid        NOT NULL,
  -- Keys that take each other's place are of one line.
  line_id       uuid        NOT NULL,
  name          text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
  -- How the key begins, to tell it from others.
  prefix        text        NOT NULL,
  -- SHA-256 of the key. That nobody else has it is left to its randomness.
  key_hash      bytea       NOT NULL CHECK (octet_length(key_hash) = 32),
  scopes        text[]      NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 50),
  created_at    timestamptz NOT NULL,
  expires_at    timestamptz,
  -- To the minute.
  last_used_at  timestamptz,
  revoked_at    timestamptz,
  replaced_by   uuid,
  CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, key_id),
  CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES identity.tenants
);

CREATE INDEX api_keys_hash_idx ON identity.api_keys (key_hash);
CREATE INDEX api_keys_line_idx ON identity.api_keys (tenant_id, line_id);

-- What was done that bears on who may do what. The service may add to it and read it, and nothing else. What belongs to
-- no tenant has the tenant 00000000-0000-0000-0000-000000000000.
--
-- Partitioned by month, for what has been kept long enough goes by dropping a table; what no month is there for lands in
-- the default partition, so that nothing goes untold because a month is missing.
CREATE TABLE identity.audit_events (
  tenant_id   uuid        NOT NULL,
  event_id    uuid        NOT NULL,
  at          timestamptz NOT NULL,
  action      text        NOT NULL CHECK (char_length(action) BETWEEN 1 AND 100),
  actor       text        NOT NULL CHECK (char_length(actor) BETWEEN 1 AND 200),
  target      text        NOT NULL,
  address     text        NOT NULL,
  request_id  text        NOT NULL,
  details     jsonb       NOT NULL CHECK (jsonb_typeof(details) = 'object'),
  CONSTRAINT audit_events_pkey PRIMARY KEY (tenant_id, event_id, at)
) PARTITION BY RANGE (at);

CREATE INDEX audit_events_action_idx ON identity.audit_events (tenant_id, action, event_id);

CREATE TABLE identity.audit_events_other PARTITION OF identity.audit_events DEFAULT;
ALTER TABLE identity.audit_events_other ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity.audit_events_other FORCE ROW LEVEL SECURITY;

DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['tenants', 'rate_limits', 'memberships', 'invitations', 'api_keys', 'audit_events'] LOOP
    EXECUTE format('ALTER TABLE identity.%I ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('ALTER TABLE identity.%I FORCE ROW LEVEL SECURITY', guarded);
    EXECUTE format(
      'CREATE POLICY tenant ON identity.%I
         USING (tenant_id = (SELECT NULLIF(current_setting(''mainstreet.tenant'', true), '''')::uuid))', guarded);
  END LOOP;
  -- Where a credential leads to. To read, not to write.
  FOREACH guarded IN ARRAY ARRAY['tenants', 'rate_limits', 'memberships', 'invitations', 'api_keys'] LOOP
    EXECUTE format('CREATE POLICY directory ON identity.%I FOR SELECT TO CURRENT_USER USING (true)', guarded);
  END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON identity.tenants, identity.invitations, identity.api_keys TO mainstreet_identity;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.memberships, identity.rate_limits TO mainstreet_identity;
GRANT SELECT, INSERT ON identity.audit_events TO mainstreet_identity;

-- ── Of nobody in particular ──────────────────────────────────────────────────────────────────────

CREATE TABLE identity.slugs (
  slug       text NOT NULL,
  tenant_id  uuid NOT NULL,
  CONSTRAINT slugs_pkey PRIMARY KEY (slug)
);

CREATE TABLE identity.accounts (
  account_id         uuid        NOT NULL,
  email              text        NOT NULL,
  -- The address as it is compared: in lower case.
  email_key          text        NOT NULL,
  name               text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
  -- `$scrypt$…`, or `$2b$…` of accounts that came from elsewhere and have not signed in since.
  password_hash      text        NOT NULL,
  is_platform_admin  boolean     NOT NULL DEFAULT false,
  created_at         timestamptz NOT NULL,
  CONSTRAINT accounts_pkey PRIMARY KEY (account_id),
  CONSTRAINT accounts_email_key UNIQUE (email_key)
);

ALTER TABLE identity.memberships ADD CONSTRAINT memberships_account_fkey
  FOREIGN KEY (account_id) REFERENCES identity.accounts;

-- A sign-in, and all refresh tokens that came from it.
CREATE TABLE identity.sessions (
  session_id    uuid        NOT NULL,
  account_id    uuid        NOT NULL REFERENCES identity.accounts,
  -- The tenant it acts in; none for a platform admin who has not chosen one.
  tenant_id     uuid,
  created_at    timestamptz NOT NULL,
  -- When its newest refresh token does.
  expires_at    timestamptz NOT NULL,
  ended_at      timestamptz,
  ended_reason  text,
  CONSTRAINT sessions_pkey PRIMARY KEY (session_id)
);

CREATE INDEX sessions_account_idx ON identity.sessions (account_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expiry_idx ON identity.sessions (expires_at);

CREATE TABLE identity.refresh_tokens (
  -- SHA-256 of the token.
  token_hash  bytea       NOT NULL CHECK (octet_length(token_hash) = 32),
  session_id  uuid        NOT NULL REFERENCES identity.sessions ON DELETE CASCADE,
  expires_at  timestamptz NOT NULL,
  used_at     timestamptz,
  CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash)
);

CREATE INDEX refresh_tokens_session_idx ON identity.refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry_idx ON identity.refresh_tokens (expires_at);

CREATE TABLE identity.signing_keys (
  kid             text        NOT NULL,
  public_key      bytea       NOT NULL CHECK (octet_length(public_key) = 32),
  -- The private part, under a key that is in the settings and nowhere in the database.
  sealed_private  bytea       NOT NULL,
  created_at      timestamptz NOT NULL,
  -- It is shown from its creation on, and signs from here on.
  active_from     timestamptz NOT NULL,
  -- When it was taken back before its time; what it signed counts for nothing since.
  withdrawn_at    timestamptz,
  CONSTRAINT signing_keys_pkey PRIMARY KEY (kid)
);

-- The order of the numbers is the order of the commits, without gaps: whoever adds to it holds the counter's row until
-- the end of the transaction.
CREATE TABLE identity.revocations (
  sequence  bigint      NOT NULL,
  id        text        NOT NULL,
  at        timestamptz NOT NULL,
  CONSTRAINT revocations_pkey PRIMARY KEY (sequence)
);

CREATE INDEX revocations_at_idx ON identity.revocations (at);

CREATE TABLE identity.revocation_counter (
  is_only  boolean NOT NULL DEFAULT true CHECK (is_only),
  last     bigint  NOT NULL,
  CONSTRAINT revocation_counter_pkey PRIMARY KEY (is_only)
);

INSERT INTO identity.revocation_counter (last) VALUES (0);

-- Attempts to sign in that failed, or have not succeeded yet, by what they have in common: `email:<hash>`,
-- `address:<address>`.
CREATE TABLE identity.sign_in_failures (
  subject         text        NOT NULL,
  failures        int         NOT NULL,
  last_failed_at  timestamptz NOT NULL,
  locked_until    timestamptz,
  CONSTRAINT sign_in_failures_pkey PRIMARY KEY (subject)
);

CREATE INDEX sign_in_failures_age_idx ON identity.sign_in_failures (last_failed_at);

-- Budgets that several Edges share. A crash of the server may empty it: then every budget is whole again.
-- Levels are in sixty-millionths of a call, so that what comes back in a microsecond is a whole number: per_minute.
CREATE UNLOGGED TABLE identity.budgets (
  budget      text        NOT NULL,
  per_minute  bigint      NOT NULL,
  level       bigint      NOT NULL CHECK (level >= 0),
  -- What was given the last time it was asked for.
  granted     bigint      NOT NULL,
  -- What was given back then.
  returned    bigint      NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT budgets_pkey PRIMARY KEY (budget)
) WITH (fillfactor = 50);

CREATE INDEX budgets_age_idx ON identity.budgets (updated_at);

-- ── The ways to them ─────────────────────────────────────────────────────────────────────────────

-- The tenant a transaction acts for.
CREATE FUNCTION identity.acting_tenant() RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT NULLIF(current_setting('mainstreet.tenant', true), '')::uuid
$$;

-- Takes a slug for the tenant the transaction acts for; false when another has it.
CREATE FUNCTION identity.claim_slug(wanted text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH claimed AS (
    INSERT INTO identity.slugs (slug, tenant_id)
    SELECT wanted, identity.acting_tenant() ON CONFLICT (slug) DO NOTHING
    RETURNING slug
  )
  SELECT EXISTS (SELECT FROM claimed)
$$;

CREATE FUNCTION identity.tenant_of_slug(wanted text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT tenant_id FROM identity.slugs WHERE slug = wanted
$$;

-- False when the address has an account.
CREATE FUNCTION identity.account_add(
  new_id uuid, new_email text, new_email_key text, new_name text, new_hash text, now timestamptz
) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH added AS (
    INSERT INTO identity.accounts (account_id, email, email_key, name, password_hash, created_at)
    VALUES (new_id, new_email, new_email_key, new_name, new_hash, now) ON CONFLICT (email_key) DO NOTHING
    RETURNING account_id
  )
  SELECT EXISTS (SELECT FROM added)
$$;

-- Makes the first platform admin: an account of its own. 'exists' when there is one, 'taken' when the address has an
-- account.
CREATE FUNCTION identity.platform_admin_add(
  new_id uuid, new_email text, new_email_key text, new_name text, new_hash text, now timestamptz
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Two at once are one after the other.
  PERFORM pg_advisory_xact_lock(hashtext('identity.platform_admin'), 0);
  IF EXISTS (SELECT FROM identity.accounts WHERE is_platform_admin) THEN RETURN 'exists'; END IF;
  INSERT INTO identity.accounts (account_id, email, email_key, name, password_hash, is_platform_admin, created_at)
  VALUES (new_id, new_email, new_email_key, new_name, new_hash, true, now) ON CONFLICT (email_key) DO NOTHING;
  RETURN CASE WHEN FOUND THEN 'added' ELSE 'taken' END;
END
$$;

CREATE FUNCTION identity.account_find(wanted uuid)
RETURNS TABLE (account_id uuid, email text, name text, password_hash text, is_platform_admin boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT a.account_id, a.email, a.name, a.password_hash, a.is_platform_admin
  FROM identity.accounts a WHERE a.account_id = wanted
$$;

-- The account of an address with its place in the tenant of this slug, or the place it took first if none is named.
CREATE FUNCTION identity.account_signing_in(wanted_key text, wanted_slug text)
RETURNS TABLE (
  account_id uuid, email text, name text, password_hash text, is_platform_admin boolean,
  tenant_id uuid, role text, joined_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT a.account_id, a.email, a.name, a.password_hash, a.is_platform_admin, p.tenant_id, p.role, p.joined_at
  FROM identity.accounts a LEFT JOIN LATERAL (
    SELECT m.tenant_id, m.role, m.joined_at FROM identity.memberships m
    WHERE m.account_id = a.account_id
      AND (wanted_slug IS NULL OR m.tenant_id = (SELECT s.tenant_id FROM identity.slugs s WHERE s.slug = wanted_slug))
    ORDER BY m.joined_at, m.tenant_id LIMIT 1
  ) p ON true
  WHERE a.email_key = wanted_key
$$;

-- Only in place of the hash that was seen: between seeing it and this somebody may have changed the password.
CREATE FUNCTION identity.account_set_password(wanted uuid, old_hash text, new_hash text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH changed AS (
    UPDATE identity.accounts SET password_hash = new_hash WHERE account_id = wanted AND password_hash = old_hash
    RETURNING account_id
  )
  SELECT EXISTS (SELECT FROM changed)
$$;

-- The members of the tenant the transaction acts for who joined after a point in the order of joining, or one of them.
CREATE FUNCTION identity.members(after_at timestamptz, after_id uuid, only_id uuid, most bigint)
RETURNS TABLE (account_id uuid, email text, name text, role text, joined_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT m.account_id, a.email, a.name, m.role, m.joined_at
  FROM identity.memberships m JOIN identity.accounts a USING (account_id)
  WHERE m.tenant_id = identity.acting_tenant() AND (m.joined_at, m.account_id) > (after_at, after_id)
    AND (only_id IS NULL OR m.account_id = only_id)
  ORDER BY m.joined_at, m.account_id LIMIT most
$$;

CREATE FUNCTION identity.session_open(
  new_id uuid, of_account uuid, of_tenant uuid, first_hash bytea, now timestamptz, expiry timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO identity.sessions (session_id, account_id, tenant_id, created_at, expires_at)
  VALUES (new_id, of_account, of_tenant, now, expiry);
  INSERT INTO identity.refresh_tokens (token_hash, session_id, expires_at) VALUES (first_hash, new_id, expiry)
$$;

-- What a refresh token leads to. Whoever else comes with a token of the same session waits until the transaction ends.
CREATE FUNCTION identity.session_of_token(wanted_hash bytea)
RETURNS TABLE (
  session_id uuid, account_id uuid, tenant_id uuid, ended_at timestamptz, token_expires_at timestamptz,
  token_used_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM identity.sessions s
  WHERE s.session_id = (SELECT t.session_id FROM identity.refresh_tokens t WHERE t.token_hash = wanted_hash)
  FOR NO KEY UPDATE;
  -- Read after the lock is had: a statement sees what was committed when it began.
  RETURN QUERY
    SELECT s.session_id, s.account_id, s.tenant_id, s.ended_at, t.expires_at, t.used_at
    FROM identity.refresh_tokens t JOIN identity.sessions s USING (session_id)
    WHERE t.token_hash = wanted_hash;
END
$$;

CREATE FUNCTION identity.session_rotate(
  wanted uuid, old_hash bytea, new_hash bytea, now timestamptz, expiry timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE identity.refresh_tokens SET used_at = now WHERE token_hash = old_hash AND session_id = wanted;
  INSERT INTO identity.refresh_tokens (token_hash, session_id, expires_at) VALUES (new_hash, wanted, expiry);
  UPDATE identity.sessions SET expires_at = expiry WHERE session_id = wanted
$$;

-- Ends an account's sessions, all of them or those in one tenant, but for one: those that it ended.
CREATE FUNCTION identity.sessions_end(
  of_account uuid, in_tenant uuid, only_id uuid, but_id uuid, reason text, now timestamptz
) RETURNS SETOF uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE identity.sessions SET ended_at = now, ended_reason = reason
  WHERE account_id = of_account AND ended_at IS NULL AND (in_tenant IS NULL OR tenant_id = in_tenant)
    AND (only_id IS NULL OR session_id = only_id) AND (but_id IS NULL OR session_id <> but_id)
  RETURNING session_id
$$;

-- Who a session that has not ended acts for at this moment.
CREATE FUNCTION identity.session_standing(wanted uuid)
RETURNS TABLE (
  account_id uuid, is_platform_admin boolean, tenant_id uuid, role text, plan text, expires_at timestamptz,
  limit_classes text[], limits int[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.account_id, a.is_platform_admin, s.tenant_id, m.role, t.plan, s.expires_at,
    ARRAY(SELECT l.rate_class FROM identity.rate_limits l WHERE l.tenant_id = s.tenant_id ORDER BY l.rate_class),
    ARRAY(SELECT l.per_minute FROM identity.rate_limits l WHERE l.tenant_id = s.tenant_id ORDER BY l.rate_class)
  FROM identity.sessions s JOIN identity.accounts a USING (account_id)
    LEFT JOIN identity.tenants t ON t.tenant_id = s.tenant_id
    LEFT JOIN identity.memberships m ON m.tenant_id = s.tenant_id AND m.account_id = s.account_id
  WHERE s.session_id = wanted AND s.ended_at IS NULL
$$;

CREATE FUNCTION identity.api_key_of_hash(wanted_hash bytea)
RETURNS TABLE (
  tenant_id uuid, key_id uuid, scopes text[], expires_at timestamptz, revoked_at timestamptz,
  last_used_at timestamptz, plan text, limit_classes text[], limits int[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.tenant_id, k.key_id, k.scopes, k.expires_at, k.revoked_at, k.last_used_at, t.plan,
    ARRAY(SELECT l.rate_class FROM identity.rate_limits l WHERE l.tenant_id = k.tenant_id ORDER BY l.rate_class),
    ARRAY(SELECT l.per_minute FROM identity.rate_limits l WHERE l.tenant_id = k.tenant_id ORDER BY l.rate_class)
  FROM identity.api_keys k JOIN identity.tenants t USING (tenant_id)
  WHERE k.key_hash = wanted_hash
$$;

CREATE FUNCTION identity.invitation_of_token(wanted_hash bytea)
RETURNS TABLE (
  tenant_id uuid, invitation_id uuid, email text, email_key text, role text, expires_at timestamptz,
  accepted_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT i.tenant_id, i.invitation_id, i.email, i.email_key, i.role, i.expires_at, i.accepted_at, i.revoked_at
  FROM identity.invitations i WHERE i.token_hash = wanted_hash
$$;

CREATE FUNCTION identity.signing_keys_all()
RETURNS TABLE (
  kid text, public_key bytea, sealed_private bytea, created_at timestamptz, active_from timestamptz,
  withdrawn_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.kid, k.public_key, k.sealed_private, k.created_at, k.active_from, k.withdrawn_at
  FROM identity.signing_keys k ORDER BY k.active_from DESC, k.created_at DESC LIMIT 100
$$;

CREATE FUNCTION identity.signing_key_add(
  new_kid text, new_public bytea, new_sealed bytea, now timestamptz, active timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO identity.signing_keys (kid, public_key, sealed_private, created_at, active_from)
  VALUES (new_kid, new_public, new_sealed, now, active)
$$;

-- Takes back every key but one.
CREATE FUNCTION identity.signing_keys_withdraw(but_kid text, now timestamptz) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE identity.signing_keys SET withdrawn_at = now WHERE kid <> but_kid AND withdrawn_at IS NULL RETURNING kid
$$;

CREATE FUNCTION identity.revoke(ids text[], now timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  ending bigint;
BEGIN
  UPDATE identity.revocation_counter SET last = last + cardinality(ids) RETURNING last INTO ending;
  INSERT INTO identity.revocations (sequence, id, at)
  SELECT ending - cardinality(ids) + u.ordinal, u.id, now FROM unnest(ids) WITH ORDINALITY AS u (id, ordinal);
  RETURN ending;
END
$$;

-- The numbers there are to be heard of: the first that is kept and the last there was.
CREATE FUNCTION identity.revocation_bounds() RETURNS TABLE (first bigint, last bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT min(r.sequence) FROM identity.revocations r), c.last + 1), c.last
  FROM identity.revocation_counter c
$$;

CREATE FUNCTION identity.revocations_after(past bigint, most bigint) RETURNS TABLE (sequence bigint, id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.sequence, r.id FROM identity.revocations r WHERE r.sequence > past ORDER BY r.sequence LIMIT most
$$;

-- How it stands with these subjects, held against others until the transaction ends.
CREATE FUNCTION identity.sign_in_states(subjects text[], now timestamptz)
RETURNS TABLE (subject text, failures int, last_failed_at timestamptz, locked_until timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  -- In one order, or two who share two subjects would wait for each other.
  INSERT INTO identity.sign_in_failures (subject, failures, last_failed_at)
  SELECT s, 0, now FROM unnest(subjects) AS s ORDER BY s ON CONFLICT (subject) DO NOTHING;
  RETURN QUERY
    SELECT f.subject, f.failures, f.last_failed_at, f.locked_until
    FROM identity.sign_in_failures f WHERE f.subject = ANY (subjects) ORDER BY f.subject FOR UPDATE;
END
$$;

CREATE FUNCTION identity.sign_in_save(
  wanted text, new_failures int, failed_at timestamptz, locked timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE identity.sign_in_failures
  SET failures = new_failures, last_failed_at = failed_at, locked_until = locked
  WHERE subject = wanted
$$;

-- Takes parts of budgets, each named once. A budget refills evenly up to what it allows in a minute; what was asked for
-- is given as far as there are whole calls left. In one order, as above.
CREATE FUNCTION identity.lease_budgets(asked text[], rates bigint[], wanted bigint[], returned bigint[])
RETURNS TABLE (budget text, granted bigint, level bigint, at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO identity.budgets AS b (budget, per_minute, level, granted, returned, updated_at)
  SELECT u.name, u.rate, (u.rate - u.want) * 60000000, u.want, u.back, clock_timestamp()
  FROM (
    SELECT a.name, a.rate, least(a.want, a.rate) AS want, least(a.back, a.rate) AS back
    FROM unnest(asked, rates, wanted, returned) AS a (name, rate, want, back)
  ) u
  ORDER BY u.name
  ON CONFLICT (budget) DO UPDATE SET (per_minute, level, granted, returned, updated_at) = (
    SELECT excluded.per_minute, f.filled - g.given * 60000000, g.given, excluded.returned, t.at
    FROM
      -- The clock of the one database that all agree on, and never backwards.
      (SELECT greatest(clock_timestamp(), b.updated_at) AS at) t,
      LATERAL (
        SELECT least(
          excluded.per_minute * 60000000,
          b.level + excluded.returned * 60000000
            + least(60000000, (extract(epoch FROM t.at - b.updated_at) * 1000000)::bigint) * excluded.per_minute
        ) AS filled
      ) f,
      LATERAL (SELECT least(excluded.granted, f.filled / 60000000) AS given) g
  )
  RETURNING b.budget, b.granted, b.level, b.updated_at
$$;

-- Makes the partition of a month where it is missing.
CREATE FUNCTION identity.ensure_audit_partition(instant timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  month timestamptz := date_trunc('month', instant);
  partition text := to_char(month, '"audit_events_"YYYY_MM');
BEGIN
  IF instant > now() + interval '100 days' OR to_regclass('identity.' || partition) IS NOT NULL THEN RETURN; END IF;
  PERFORM pg_advisory_xact_lock(hashtext('identity.audit_events'), 0);
  -- Somebody else may have made it while this waited for the lock.
  IF to_regclass('identity.' || partition) IS NOT NULL THEN RETURN; END IF;
  EXECUTE format('CREATE TABLE identity.%I (LIKE identity.audit_events INCLUDING ALL)', partition);
  EXECUTE format('ALTER TABLE identity.%I ENABLE ROW LEVEL SECURITY', partition);
  EXECUTE format('ALTER TABLE identity.%I FORCE ROW LEVEL SECURITY', partition);
  EXECUTE format(
    'ALTER TABLE identity.audit_events ATTACH PARTITION identity.%I FOR VALUES FROM (%L) TO (%L)',
    partition, month, month + interval '1 month');
EXCEPTION WHEN check_violation THEN
  -- Some of the month has landed in the default partition, which nobody may move from there: all of it stays there.
  NULL;
END
$$;

-- Forgets what nobody will ask for again.
CREATE FUNCTION identity.forget(now timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM identity.revocations WHERE at < now - interval '1 day';
  DELETE FROM identity.refresh_tokens WHERE expires_at < now - interval '1 day';
  DELETE FROM identity.sessions WHERE expires_at < now - interval '1 day';
  DELETE FROM identity.sign_in_failures WHERE last_failed_at < now - interval '2 days';
  DELETE FROM identity.budgets WHERE updated_at < clock_timestamp() - interval '10 minutes';
  DELETE FROM identity.signing_keys k
  WHERE EXISTS (
    SELECT FROM identity.signing_keys later
    WHERE later.active_from > k.active_from AND later.active_from < now - interval '90 days')
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA identity FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA identity TO mainstreet_identity;
