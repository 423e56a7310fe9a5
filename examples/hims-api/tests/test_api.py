from __future__ import annotations

import json
import unittest

from support import BOOKING, ROOT, Client


class Operations(unittest.TestCase):
    def test_health_needs_no_database(self) -> None:
        client = Client()
        client.store.away = True
        self.assertEqual(client.get("/healthz").status, 200)

    def test_version_is_the_one_that_was_built(self) -> None:
        answer = Client(version="2.9.1", digest="sha256:00").get("/version")
        expected = {"service": "hims-api", "version": "2.9.1", "digest": "sha256:00"}
        self.assertEqual(answer.body, expected)

    def test_ready_once_the_schema_is_there(self) -> None:
        client = Client()
        self.assertEqual(client.get("/readyz").status, 200)
        client.store.migrations = {}
        answer = client.get("/readyz")
        self.assertEqual((answer.status, answer.body["reason"]), (503, "schema_too_old"))
        client.store.away = True
        answer = client.get("/readyz")
        self.assertEqual((answer.status, answer.body["reason"]), (503, "database_unavailable"))

    def test_a_newer_schema_fits_until_something_was_taken_away(self) -> None:
        client = Client()
        newest = max(client.store.migrations)
        client.store.migrations[newest + 1] = "expand"
        self.assertEqual(client.get("/readyz").body, {"ready": True, "schema": newest + 1})
        client.store.migrations[newest + 2] = "contract"
        answer = client.get("/readyz")
        self.assertEqual((answer.status, answer.body["reason"]), (503, "schema_too_new"))

    def test_a_process_about_to_stop_answers_and_sends_people_away(self) -> None:
        client = Client()
        client.app.state.stopping = True
        answer = client.get("/readyz")
        self.assertEqual((answer.status, answer.body["reason"]), (503, "stopping"))
        answer = client.get("/appointments?day=2026-12-01")
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))

    def test_the_api_description_names_every_path(self) -> None:
        described = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
        served = {route.path for route in Client().app.routes}
        self.assertEqual(set(described["paths"]), served)


class Appointments(unittest.TestCase):
    def setUp(self) -> None:
        self.client = Client()

    def refused(self, status: int, code: str, **changed: object) -> None:
        answer = self.client.ask("POST", "/appointments", {**BOOKING, **changed})
        self.assertEqual(answer.refusal, (status, code))
        self.assertEqual(self.client.store.book_of, {})

    def test_what_is_booked_is_listed_on_its_day_alone(self) -> None:
        answer = self.client.ask("POST", "/appointments", BOOKING)
        self.assertEqual(answer.status, 201)
        listed = self.client.get("/appointments?day=2026-12-01").body
        self.assertEqual(listed["appointments"], [answer.body["appointment"]])
        self.assertEqual(self.client.get("/appointments?day=2026-12-02").body["appointments"], [])

    def test_an_appointment_without_a_channel_is_in_person(self) -> None:
        booked = self.client.ask("POST", "/appointments", BOOKING).body["appointment"]
        self.assertEqual(booked["channel"], "in_person")

    def test_a_time_is_given_once(self) -> None:
        self.client.ask("POST", "/appointments", BOOKING)
        answer = self.client.ask("POST", "/appointments", {**BOOKING, "patient": 8})
        self.assertEqual(answer.refusal, (409, "time_taken"))

    def test_a_cancelled_appointment_stays_in_the_book_and_frees_its_time(self) -> None:
        self.client.ask("POST", "/appointments", BOOKING)
        for _ in range(2):
            answer = self.client.ask("DELETE", "/appointments/1")
            self.assertEqual((answer.status, answer.body["appointment"]["cancelled"]), (200, True))
        self.assertEqual(self.client.ask("POST", "/appointments", BOOKING).status, 201)
        counts = self.client.get("/patients/7/summary").body["appointments"]
        self.assertEqual(counts, {"booked": 1, "cancelled": 1})

    def test_cancelling_what_is_not_there(self) -> None:
        answer = self.client.ask("DELETE", "/appointments/1")
        self.assertEqual(answer.refusal, (404, "unknown_appointment"))
        answer = self.client.ask("DELETE", "/appointments/first")
        self.assertEqual(answer.refusal, (400, "invalid_appointment"))

    def test_fields_that_cannot_be(self) -> None:
        self.refused(422, "unknown_patient", patient=999)
        self.refused(422, "invalid_patient", patient="7")
        self.refused(422, "invalid_patient", patient=True)
        self.refused(422, "invalid_patient", patient=2**31)
        self.refused(422, "unknown_clinic", clinic="C99")
        self.refused(422, "unknown_clinic", clinic=["C01"])
        self.refused(422, "invalid_day", day="2026-02-30")
        self.refused(422, "invalid_time", time="24:00")
        self.refused(422, "outside_hours", time="22:00")
        self.refused(422, "invalid_minutes", minutes=0)
        self.refused(422, "invalid_note", note="x" * 201)
        for letter in ("\0", "\n", "\ud800"):
            self.refused(422, "invalid_note", note=f"before{letter}after")
        self.refused(422, "unknown_field", colour="blue")

    def test_a_missing_field_is_named(self) -> None:
        without = {name: value for name, value in BOOKING.items() if name != "minutes"}
        answer = self.client.ask("POST", "/appointments", without)
        self.assertEqual(answer.status, 422)
        self.assertIn('"minutes"', answer.body["error"]["message"])

    def test_bodies_that_are_no_appointment(self) -> None:
        for body, expected in (
            (b"", (400, "invalid_json")),
            (b"{", (400, "invalid_json")),
            (b"\xff\xfe", (400, "invalid_json")),
            (b"[" * 9000, (400, "invalid_json")),
            (b"[]", (400, "invalid_body")),
            (b"null", (400, "invalid_body")),
            (b'"' + b"x" * 20_000 + b'"', (413, "body_too_long")),
        ):
            with self.subTest(body[:8]):
                self.assertEqual(self.client.ask("POST", "/appointments", body).refusal, expected)

    def test_days_that_are_none(self) -> None:
        for query in ("", "?day=", "?day=tomorrow", "?day=2026-13-01", "?day=20261201"):
            with self.subTest(query):
                answer = self.client.get(f"/appointments{query}")
                self.assertEqual(answer.refusal, (400, "invalid_day"))

    def test_a_database_that_is_away_is_said_so(self) -> None:
        self.client.store.away = True
        answer = self.client.get("/appointments?day=2026-12-01")
        self.assertEqual(answer.refusal, (503, "database_unavailable"))


