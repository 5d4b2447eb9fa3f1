-- What would let one tenant see or disturb another's rows, in every service's schema of this database: a line each, and
-- none if all is well. A schema is a service's if it has been migrated.
--
-- Only tables that a role which serves may read or change are looked at; others are reached through functions alone, as
-- the queues of jobs are, which serve all tenants at once.
WITH tables AS (
  SELECT
    c.oid, c.relkind, c.relispartition, n.nspname || '.' || c.relname AS name,
    c.relrowsecurity AND c.relforcerowsecurity AS is_forced,
    ARRAY(
      SELECT r.oid FROM pg_roles r
      WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND NOT pg_has_role(r.oid, c.relowner, 'MEMBER')
        AND has_schema_privilege(r.oid, n.oid, 'USAGE')
        AND (has_table_privilege(r.oid, c.oid, 'SELECT, UPDATE, DELETE')
          OR has_any_column_privilege(r.oid, c.oid, 'SELECT, UPDATE'))
    ) AS readers
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE to_regclass(quote_ident(n.nspname) || '.schema_migrations') IS NOT NULL
    AND c.relkind IN ('r', 'p', 'm') AND c.relname <> 'schema_migrations'
), guarded AS (
  SELECT * FROM tables WHERE cardinality(readers) > 0
), policies AS (
  SELECT
    g.name, p.polname, p.polroles,
    coalesce(pg_get_expr(p.polqual, p.polrelid), '') LIKE '%mainstreet.tenant%' AS is_tenants,
    p.polroles && g.readers OR 0 = ANY (p.polroles) AS binds_readers
  FROM guarded g JOIN pg_policy p ON p.polrelid = g.oid
  WHERE p.polpermissive AND p.polcmd <> 'a'
)
SELECT name || ': row-level security is not forced' FROM guarded WHERE relkind <> 'm' AND NOT is_forced
UNION ALL
SELECT name || ': a materialized view has no row-level security' FROM guarded WHERE relkind = 'm'
UNION ALL
-- A partition without a policy shows nothing to whoever asks it directly.
SELECT name || ': no policy for the tenant' FROM guarded g
WHERE relkind <> 'm' AND NOT relispartition
  AND NOT EXISTS (SELECT FROM policies p WHERE p.name = g.name AND p.is_tenants AND p.binds_readers)
UNION ALL
SELECT name || ': the policy ' || polname || ' does not ask for the tenant' FROM policies
WHERE binds_readers AND NOT is_tenants
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
SELECT DISTINCT 'role ' || r.rolname || ': may bypass row-level security'
FROM guarded g JOIN pg_roles r ON r.oid = ANY (g.readers) WHERE r.rolbypassrls
ORDER BY 1
