"""The local stack: PostgreSQL, HAProxy, the services' slots and Airflow on one machine."""
