-- What the tests of faults want to know of a queue in the schema `faults`, beyond what it keeps itself.
\set ON_ERROR_STOP on
SET search_path = faults;

-- Written by the jobs.
CREATE TABLE runs (
  job_id    uuid        NOT NULL,
  attempt   int         NOT NULL,
  manner    text        NOT NULL,
  process   int         NOT NULL,
  -- What the clock of the process's machine showed.
  own_clock timestamptz NOT NULL,
  began_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at  timestamptz,
  PRIMARY KEY (job_id, attempt)
);
CREATE TABLE effects (job_id uuid NOT NULL, attempt int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE refusals (job_id uuid NOT NULL, attempt int NOT NULL);

-- Written by those who add them.
CREATE TABLE written (id uuid PRIMARY KEY);

GRANT SELECT, INSERT, UPDATE ON runs, effects, refusals, written TO mainstreet_faults;

-- Written by the tables of the queue: whose a job was, and for how long.
CREATE TABLE leases (
  job_id      uuid        NOT NULL,
  attempt     int         NOT NULL,
  worker_id   bigint      NOT NULL,
  taken_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  released_at timestamptz,
  PRIMARY KEY (job_id, attempt)
);

CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = faults AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO leases (job_id, attempt, worker_id) VALUES (NEW.job_id, NEW.attempt, NEW.worker_id);
  ELSE
    UPDATE leases SET released_at = clock_timestamp() WHERE job_id = OLD.job_id AND attempt = OLD.attempt;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER note_lease AFTER INSERT OR DELETE ON jobs_running FOR EACH ROW EXECUTE FUNCTION note_lease();
