from __future__ import annotations

import re
import unittest

import support  # noqa: F401 - makes the service importable
from hims_api.schema import SchemaError, load_migrations, parse_migration


class Migrations(unittest.TestCase):
    def test_they_are_numbered_without_a_gap(self) -> None:
        versions = [migration.version for migration in load_migrations()]
        self.assertEqual(versions, list(range(1, len(versions) + 1)))

    def test_none_ends_the_transaction_it_runs_in(self) -> None:
        for migration in load_migrations():
            self.assertNotRegex(migration.sql.upper(), r"\b(COMMIT|ROLLBACK|CONCURRENTLY)\b")

    def test_an_expand_migration_takes_nothing_from_the_release_before(self) -> None:
        for migration in load_migrations()[1:]:
            if migration.kind == "expand":
                sql = re.sub(r"--.*", "", migration.sql).upper()
                self.assertNotRegex(sql, r"\b(DROP|RENAME|TRUNCATE|DELETE|ALTER COLUMN)\b")
                self.assertNotRegex(sql, r"ADD COLUMN [^;]*NOT NULL(?![^;]*DEFAULT)")

    def test_a_file_says_its_kind(self) -> None:
        self.assertEqual(parse_migration("0007_x.sql", "-- kind: contract\n").kind, "contract")
        for name, sql in (
            ("0007_x.sql", "SELECT 1"),
            ("0007_x.sql", "-- kind: harmless\n"),
            ("7_x.sql", "-- kind: expand\n"),
        ):
            with self.subTest(name, sql=sql), self.assertRaises(SchemaError):
                parse_migration(name, sql)


if __name__ == "__main__":
    unittest.main()
