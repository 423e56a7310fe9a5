"""The Airflow layer of Release Control: what only makes sense inside Airflow.

It turns the domain's answers (`include`) into tasks, sensors and refusals, and reads credentials
from Connections. `PYTHONPATH` holds the project root and `plugins/`.
"""
