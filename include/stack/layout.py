"""Where the stack keeps what it writes; all of it lies below the state directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one state directory (absolute)."""

    root: Path

    def __post_init__(self) -> None:
        # One spelling, whatever links lead here: processes are recognised by it.
        object.__setattr__(self, "root", self.root.resolve())

    @property
    def record(self) -> Path:
        """Return the file in which the supervisor says what it runs."""
        return self.root / "stack.json"

    @property
    def up_lock(self) -> Path:
        """Return the lock that one starting or stopping command holds at a time."""
        return self.root / "up.lock"

    @property
    def provision_lock(self) -> Path:
        """Return the lock that one provisioning `up` holds at a time."""
        return self.root / "provision.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Return the lock that the supervisor holds as long as it lives."""
        return self.root / "supervisor.lock"

    @property
    def logs(self) -> Path:
        """Return the directory of the components' output."""
        return self.root / "logs"

    def log(self, name: str) -> Path:
        """Return the log of one component."""
        return self.logs / f"{name}.log"

    @property
    def secrets(self) -> Path:
        """Return the file of passwords and keys of the machine's own accounts."""
        return self.root / "secrets.json"

    @property
    def people_passwords(self) -> Path:
        """Return the file of the people's sign-ins, as Airflow's simple auth manager reads it."""
        return self.root / "people-passwords.json"

    @property
    def postgres(self) -> Path:
        """Return PostgreSQL's directory; the cluster lies in `data` in it."""
        return self.root / "postgres"

    @property
    def haproxy(self) -> Path:
        """Return HAProxy's directory."""
        return self.root / "haproxy"

    @property
    def airflow(self) -> Path:
        """Return AIRFLOW_HOME."""
        return self.root / "airflow"

    @property
    def nodes(self) -> Path:
        """Return the directory of the slots' unit files."""
        return self.root / "nodes"
