"""The domain of Release Control: what is true about changes, releases and time.

Nothing in here imports Airflow or the Airflow layer (`release_control`), so every rule can be asked
from a shell, a test or a worker alike.
"""
