-- What would let one tenant see or disturb another's rows, in every service's schema of this database: a line each, and
-- none if all is well. A schema is a service's if it has been migrated.
--
-- Only tables that a role which serves may read, change or add to are looked at; others are reached through functions
-- alone, as the queues of jobs are, which serve all tenants at once.
WITH added_to (name) AS (
  -- Jobs are copied in, of all tenants at once, by the service, which may do nothing else with these tables.
  VALUES ('jobs_ready'), ('jobs_scheduled')
), crossing (name) AS (
  -- The functions that run as their owner, whatever tenant the caller acts for. Of tables that force row-level security
  -- the owner, too, sees only a tenant's rows; of the queue's tables all.
  VALUES
    -- Add jobs, of the tenants the service names, and declare limits, which all tenants share.
    ('jobs_add'), ('jobs_add_unique'), ('jobs_limit'), ('jobs_limit_queue'),
    -- The workers', which serve all tenants: see and change the jobs that one of them has, or may have.
    ('jobs_enlist'), ('jobs_beat'), ('jobs_watch'), ('jobs_bury'), ('jobs_reclaim'),
    ('jobs_fetch'), ('jobs_begin'), ('jobs_finish'), ('jobs_settle'), ('jobs_stage'), ('jobs_unblock'), ('jobs_unblock_after'),
    -- Only the others call these; no role that serves may.
    ('jobs_admit'), ('jobs_allow'), ('jobs_settle_one'), ('jobs_let_go'),
    -- See and change the jobs of the tenant they are given, and everybody's if they are given none: the service gives the
    -- caller's, unless that is a platform admin.
    ('jobs_find'), ('jobs_cancel'), ('jobs_dead_groups'), ('jobs_dead_list'), ('jobs_redrive'), ('jobs_dead_edit'),
    ('jobs_dead_delete'),
    -- About queues and crons, which are no tenant's: how much there is of what, and when.
    ('jobs_pause'), ('jobs_queues_said'), ('jobs_count'), ('jobs_keep_history'),
    ('jobs_cron'), ('jobs_crons_next'), ('jobs_crons_said'), ('jobs_pause_cron'), ('jobs_tick'),
    -- Deletes answers that have expired; of others it sees none.
    ('idempotency_sweep'),
    -- Makes tables, and reads none.
    ('ensure_poll_partitions'), ('ensure_audit_partition'),

    -- Identity's. One row, for who has what proves it: a key, a session's token, an invitation's, an email, an id.
    ('api_key_of_hash'), ('session_of_token'), ('session_standing'), ('invitation_of_token'), ('account_signing_in'),
    ('account_find'), ('tenant_of_slug'),
    -- The names of the members of the tenant the transaction acts for, and a slug for it.
    ('members'), ('claim_slug'),
    -- Change accounts and sessions, which are no tenant's.
    ('account_add'), ('account_set_password'), ('platform_admin_add'), ('session_open'), ('session_rotate'),
    ('sessions_end'), ('sign_in_states'), ('sign_in_save'),
    -- About keys that sign for all, what was revoked of whom, and budgets by their names.
    ('signing_keys_all'), ('signing_key_add'), ('signing_keys_withdraw'), ('revoke'), ('revocation_bounds'),
    ('revocations_after'), ('lease_budgets'), ('forget')
), schemas AS (
  SELECT oid, nspname FROM pg_namespace WHERE to_regclass(quote_ident(nspname) || '.schema_migrations') IS NOT NULL
), tables AS (
  SELECT
    c.oid, c.relkind, c.relispartition, c.relname, n.nspname || '.' || c.relname AS name,
    c.relrowsecurity AND c.relforcerowsecurity AS is_forced,
    ARRAY(
      SELECT r.oid FROM pg_roles r
      WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND NOT pg_has_role(r.oid, c.relowner, 'MEMBER')
        AND has_schema_privilege(r.oid, n.oid, 'USAGE')
        AND (has_table_privilege(r.oid, c.oid, 'SELECT, UPDATE, DELETE')
          OR has_any_column_privilege(r.oid, c.oid, 'SELECT, UPDATE')
          OR c.relname NOT IN (SELECT name FROM added_to) AND (
            has_table_privilege(r.oid, c.oid, 'INSERT') OR has_any_column_privilege(r.oid, c.oid, 'INSERT')))
    ) AS users
  FROM pg_class c JOIN schemas n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm') AND c.relname <> 'schema_migrations'
), guarded AS (
  SELECT * FROM tables WHERE cardinality(users) > 0
), policies AS (
  -- What may be seen, and what may be written: where a policy says nothing of the second, the first holds for it.
  SELECT
    g.name, p.polname, p.polcmd <> 'a' AS guards_reading,
    coalesce(pg_get_expr(p.polqual, p.polrelid), CASE p.polcmd WHEN 'a' THEN 'mainstreet.tenant' ELSE '' END)
      LIKE '%mainstreet.tenant%'
    AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'mainstreet.tenant') LIKE '%mainstreet.tenant%' AS is_tenants,
    p.polroles && g.users OR 0 = ANY (p.polroles) AS binds_users
  FROM guarded g JOIN pg_policy p ON p.polrelid = g.oid
  WHERE p.polpermissive
)
SELECT name || ': row-level security is not forced' FROM guarded WHERE relkind <> 'm' AND NOT is_forced
UNION ALL
SELECT name || ': a materialized view has no row-level security' FROM guarded WHERE relkind = 'm'
UNION ALL
-- A partition without a policy shows nothing to whoever asks it directly.
SELECT name || ': no policy for the tenant' FROM guarded g
WHERE relkind <> 'm' AND NOT relispartition
  AND NOT EXISTS (
    SELECT FROM policies p WHERE p.name = g.name AND p.guards_reading AND p.is_tenants AND p.binds_users)
UNION ALL
SELECT name || ': the policy ' || polname || ' does not ask for the tenant' FROM policies
WHERE binds_users AND NOT is_tenants
UNION ALL
SELECT name || ': no column tenant_id uuid NOT NULL' FROM guarded g
WHERE NOT EXISTS (
  SELECT FROM pg_attribute a
  WHERE a.attrelid = g.oid AND a.attname = 'tenant_id' AND a.atttypid = 'uuid'::regtype AND a.attnotnull)
UNION ALL
SELECT g.name || ': the key ' || i.indexrelid::regclass || ' does not begin with tenant_id'
FROM guarded g
  JOIN pg_index i ON i.indrelid = g.oid AND (i.indisunique OR i.indisexclusion)
  LEFT JOIN pg_attribute a ON a.attrelid = g.oid AND a.attnum = i.indkey[0]
WHERE a.attname IS DISTINCT FROM 'tenant_id'
UNION ALL
SELECT n.nspname || '.' || p.proname || ': runs as its owner, and is not among the functions that may'
FROM pg_proc p JOIN schemas n ON n.oid = p.pronamespace
WHERE p.prosecdef AND p.proname NOT IN (SELECT name FROM crossing)
UNION ALL
SELECT DISTINCT 'role ' || r.rolname || ': may bypass row-level security'
FROM guarded g JOIN pg_roles r ON r.oid = ANY (g.users) WHERE r.rolbypassrls
ORDER BY 1
