"""`./hims up`, `down`, `status` and `logs`."""
