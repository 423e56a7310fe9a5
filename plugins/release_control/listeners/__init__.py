"""What Airflow tells us of its own accord."""
