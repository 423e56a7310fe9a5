from __future__ import annotations

import unittest

import support
from hims_api.settings import SettingsError, read_settings

URL = "postgresql://hims@127.0.0.1/hims"


class Environment(unittest.TestCase):
    def test_a_missing_database_is_named(self) -> None:
        for environment in ({}, {"DATABASE_URL": ""}, {"DATABASE_URL": "mysql://x"}):
            with self.subTest(environment), self.assertRaisesRegex(SettingsError, "DATABASE_URL"):
                read_settings(environment)

    def test_the_version_comes_from_the_file_of_that_name(self) -> None:
        expected = (support.ROOT / "VERSION").read_text(encoding="utf-8").strip()
        self.assertEqual(read_settings({"DATABASE_URL": URL}).version, expected)

    def test_a_digest_is_optional(self) -> None:
        self.assertIsNone(read_settings({"DATABASE_URL": URL}).digest)
        environment = {"DATABASE_URL": URL, "HIMS_DIGEST": "sha256:00"}
        self.assertEqual(read_settings(environment).digest, "sha256:00")

    def test_telemedicine_is_off_until_it_is_switched_on(self) -> None:
        self.assertFalse(read_settings({"DATABASE_URL": URL}).telemedicine)
        environment = {"DATABASE_URL": URL, "HIMS_TELEMEDICINE": "true"}
        self.assertTrue(read_settings(environment).telemedicine)

    def test_a_switch_that_is_neither_on_nor_off_is_named(self) -> None:
        environment = {"DATABASE_URL": URL, "HIMS_TELEMEDICINE": "yes"}
        with self.assertRaisesRegex(SettingsError, "HIMS_TELEMEDICINE"):
            read_settings(environment)


if __name__ == "__main__":
    unittest.main()
