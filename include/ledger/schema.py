"""The ledger's tables, as the migrations make them.

`record`, `leaf` and `head` are append-only. Every other table holds state, whose every change has
its record; `sequencer` is the database's own affair.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZRANGE

metadata = MetaData()


def _instant(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


record = Table(
    "record",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("release", Text),
    Column("change", Text),
    Column("body", Text, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("pruned", Boolean, nullable=False),
)

leaf = Table(
    "leaf",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
)

head = Table(
    "head",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    _instant("sealed_at", nullable=False),
    Column("note", Text, nullable=False),
    Column("entry", Text, nullable=False),
)

release = Table(
    "release",
    metadata,
    Column("id", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("message", Text),
    Column("plan", JSONB, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("dag_id", Text),
    Column("run_id", Text),
    Column("requested_by", Text, nullable=False),
    Column("change_id", Text),
    _instant("created_at", nullable=False),
    _instant("updated_at", nullable=False),
)

step = Table(
    "step",
    metadata,
    Column("release_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("result", JSONB),
    _instant("started_at", nullable=False),
    _instant("finished_at"),
)

change = Table(
    "change",
    metadata,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("systems", ARRAY(Text), nullable=False),
    Column("requester", Text, nullable=False),
    Column("release_id", Text),
    Column("priority", Text),
    Column("team", Text),
    Column("incident_id", Text),
    Column("model", Text),
    Column("risk_level", Text),
    _instant("planned_start"),
    _instant("planned_end"),
    Column("outcome", Text),
    Column("held_because", Text),
    _instant("started_at"),
    _instant("finished_at"),
    _instant("closed_at"),
    _instant("created_at", nullable=False),
    _instant("updated_at", nullable=False),
)

revision = Table(
    "revision",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content", JSONB, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("author", Text, nullable=False),
    _instant("created_at", nullable=False),
)

vote = Table(
    "vote",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("ballot_id", BigInteger),
    Column("change_id", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("seat", Text, nullable=False),
    Column("voter", Text, nullable=False),
    Column("choice", Text, nullable=False),
    Column("meaning", Text, nullable=False),
    Column("comment", Text, nullable=False),
    _instant("cast_at", nullable=False),
    _instant("expires_at", nullable=False),
)

ballot = Table(
    "ballot",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("change_id", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("rule", JSONB, nullable=False),
    Column("parties", JSONB, nullable=False),
    Column("policy_hash", Text, nullable=False),
    Column("meaning", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("message", Text),
    Column("meeting", Text),
    _instant("opened_at", nullable=False),
    _instant("closes_at", nullable=False),
    _instant("votes_last_until", nullable=False),
    _instant("decided_at"),
)

checklist = Table(
    "checklist",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("content_hash", Text, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("decided_by", Text, nullable=False),
    _instant("decided_at", nullable=False),
)

work = Table(
    "work",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("result", JSONB),
    _instant("started_at", nullable=False),
    _instant("finished_at"),
)

model = Table(
    "model",
    metadata,
    Column("name", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("change_id", Text, nullable=False),
    _instant("approved_at", nullable=False),
    _instant("expires_at", nullable=False),
    _instant("suspended_at"),
    Column("suspended_because", Text),
)

flag = Table(
    "flag",
    metadata,
    Column("service", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    Column("change_id", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    _instant("set_at", nullable=False),
)

configuration = Table(
    "configuration",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("service", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("change_id", Text),
    Column("release_id", Text),
    _instant("recorded_at", nullable=False),
)

gate = Table(
    "gate",
    metadata,
    Column("release_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("commit", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("decided_by", Text, nullable=False),
    _instant("decided_at", nullable=False),
)

slot = Table(
    "slot",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("change_id", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("during", TSTZRANGE, nullable=False),
    Column("window_name", Text, nullable=False),
    _instant("released_at"),
)

kept_text = Table(
    "kept_text",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("body", Text),
    _instant("kept_at", nullable=False),
    _instant("forgotten_at"),
)

policy_file = Table(
    "policy_file",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sha256", Text),
    _instant("noted_at", nullable=False),
)

legal_hold = Table(
    "legal_hold",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    _instant("placed_at", nullable=False),
    Column("lifted_by", Text),
    _instant("lifted_at"),
    Column("lift_reason", Text),
)

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

permit = Table(
    "permit",
    metadata,
    Column("fence", BigInteger, primary_key=True, autoincrement=False),
    Column("release_id", Text),
    Column("attempt", Integer),
    Column("change_id", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("systems", ARRAY(Text), nullable=False),
    Column("conditions", JSONB, nullable=False),
    Column("holder", Text, nullable=False),
    _instant("issued_at", nullable=False),
    _instant("expires_at", nullable=False),
    _instant("used_at"),
    _instant("closed_at"),
)

deployment = Table(
    "deployment",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("service", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("colour", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("release_id", Text),
    Column("attempt", Integer),
    Column("fence", BigInteger, nullable=False),
    _instant("staged_at", nullable=False),
    _instant("switch_began_at"),
    _instant("live_at"),
    _instant("ended_at"),
)

backup = Table(
    "backup",
    metadata,
    Column("id", Text, primary_key=True),
    Column("release_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("service", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("counts", JSONB, nullable=False),
    _instant("taken_at", nullable=False),
    _instant("proven_at"),
    Column("proof", JSONB),
    _instant("pruned_at"),
    _instant("drilled_at"),
)

release_lock = Table(
    "release_lock",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("service", Text, nullable=False),
    Column("release_id", Text),
    Column("reason", Text, nullable=False),
    Column("locked_by", Text, nullable=False),
    _instant("locked_at", nullable=False),
    Column("unlocked_by", Text),
    Column("unlock_reason", Text),
    _instant("unlocked_at"),
    Column("commits", JSONB),
)

rollback = Table(
    "rollback",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("release_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("service", Text, nullable=False),
    Column("from_version", Text, nullable=False),
    Column("to_version", Text, nullable=False),
    Column("to_digest", Text, nullable=False),
    Column("to_path", Text),
    Column("reason", Text, nullable=False),
    Column("database", Boolean, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("state", Text, nullable=False),
    _instant("created_at", nullable=False),
    _instant("updated_at", nullable=False),
)

rollback_vote = Table(
    "rollback_vote",
    metadata,
    Column("rollback_id", Text, primary_key=True),
    Column("content_hash", Text, primary_key=True),
    Column("voter", Text, primary_key=True),
    Column("choice", Text, nullable=False),
    Column("meaning", Text, nullable=False),
    Column("comment", Text, nullable=False),
    _instant("cast_at", nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("id", Text, primary_key=True),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("systems", ARRAY(Text), nullable=False),
    _instant("opened_at", nullable=False),
    _instant("closed_at"),
)

notice = Table(
    "notice",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("dedupe_key", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("thread", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("people", ARRAY(Text), nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("fields", JSONB, nullable=False),
    Column("link", Text),
    Column("standing", JSONB),
    Column("reminds", Text),
    _instant("expires_at"),
    _instant("created_at", nullable=False),
    _instant("routed_at"),
    Column("final", Boolean, nullable=False),
)

notice_delivery = Table(
    "notice_delivery",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("notice_id", BigInteger, primary_key=True),
    Column("address", Text),
    Column("thread", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    _instant("not_before"),
    _instant("sent_at"),
    _instant("delivered_at"),
    Column("message_id", Text),
    Column("late", Boolean, nullable=False),
    # Those who alone are still to get it; null where it is everybody.
    Column("waiting", ARRAY(Text)),
)

notice_thread = Table(
    "notice_thread",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("thread", Text, primary_key=True),
    Column("root_id", Text, nullable=False),
    Column("place", Text),
    Column("shown", Text),
    Column("stale", Boolean, nullable=False),
)

notice_channel = Table(
    "notice_channel",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    _instant("not_before"),
    Column("last_error", Text),
)

calendar_freeze = Table(
    "calendar_freeze",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    _instant("starts_at", nullable=False),
    _instant("ends_at", nullable=False),
    Column("systems", ARRAY(Text), nullable=False),
    Column("environments", ARRAY(Text), nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("entered_by", Text, nullable=False),
    _instant("entered_at", nullable=False),
    Column("lifted_by", Text),
    _instant("lifted_at"),
    Column("lift_reason", Text),
)

calendar_exception = Table(
    "calendar_exception",
    metadata,
    Column("id", Text, primary_key=True),
    Column("freeze_id", Text, nullable=False),
    _instant("starts_at", nullable=False),
    _instant("ends_at", nullable=False),
    Column("systems", ARRAY(Text), nullable=False),
    Column("changes", ARRAY(Text), nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("control", Text, nullable=False),
    Column("entered_by", Text, nullable=False),
    _instant("entered_at", nullable=False),
    Column("lifted_by", Text),
    _instant("lifted_at"),
    Column("lift_reason", Text),
)

calendar_extension = Table(
    "calendar_extension",
    metadata,
    Column("id", Text, primary_key=True),
    Column("change_id", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("window_name", Text, nullable=False),
    _instant("starts_at", nullable=False),
    _instant("ends_at", nullable=False),
    Column("systems", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    _instant("requested_at", nullable=False),
    Column("decided_by", Text),
    _instant("decided_at"),
    Column("decision_reason", Text),
)

calendar_turn = Table("calendar_turn", metadata, Column("number", BigInteger, nullable=False))

opening_start = Table(
    "opening_start",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("opens_at", DateTime(timezone=True), primary_key=True),
    Column("window_name", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("priority", Text, nullable=False),
    _instant("decided_at", nullable=False),
    _instant("started_at"),
    Column("closing", Text),
    _instant("closed_at"),
)
