from __future__ import annotations

import unittest
from datetime import time

import support
from hims_api.clinics import CLINICS, find_clinic


class Clinics(unittest.TestCase):
    def test_each_has_a_code_of_its_own(self) -> None:
        self.assertEqual(len({clinic.code for clinic in CLINICS}), len(CLINICS))

    def test_each_closes_after_it_opens(self) -> None:
        for clinic in CLINICS:
            self.assertLess(clinic.opens, clinic.closes)

    def test_an_appointment_ends_by_closing_time(self) -> None:
        clinic = find_clinic("C01")
        self.assertTrue(clinic.sees(time(8), 20))
        self.assertTrue(clinic.sees(time(16, 40), 20))
        self.assertFalse(clinic.sees(time(16, 45), 20))
        self.assertFalse(clinic.sees(time(7, 59), 20))
        self.assertFalse(clinic.sees(time(23, 30), 60))

    def test_they_are_listed_with_their_hours(self) -> None:
        listed = support.Client().get("/clinics").body["clinics"]
        self.assertEqual([entry["code"] for entry in listed], [entry.code for entry in CLINICS])
        self.assertEqual((listed[0]["opens"], listed[0]["closes"]), ("08:00", "17:00"))


if __name__ == "__main__":
    unittest.main()
