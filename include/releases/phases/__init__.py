"""The phases of a release train, one file each: what their tasks do, without Airflow."""
