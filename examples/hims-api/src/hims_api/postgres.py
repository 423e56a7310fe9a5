"""The store in PostgreSQL, on a small pool of connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from hims_api.appointments import Appointment, NewAppointment
from hims_api.settings import Settings
from hims_api.store import Patient, Taken, Unavailable, UnknownPatient

# Columns by name: a database that has more of them already serves this code just as well.
COLUMNS = "id, patient, clinic, day, time, minutes, note, cancelled, channel"
WAIT_SECONDS = 2.0


class PostgresStore:
    """Patients and appointments in the database that DATABASE_URL names."""

    def __init__(self, settings: Settings) -> None:
        # A connection is checked before it is used: after a restart of the database the
        # first request gets a new connection instead of an error.
        self._pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            settings.database_url,
            kwargs={
                "autocommit": True,
                "application_name": f"hims-api/{settings.version}",
                "connect_timeout": 2,
            },
            min_size=1,
            max_size=8,
            timeout=WAIT_SECONDS,
            reconnect_timeout=5,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    async def schema(self) -> dict[int, str]:
        async with self._connection() as connection:
            try:
                cursor = await connection.execute("SELECT version, kind FROM schema_version")
            except psycopg.errors.UndefinedTable:
                return {}
            return dict(await cursor.fetchall())

    async def appointments_on(self, day: date) -> list[Appointment]:
        return await self._appointments("day = %s ORDER BY time, clinic, id", day)

    async def appointments_of(self, patient: int) -> list[Appointment]:
        return await self._appointments("patient = %s ORDER BY day, time, id", patient)

    async def patient(self, number: int) -> Patient | None:
        async with self._connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Patient))
            await cursor.execute("SELECT id, label FROM patient WHERE id = %s", (number,))
            return await cursor.fetchone()

    async def book(self, wanted: NewAppointment) -> Appointment:
        async with self._connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Appointment))
            try:
                await cursor.execute(
                    "INSERT INTO appointment (patient, clinic, day, time, minutes, note, channel)"
                    f" VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING {COLUMNS}",
                    (
                        wanted.patient,
                        wanted.clinic,
                        wanted.day,
                        wanted.time,
                        wanted.minutes,
                        wanted.note,
                        wanted.channel,
                    ),
                )
            except psycopg.errors.ForeignKeyViolation as error:
                raise UnknownPatient from error
            except psycopg.errors.UniqueViolation as error:
                raise Taken from error
            booked = await cursor.fetchone()
            assert booked is not None  # noqa: S101 - an INSERT without conflict returns its row
            return booked

    async def cancel(self, number: int) -> Appointment | None:
        async with self._connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Appointment))
            await cursor.execute(
                f"UPDATE appointment SET cancelled = true WHERE id = %s RETURNING {COLUMNS}",
                (number,),
            )
            return await cursor.fetchone()

    async def _appointments(self, condition: str, value: Any) -> list[Appointment]:
        async with self._connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Appointment))
            await cursor.execute(f"SELECT {COLUMNS} FROM appointment WHERE {condition}", (value,))
            return await cursor.fetchall()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(str(error)) from error
