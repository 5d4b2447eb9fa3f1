-- Uptime per store over [from, to), in microseconds, by Postgres alone: ranges and multiranges instead of a merge.
-- Reads oracle_stores(store, zone, always_open), oracle_hours(store, weekday, opens, closes: intervals from local
-- midnight, closes after opens) and oracle_polls(store, at, active), at most one poll for an instant.
-- $1, $2: the window. $3: asOf. Answers (store, open, up, down, unknown).
WITH days AS (
  SELECT s.store, s.zone, day::date AS day
  FROM oracle_stores s,
    generate_series(($1::timestamptz AT TIME ZONE s.zone)::date - 2, ($2::timestamptz AT TIME ZONE s.zone)::date,
                    interval '1 day') AS day
), walls AS (
  SELECT d.store, d.zone, d.day + h.opens AS opens, d.day + h.closes AS closes
  FROM days d JOIN oracle_hours h ON h.store = d.store AND h.weekday = extract(isodow FROM d.day)::int - 1
), instants AS (
  -- AT TIME ZONE reads a time in a gap with the offset before it and an ambiguous one as the second occurrence,
  -- which is right for closing; the first occurrence is the earliest instant that shows the same time.
  SELECT store,
    coalesce((SELECT min((opens AT TIME ZONE zone) - make_interval(mins => back))
              FROM generate_series(0, 180, 30) AS back
              WHERE ((opens AT TIME ZONE zone) - make_interval(mins => back)) AT TIME ZONE zone = opens),
             opens AT TIME ZONE zone) AS opens,
    closes AT TIME ZONE zone AS closes
  FROM walls
), open AS (
  SELECT s.store,
    CASE WHEN s.always_open THEN tstzmultirange(tstzrange($1, $2))
         ELSE coalesce((SELECT range_agg(tstzrange(i.opens, i.closes)) FROM instants i
                        WHERE i.store = s.store AND i.opens < i.closes), '{}'::tstzmultirange)
              * tstzmultirange(tstzrange($1, $2)) END AS spans
  FROM oracle_stores s
), states AS (
  SELECT store, active,
    tstzrange(CASE WHEN lag(at) OVER w IS NULL THEN '-infinity' ELSE at END,
              coalesce(lead(at) OVER w, 'infinity')) AS span
  FROM oracle_polls WHERE at <= $3
  WINDOW w AS (PARTITION BY store ORDER BY at)
), known AS (
  SELECT store,
    coalesce(range_agg(span) FILTER (WHERE active), '{}'::tstzmultirange) AS up,
    coalesce(range_agg(span) FILTER (WHERE NOT active), '{}'::tstzmultirange) AS down
  FROM states GROUP BY store
), result AS (
  SELECT o.store, o.spans AS open,
    o.spans * coalesce(k.up, '{}') AS up,
    o.spans * coalesce(k.down, '{}') AS down,
    o.spans - coalesce(k.up, '{}') - coalesce(k.down, '{}') AS unknown
  FROM open o LEFT JOIN known k USING (store)
)
SELECT store,
  (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) * 1000000), 0) FROM unnest(open) r)::int8 AS open,
  (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) * 1000000), 0) FROM unnest(up) r)::int8 AS up,
  (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) * 1000000), 0) FROM unnest(down) r)::int8 AS down,
  (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) * 1000000), 0) FROM unnest(unknown) r)::int8
    AS unknown
FROM result ORDER BY store
