-- The roles and databases of docker-compose.yaml, made when its PostgreSQL starts for the first time.
--
--     database   owner          others who may connect
--     airflow    airflow        -
--     ledger     ledger_owner   ledger_app (what it may do there, the ledger's migrations say)
--
-- No role here is a superuser: whoever gets hold of Airflow's database cannot touch the ledger.
-- Safe to run again, for instance after new passwords in .env:
--     docker compose up -d postgres
--     docker compose exec postgres psql -U postgres -f /docker-entrypoint-initdb.d/10-databases.sql
\set ON_ERROR_STOP on
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv owner_password LEDGER_OWNER_PASSWORD
\getenv app_password LEDGER_APP_PASSWORD

-- A statement that fails is logged with its text, which here holds passwords.
SET log_min_error_statement = panic;

SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY['airflow', 'ledger_owner', 'ledger_app']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE airflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'airflow_password';
ALTER ROLE ledger_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE ledger_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'app_password';

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
  FROM (VALUES ('airflow', 'airflow'), ('ledger', 'ledger_owner')) AS wanted (name, owner)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
REVOKE ALL ON DATABASE ledger FROM PUBLIC;
GRANT CONNECT ON DATABASE ledger TO ledger_app;
