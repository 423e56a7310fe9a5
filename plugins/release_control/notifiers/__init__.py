"""What Airflow calls when a run does not go as it should."""
