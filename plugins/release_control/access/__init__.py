"""Who may do what in Airflow, and the record of who did."""
