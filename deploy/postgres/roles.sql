-- The roles and schemas of a Mainstreet database. Run as a superuser, any number of times:
--   psql "$URL" -v store_owner_password=… -v store_password=… -v identity_owner_password=… -v identity_password=… \
--     -f roles.sql
--
-- Each service has an owner role, which only its migrations use, and a login role, which owns nothing
-- and cannot bypass row-level security.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

SELECT 'CREATE ROLE mainstreet_store_owner' WHERE to_regrole('mainstreet_store_owner') IS NULL \gexec
SELECT 'CREATE ROLE mainstreet_store' WHERE to_regrole('mainstreet_store') IS NULL \gexec
ALTER ROLE mainstreet_store_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS
  PASSWORD :'store_owner_password';
ALTER ROLE mainstreet_store LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS
  PASSWORD :'store_password';

SELECT 'CREATE ROLE mainstreet_identity_owner' WHERE to_regrole('mainstreet_identity_owner') IS NULL \gexec
SELECT 'CREATE ROLE mainstreet_identity' WHERE to_regrole('mainstreet_identity') IS NULL \gexec
ALTER ROLE mainstreet_identity_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS
  PASSWORD :'identity_owner_password';
ALTER ROLE mainstreet_identity LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS
  PASSWORD :'identity_password';

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS store AUTHORIZATION mainstreet_store_owner;
GRANT USAGE ON SCHEMA store TO mainstreet_store;
CREATE SCHEMA IF NOT EXISTS identity AUTHORIZATION mainstreet_identity_owner;
GRANT USAGE ON SCHEMA identity TO mainstreet_identity;
