# Release Control on Airflow's own image: what every Airflow container of docker-compose.yaml runs.
#
# The slim image, since it brings Airflow without providers: those come from our lock, in the versions
# that the tests ran with. (The full image has some thirty more, which pin other versions of botocore
# and SQLAlchemy; the two sets do not agree.) The version is the one that requirements.txt pins.
FROM apache/airflow:slim-3.3.2-python3.11

# pg_dump and pg_restore of the server's major version (docker-compose.yaml): an older pg_dump refuses
# a newer server. Debian's own is older, so it comes from PostgreSQL's repository, by the script and the
# key that Debian ships. git reads the services' repositories.
USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl git postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install --yes --no-install-recommends postgresql-client-18 \
    && rm -rf /var/lib/apt/lists/* \
    # Volumes take the owner and the mode of what they cover; any uid of group 0 may write there.
    && install --directory --owner=airflow --group=0 --mode=0770 /opt/airflow/.run /opt/airflow/logs

USER airflow
# The lock is complete, so nothing is resolved here; `pip check` refuses a set that does not fit.
COPY docker/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/requirements.txt \
    && pip check

# Not writable for the user that runs it. docker-compose.yaml mounts the work tree over the first four.
COPY --chown=root:0 dags /opt/airflow/dags
COPY --chown=root:0 plugins /opt/airflow/plugins
COPY --chown=root:0 include /opt/airflow/include
COPY --chown=root:0 config /opt/airflow/config
COPY --chown=root:0 docker/migrate_ledger.py docker/sign_ins.py /opt/airflow/docker/
ENV PYTHONPATH=/opt/airflow:/opt/airflow/plugins
