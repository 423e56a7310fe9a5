"""What a migration's SQL is seen to do, beside what it says."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.services.migration_kind import Kind, read_migration, statements, worst
from include.settings import ROOT

EXPANDS = [
    "CREATE TABLE a (id int); CREATE INDEX ON a (id);",
    "ALTER TABLE a ADD COLUMN note text",
    "ALTER TABLE a ADD note text NOT NULL DEFAULT '', ADD COLUMN b int CHECK (b IN (1, 2))",
    "ALTER TABLE a ALTER COLUMN b DROP NOT NULL",
    "INSERT INTO a VALUES (1, 'DROP TABLE a; DELETE FROM a')",
    "-- DROP TABLE a;\nSELECT 1",
    "/* DROP TABLE a; /* deep */ TRUNCATE a; */ SELECT 1",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x$ DELETE FROM a; $x$",
    "ALTER TYPE colour ADD VALUE 'red'",
    "DROP INDEX a_index",
    "CREATE VIEW v AS SELECT 1",
    "COMMENT ON TABLE a IS 'don''t DROP TABLE a;'",
    "INSERT INTO a VALUES (E'it\\'s; DROP TABLE a')",
    "CREATE TABLE a (id int); ALTER TABLE ONLY a ADD CONSTRAINT a_pk PRIMARY KEY (id)",
    "CREATE TABLE a (id int); CREATE UNIQUE INDEX once ON a (id); UPDATE a SET id = 1",
    "CREATE TABLE a (id int); INSERT INTO a (id) SELECT 1 ON CONFLICT (id) DO UPDATE SET id = 2",
    "INSERT INTO a (x, y) SELECT lower(b), count(*) FROM c WHERE d IN (1, 2) GROUP BY b",
    "SELECT 1 FROM a FOR UPDATE; SELECT 1 FROM a FOR NO KEY UPDATE OF a",
    "ALTER TABLE a ADD c numeric(10, 2) DEFAULT 0 CHECK (c IN (1, 2)) REFERENCES d (id)",
    "ALTER TABLE a ADD id bigserial NOT NULL, ADD u uuid NOT NULL DEFAULT gen_random_uuid()",
    "WITH b AS (SELECT 1 AS n) INSERT INTO a SELECT n::numeric(4, 2) FROM b",
    "CREATE TABLE c AS SELECT upper(x) FROM a",
    "CREATE TABLE c (a int, b int GENERATED ALWAYS AS (a * 2) STORED)",
    "SELECT day FROM generate_series(1, 3) AS days (day)",
    "REFRESH MATERIALIZED VIEW v",
    "ALTER TABLE a ADD c text CHECK (length(c) BETWEEN 1 AND 9 AND c <> 'x'::text) UNIQUE",
    "ALTER TABLE a ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
]
CONTRACTS = [
    "DROP TABLE a",
    'drop\n\ttable "a"',
    "ALTER TABLE a DROP COLUMN b",
    "ALTER TABLE a ADD COLUMN c int, DROP COLUMN b",
    "ALTER TABLE a RENAME TO b",
    "ALTER TABLE a RENAME COLUMN b TO c",
    "ALTER TABLE a ALTER COLUMN b TYPE int",
    "ALTER TABLE a ALTER b SET NOT NULL",
    "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0)",
    "ALTER TABLE a ADD COLUMN c int NOT NULL",
    "ALTER TABLE a ALTER COLUMN b DROP DEFAULT",
    "CREATE OR REPLACE VIEW v AS SELECT 1",
    "REVOKE SELECT ON a FROM app",
    "DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$",
    "CALL clean_up()",
    "ALTER SEQUENCE s RESTART",
    "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()",
    "DR/**/OP TABLE a",
    "-- note\rDROP TABLE a",
    "SELECT date'\\'; DROP TABLE a; --'",
    "CREATE TABLE a$$ (id int); DROP TABLE b; CREATE TABLE c$$ (id int)",
    "SET standard_conforming_strings = off; SELECT 1",
    "SELECT 'DROP TABLE a' \\gexec",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x$ DELETE FROM a RETURNING 1 $x$; SELECT f()",
    "INSERT INTO a SELECT wipe()",
    "INSERT INTO a (x) VALUES (wipe (1))",
    "SELECT evil.lower('x')",
    'SELECT "LOWER"(1)',
    "CREATE TABLE c AS SELECT wipe()",
    "CREATE MATERIALIZED VIEW v AS (SELECT wipe())",
    "ALTER TABLE a ADD COLUMN c int DEFAULT wipe()",
    "ALTER TABLE a ADD COLUMN serial int NOT NULL",
    "CREATE UNIQUE INDEX once ON a (b)",
    "CREATE TABLE IF NOT EXISTS a (id int); ALTER TABLE a DROP COLUMN b",
    "CREATE TABLE b (id int); ALTER TABLE b INHERIT a",
    "ALTER TABLE a ADD COLUMN c int PRIMARY KEY",
    "ALTER TABLE a ADD COLUMN c int NOT NULL DEFAULT NULL",
    "ALTER TABLE a ADD COLUMN c int DEFAULT (NULL::int) NOT NULL",
    "ALTER TABLE a ADD COLUMN c int CHECK (b > 0)",
    "ALTER TABLE a ADD COLUMN c int CHECK (c > 0) CHECK (coalesce(c, 0) > 0)",
    "ALTER TABLE a ADD COLUMN c boolean CHECK (c IS TRUE)",
    "CREATE TABLE a (id int); SET search_path = other; ALTER TABLE a DROP COLUMN b",
]
LOSES = [
    "DELETE FROM a",
    "UPDATE a SET b = 1",
    "TRUNCATE a",
    "WITH old AS (SELECT 1) DELETE FROM a",
    "WITH gone AS (DELETE FROM a RETURNING *) SELECT count(*) FROM gone",
    "INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET b = 2",
    "SELECT 1; /* x */ delete\nfrom a",
    "WITH x AS (UPDATE a AS t SET b = 1 RETURNING 1) SELECT 1",
    "WITH x AS (UPDATE ONLY a SET b = 1 RETURNING 1) SELECT 1",
    "INSERT INTO b WITH gone AS (DELETE FROM a RETURNING *) SELECT * FROM gone",
    'CREATE TABLE "A" (id int); DELETE FROM a',
    "CREATE TABLE a (id int); TRUNCATE a, b",
    "CREATE TABLE a (id int); WITH x AS (DELETE FROM b RETURNING 1) UPDATE a SET id = 1",
]


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        *((sql, Kind.EXPAND) for sql in EXPANDS),
        *((sql, Kind.CONTRACT) for sql in CONTRACTS),
        *((sql, Kind.IRREVERSIBLE) for sql in LOSES),
    ],
)
def test_what_it_does_is_seen_whatever_it_says(sql: str, kind: Kind) -> None:
    found = read_migration("0003_x.sql", f"-- kind: expand\n{sql}")
    assert found.found is kind, found.because
    assert (found.problem is None) == (kind is Kind.EXPAND)
    assert read_migration("0003_x.sql", f"-- kind: irreversible\n{sql}").problem is None


@pytest.mark.parametrize("head", ["", "-- kind: harmless\n", "SELECT '-- kind: expand';\n"])
def test_without_a_readable_word_it_is_refused_and_taken_for_the_worst(head: str) -> None:
    found = read_migration("0003_x.sql", f"{head}SELECT 1")
    assert found.problem is not None
    assert found.kind is Kind.IRREVERSIBLE


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_its_word_is_read_whatever_ends_the_line(end: str) -> None:
    found = read_migration("0003_x.sql", end.join(["-- kind: contract", "DROP TABLE a;", ""]))
    assert (found.declared, found.problem) == (Kind.CONTRACT, None)


def test_of_two_words_the_worse_counts_and_an_odd_one_spoils_both() -> None:
    both = read_migration("a", "-- kind: expand\n-- kind: irreversible\nSELECT 1")
    assert both.kind is Kind.IRREVERSIBLE
    assert read_migration("a", "-- kind: expand\n-- kind: harmless\nSELECT 1").problem is not None


def test_going_back_costs_as_much_as_the_worst() -> None:
    kinds = [
        read_migration("a", "-- kind: expand\nSELECT 1"),
        read_migration("b", "-- kind: contract\nDROP TABLE a"),
    ]
    assert worst(kinds) is Kind.CONTRACT
    assert worst([]) is None


def test_the_sample_s_own_migrations_are_what_they_say() -> None:
    folder = ROOT / "examples/hims-api/src/hims_api/migrations"
    for file in sorted(folder.glob("*.sql")):
        assert read_migration(file.name, file.read_text(encoding="utf-8")).problem is None


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE " + "TABLE x " * 60_000,
        "CREATE TABLE " + " AS (" * 60_000,
        "CREATE UNIQUE INDEX " + "ON x " * 60_000,
        "WITH " + "a AS (" * 60_000,
        "ALTER TABLE a " + ", ".join(f"ADD c{n} int DEFAULT {n}" for n in range(20_000)),
    ],
)
def test_a_hostile_file_is_read_as_quickly_as_any(sql: str) -> None:
    begin = time.process_time()
    read_migration("0003_x.sql", sql)
    assert time.process_time() - begin < 3


@given(st.text(alphabet="-/*'\"$;\\ eEaDROP\n", max_size=60))
def test_any_text_is_read_to_its_end(text: str) -> None:
    list(statements(text))
