from __future__ import annotations

import sys
import unittest

import support

sys.path.insert(0, str(support.ROOT / "tools"))

import build
import set_version


class Build(unittest.TestCase):
    def test_the_order_of_the_files_does_not_matter(self) -> None:
        files = build.contents()
        backwards = dict(reversed(list(files.items())))
        self.assertEqual(build.pack(files), build.pack(backwards))

    def test_it_holds_the_migrations_and_the_version(self) -> None:
        files = build.contents()
        self.assertIn("hims_api/migrations/0001_appointments.sql", files)
        self.assertIn("hims_api/VERSION", files)
        self.assertFalse([name for name in files if "__pycache__" in name])


class SetVersion(unittest.TestCase):
    LOG = "# Changelog\n\n## Unreleased\n\n- New.\n\n## 2.1.0\n\n- Old.\n"

    def test_unreleased_entries_get_the_version(self) -> None:
        log = set_version.with_heading(self.LOG, "2.2.0")
        self.assertEqual(log, self.LOG.replace("Unreleased", "2.2.0"))
        self.assertEqual(set_version.with_heading(log, "2.2.0"), log)

    def test_a_release_without_entries_gets_a_heading(self) -> None:
        log = set_version.with_heading("# Changelog\n\n## 2.1.0\n\n- Old.\n", "2.1.1")
        self.assertTrue(log.startswith("# Changelog\n\n## 2.1.1\n\n- No changes.\n\n## 2.1.0\n"))

    def test_versions_compare_as_numbers(self) -> None:
        self.assertGreater(set_version.numbers("2.10.0"), set_version.numbers("2.9.0"))


if __name__ == "__main__":
    unittest.main()
