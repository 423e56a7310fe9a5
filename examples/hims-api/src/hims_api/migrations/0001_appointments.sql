-- kind: expand
-- Patients and appointments, with a synthetic practice: numbers and labels, nobody's data.

CREATE TABLE patient (
    id integer PRIMARY KEY,
    label text NOT NULL
);

CREATE TABLE appointment (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient integer NOT NULL REFERENCES patient,
    clinic text NOT NULL,
    day date NOT NULL,
    time time NOT NULL,
    minutes integer NOT NULL CHECK (minutes BETWEEN 5 AND 240),
    note text NOT NULL DEFAULT '',
    cancelled boolean NOT NULL DEFAULT false,
    booked_at timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX appointment_once ON appointment (day, time, clinic) WHERE NOT cancelled;
CREATE INDEX appointment_patient ON appointment (patient, day);

INSERT INTO patient (id, label)
SELECT number, 'Patient ' || lpad(number::text, 3, '0')
FROM generate_series(1, 48) AS number;

-- Twelve appointments on every working day of November and December 2026.
INSERT INTO appointment (patient, clinic, day, time, minutes)
SELECT
    1 + ((days.day::date - date '2026-11-01') * 7 + place) % 48,
    'C0' || 1 + place % 3,
    days.day::date,
    time '08:30' + (place / 3) * interval '90 minutes',
    CASE WHEN place % 2 = 0 THEN 20 ELSE 40 END
FROM
    generate_series(timestamp '2026-11-02', timestamp '2026-12-31', interval '1 day') AS days (day),
    generate_series(0, 11) AS place
WHERE extract(isodow FROM days.day) < 6
ORDER BY days.day, place;