class Telemedicine(unittest.TestCase):
    VISIT = {**BOOKING, "channel": "video"}  # noqa: RUF012

    def test_video_visits_are_booked_where_it_is_on(self) -> None:
        answer = Client(telemedicine=True).ask("POST", "/appointments", self.VISIT)
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.body["appointment"]["channel"], "video")

    def test_video_visits_are_refused_where_it_is_off(self) -> None:
        answer = Client().ask("POST", "/appointments", self.VISIT)
        self.assertEqual(answer.refusal, (422, "telemedicine_off"))

    def test_a_summary_counts_the_visits_of_each_channel(self) -> None:
        client = Client(telemedicine=True)
        client.ask("POST", "/appointments", self.VISIT)
        client.ask("POST", "/appointments", {**BOOKING, "day": "2026-12-02"})
        body = client.get("/patients/7/summary").body
        self.assertEqual(body["channels"], {"in_person": 1, "video": 1})

    def test_a_summary_says_nothing_of_channels_where_it_is_off(self) -> None:
        self.assertNotIn("channels", Client().get("/patients/7/summary").body)

    def test_there_are_two_channels(self) -> None:
        for channel in ("fax", None, ["video"], True):
            with self.subTest(channel):
                visit = {**BOOKING, "channel": channel}
                answer = Client(telemedicine=True).ask("POST", "/appointments", visit)
                self.assertEqual(answer.refusal, (422, "invalid_channel"))


class Patients(unittest.TestCase):
    def setUp(self) -> None:
        self.client = Client()

    def test_a_summary_counts_and_shows_the_latest(self) -> None:
        for day in ("2026-12-01", "2026-12-03"):
            self.client.ask("POST", "/appointments", {**BOOKING, "day": day})
        body = self.client.get("/patients/7/summary").body
        self.assertEqual(body["patient"], {"id": 7, "label": "Patient 007"})
        self.assertEqual(body["appointments"], {"booked": 2, "cancelled": 0})
        self.assertEqual(body["latest"]["day"], "2026-12-03")

    def test_a_patient_without_appointments(self) -> None:
        body = self.client.get("/patients/8/summary").body
        self.assertEqual(body["appointments"]["booked"], 0)
        self.assertIsNone(body["latest"])

    def test_a_patient_who_is_not_there(self) -> None:
        answer = self.client.get("/patients/999999/summary")
        self.assertEqual(answer.refusal, (404, "unknown_patient"))

    def test_a_number_that_no_patient_can_have(self) -> None:
        for digits in (19, 5000):
            with self.subTest(digits):
                answer = self.client.get(f"/patients/{'9' * digits}/summary")
                self.assertEqual(answer.refusal, (404, "unknown_patient"))

    def test_a_patient_who_is_no_number(self) -> None:
        for word in ("abc", "-1", "1.5", "%C2%B2"):
            with self.subTest(word):
                self.assertEqual(self.client.get(f"/patients/{word}/summary").status, 400)


class Answers(unittest.TestCase):
    def test_a_path_that_is_not_there(self) -> None:
        answer = Client().get("/nothing")
        self.assertEqual(answer.refusal, (404, "not_found"))

    def test_a_method_that_is_not_allowed(self) -> None:
        answer = Client().ask("PATCH", "/appointments")
        self.assertEqual(answer.status, 405)
        self.assertIn("POST", answer.headers["allow"])

    def test_a_failure_shows_nothing_of_the_inside(self) -> None:
        client = Client()
        client.store.book_of = None  # type: ignore[assignment]
        answer = client.get("/appointments?day=2026-12-01")
        self.assertEqual(answer.refusal, (500, "internal_error"))
        self.assertNotIn("NoneType", json.dumps(answer.body))


if __name__ == "__main__":
    unittest.main()
