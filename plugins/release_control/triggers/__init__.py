"""What the triggerer sleeps on while a task waits."""
