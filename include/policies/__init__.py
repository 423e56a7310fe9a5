"""The rules by which things are decided: the files of config/, as they were when they counted."""

from include.policies.watch import note_policies

__all__ = ["note_policies"]
