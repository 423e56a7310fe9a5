"""No patient's data in change control: free text is screened before it is kept or sent."""

from include.privacy.guard import Found, Guard, load_guard, screen

__all__ = ["Found", "Guard", "load_guard", "screen"]
