"""Schedules that go by the change calendar and by the cadence of releases."""
