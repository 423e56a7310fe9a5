"""The words that a made-up history is made of."""

from __future__ import annotations

SYSTEMS = ("api", "frontend", "database", "integration", "reporting")
REQUESTERS = ("sam", "priya", "jordan", "alex", "morgan", "taylor")
SEATS = (
    "technical_lead", "operations_manager", "product_manager", "security_officer",
    "business_representative", "qa_lead",
)  # fmt: skip
TITLES = (
    "Renew TLS certificates",
    "Raise the connection pool of the API",
    "Add an index on appointments",
    "Rotate database credentials",
    "Patient portal: new navigation",
    "HL7 interface: new lab partner",
    "Billing: correct tax on multi-item invoices",
    "Upgrade PostgreSQL minor version",
    "Telemedicine flag on for two clinics",
    "Tighten session timeouts",
    "Replace the load balancer's health check",
    "Enable MFA for contractors",
    "Widen the reporting replica's disk",
    "Appointment reminders by SMS",
)
LESSONS = (
    "The rehearsal used a smaller data set than production; the migration took twice as long.",
    "Warm-up requests did not cover the reporting pages; add them to the service's checks.",
    "The vendor's maintenance overlapped with ours; ask for their calendar before booking.",
    "Alert thresholds were too tight for the first minutes after a switch.",
    "The rollback went as rehearsed; keep rehearsing it.",
    "A flag that nobody owned changed behaviour; flags need an owner.",
    "Two people waited for each other at the checkpoint; name one who decides.",
)
