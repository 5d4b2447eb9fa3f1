#!/usr/bin/env python3
"""Recomputes a store monitoring report from the three CSV files it was made of, and compares every figure.

    recompute_report.py --hours H.csv --timezones Z.csv --polls P.csv --as-of 2023-01-25T18:13:22.479220Z [report.csv]

Files may be gzipped. Without a report it prints the one it expects. Written from the rules alone, in the
plainest way, with the standard library and its zoneinfo: it shares nothing with the engine it checks.
Exit code 0: same rows, same order, same figures. 1: differences, printed. 2: could not run.
"""
import argparse, csv, gzip, itertools, sys
from collections import defaultdict
from datetime import date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

UTC, MICROSECOND = timezone.utc, timedelta(microseconds=1)
MIDNIGHT = 24 * 3600
HEADER = ["store_id", "uptime_last_hour(in minutes)", "uptime_last_day(in hours)", "uptime_last_week(in hours)",
          "downtime_last_hour(in minutes)", "downtime_last_day(in hours)", "downtime_last_week(in hours)"]


def rows(path):
    with open(path, "rb") as probe:
        opener = gzip.open if probe.read(2) == b"\x1f\x8b" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def instant(text):
    text = text.replace(" UTC", "").replace("Z", "").replace("T", " ")
    whole, _, fraction = text.partition(".")
    at = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return at + timedelta(microseconds=int(fraction.ljust(6, "0")) if fraction else 0)


def seconds(text):
    parts = [int(part) for part in text.split(":")] + [0]
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def to_utc(day, second, zone, closing):
    local = datetime.combine(day, time()) + timedelta(seconds=second)
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    # In a gap the reading with the old offset (fold 0) is the later instant; in an overlap it is the earlier.
    return second if closing and second > first else first


def open_spans(hours, zone, start, end):
    """Disjoint spans of [start, end) in which the store is open."""
    if not hours:
        return [(start, end)]
    spans, day = [], start.astimezone(zone).date() - timedelta(days=2)
    while day <= end.astimezone(zone).date():
        for opens, closes in hours.get(day.weekday(), []):
            if closes in (MIDNIGHT - 60, MIDNIGHT - 1):
                closes = MIDNIGHT
            if closes <= opens:
                closes += MIDNIGHT
            spans.append((max(start, to_utc(day, opens, zone, False)), min(end, to_utc(day, closes, zone, True))))
        day += timedelta(days=1)
    merged = []
    for begin, finish in sorted(span for span in spans if span[0] < span[1]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], finish))
        else:
            merged.append((begin, finish))
    return merged


def totals(polls, hours, zone, start, end):
    """Microseconds up and down in [start, end)."""
    if not polls:
        return 0, 0
    spans = open_spans(hours, zone, start, end)
    # Each state holds from its poll to the next; the first reaches back for ever.
    begins = [datetime.min.replace(tzinfo=UTC)] + [at for at, _ in polls[1:]]
    result = {True: timedelta(), False: timedelta()}
    for (begin, finish), (_, active) in zip(zip(begins, begins[1:] + [end]), polls):
        for opens, closes in spans:
            result[active] += max(timedelta(), min(finish, closes) - max(begin, opens))
    return result[True] // MICROSECOND, result[False] // MICROSECOND


def figure(microseconds, unit):
    value = (Decimal(microseconds) / unit).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{value:f}".rstrip("0").rstrip(".")


def recompute(arguments):
    hours, zones, polls = defaultdict(lambda: defaultdict(list)), {}, defaultdict(dict)
    for row in rows(arguments.hours):
        day = int(row.get("day") or row["dayOfWeek"])
        hours[row["store_id"]][day].append((seconds(row["start_time_local"]), seconds(row["end_time_local"])))
    for row in rows(arguments.timezones):
        zones[row["store_id"]] = ZoneInfo(row["timezone_str"])
    for row in rows(arguments.polls):
        polls[row["store_id"]][instant(row["timestamp_utc"])] = row["status"].lower() == "active"
    end = instant(arguments.as_of) if arguments.as_of else max(max(of) for of in polls.values())
    windows = [(timedelta(hours=1), 60_000_000), (timedelta(hours=24), 3_600_000_000),
               (timedelta(hours=168), 3_600_000_000)]
    chicago = ZoneInfo("America/Chicago")
    for store in sorted({*hours, *zones, *polls}, key=str.encode):
        known = sorted((at, up) for at, up in polls.get(store, {}).items() if at <= end)
        pairs = [(totals(known, hours.get(store), zones.get(store, chicago), end - length, end), unit)
                 for length, unit in windows]
        label = "'" + store if store[0] in "=+-@\t\r" else store
        yield [label] + [figure(pair[side], unit) for side in (0, 1) for pair, unit in pairs]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--hours", "--timezones", "--polls"):
        parser.add_argument(name, required=True)
    parser.add_argument("--as-of", help="RFC 3339, UTC; left out: the newest poll")
    parser.add_argument("report", nargs="?")
    arguments = parser.parse_args()
    expected = recompute(arguments)
    if not arguments.report:
        csv.writer(sys.stdout, lineterminator="\n").writerows(itertools.chain([HEADER], expected))
        return 0
    with open(arguments.report, "rb") as file:
        data = file.read()
    lines = list(csv.reader(data.decode("utf-8").splitlines()))
    if b"\r" in data or not data.endswith(b"\n") or not lines or lines[0] != HEADER:
        print("the header or the line ends differ")
        return 1
    checked = agreed = differences = 0
    agreeing = [0] * (len(HEADER) - 1)
    for number, (want, got) in enumerate(itertools.zip_longest(expected, lines[1:]), start=2):
        checked += want is not None
        if want == got:
            agreed += 1
        else:
            differences += 1
            if differences <= 20:
                print(f"line {number}: expected {want}, the report has {got}")
        if want and got and want[0] == got[0]:
            agreeing = [count + (a == b) for count, a, b in zip(agreeing, want[1:], got[1:])]
    for name, count in zip(HEADER[1:], agreeing):
        print(f"{name}: {count} of {checked} agree")
    print(f"rows: {agreed} of {checked} agree in every figure; the report has {len(lines) - 1}")
    return 0 if differences == 0 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyError, ValueError) as problem:
        print(f"recompute_report: {problem!r}", file=sys.stderr)
        sys.exit(2)
