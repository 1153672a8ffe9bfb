"""Recounts the figures of the Transactions Explorer from the files of config/, sharing no code with the platform.

    python3 tests/golden/explorer.py > tests/golden/explorer.json
    python3 tests/golden/explorer.py --annual annual.csv      # compares with the merged table of the source as well

The gateway's tests compare every figure of explorer.json with what pages show. Money is in millionths of a pound.
"""
import collections
import csv
import json
import pathlib
import sys
from datetime import date, timedelta
from decimal import Decimal

ROOT = pathlib.Path(__file__).resolve().parents[2] / "config"
METRICS = ("volume", "digital-volume", "cost-per-transaction")


def rows(path):
    lines = [line for line in (ROOT / path).read_text().splitlines() if line and not line.startswith("#")]
    return list(csv.DictReader(lines))


def quarter_later(month, n):
    year, month = map(int, month.split("-"))
    at = year * 12 + month - 1 + 3 * n
    return f"{at // 12:04}-{at % 12 + 1:02}"


# What was said, oldest first: (service, metric, months, first month after) -> [value].
said = collections.defaultdict(list)
for row in sorted(rows("stated/published.csv"), key=lambda row: row["published"]):
    for n, text in enumerate(row["values"].split(" ")):
        if text:
            key = (int(row["service"]), row["metric"], int(row["months"]), quarter_later(row["until"], n))
            if not said[key] or said[key][-1] != text:
                said[key].append(text)

now = {key: values[-1] for key, values in said.items()}


def number(service, metric, until):
    text = now.get((service, metric, 12, until), "-")
    return None if text in "-*" else Decimal(text)


WINDOWS = sorted({key[3] for key in now if key[1] == "volume" and key[2] == 12 and now[key] not in "-*"})
services = {int(row["number"]): row for row in rows("catalogue/services.csv")}
asked = [n for n, row in services.items() if row["origin"] == "published" or any(key[0] == n for key in now)]
history = collections.defaultdict(list)
for row in rows("catalogue/owners.csv"):
    if row["role"] == "owner":
        history[int(row["service"])].append(row)


def owner(service, day):
    for row in history[service]:
        if (not row["from"] or row["from"] <= day) and day < row["until"]:
            return row["department"]
    return services[service]["department"]


def last_day(until):
    year, month = map(int, until.split("-"))
    return (date(year, month, 1) - timedelta(days=1)).isoformat()


def volumes(service):
    return [(until, number(service, "volume", until)) for until in WINDOWS if number(service, "volume", until) is not None]


def year_of(service, to):
    """The window whose figures are shown: the one asked for, or the latest with a volume."""
    if to:
        return to if number(service, "volume", to) is not None else None
    found = volumes(service)
    return found[-1][0] if found else None


def sums(group, to):
    out = collections.Counter(services=len(group))
    for service in group:
        for until in [to] if to else WINDOWS:
            for metric in METRICS:
                text = now.get((service, metric, 12, until), "-")
                out["provided"] += text not in "-*"
                out["expected"] += text != "*"
        until = year_of(service, to)
        if until is None:
            continue
        out["older"] += until < WINDOWS[-1]
        volume = number(service, "volume", until)
        digital, cost = number(service, "digital-volume", until), number(service, "cost-per-transaction", until)
        out["with_volume"] += 1
        out["volume"] += int(volume)
        if digital is not None:
            out["with_digital"] += 1
            out["digital"] += int(digital)
            out["digital_of"] += int(volume)
        if cost is not None:
            out["with_cost"] += 1
            out["cost"] += int(volume * cost * 1_000_000)
    return dict(out)


def departments(to, then):
    groups = collections.defaultdict(list)
    for service in asked:
        until = year_of(service, to) or to
        who = owner(service, last_day(until)) if then and until else services[service]["department"]
        groups[who].append(service)
    return {name: sums(group, to) for name, group in sorted(groups.items())}


def service_figures(service):
    found = volumes(service)
    out = {"id": services[service]["id"], "department_then": None, "latest": None}
    if found:
        until, volume = found[-1]
        digital, cost = number(service, "digital-volume", until), number(service, "cost-per-transaction", until)
        out["latest"] = {
            "until": until,
            "volume": int(volume),
            "digital": None if digital is None else int(digital),
            "cost": None if cost is None else int(cost * 1_000_000),
            "before": None if len(found) < 2 else {"until": found[-2][0], "volume": int(found[-2][1])},
            "values_said": len(said[(service, "volume", 12, until)]),
        }
        out["department_then"] = owner(service, last_day(until))
    out["department_today"] = services[service]["department"]
    out["revised"] = sum(len(values) > 1 for key, values in said.items() if key[0] == service)
    return out


def chosen():
    """Services of every kind: large, with gaps, not requested, revised, with other owners, more digital than all, none."""
    picks = []

    def take(found, n):
        picks.extend([service for service in sorted(found) if service not in picks][:n])

    by_volume = sorted(asked, key=lambda s: -(volumes(s)[-1][1] if volumes(s) else -1))
    take(by_volume[:12], 12)
    take([s for s in asked if any(v == "*" for k, v in now.items() if k[0] == s)], 10)
    gaps = [s for s in asked if len(volumes(s)) >= 2 and WINDOWS.index(volumes(s)[-1][0]) - WINDOWS.index(volumes(s)[-2][0]) > 1]
    take(gaps, 15)
    take([s for s in asked if year_of(s, None) and len(said[(s, "volume", 12, year_of(s, None))]) > 1], 10)
    take([s for s in asked if volumes(s) and owner(s, last_day(volumes(s)[-1][0])) != services[s]["department"]], 15)
    more = [s for s in asked for u in WINDOWS if (number(s, "digital-volume", u) or 0) > (number(s, "volume", u) or 10**15)]
    take(set(more), 7)
    take([s for s in asked if not volumes(s)], 5)
    return picks


def compare_with_source(path):
    ids = {row["id"]: number for number, row in services.items()}
    wrong = 0
    for row in csv.DictReader(open(path)):
        for metric, column in zip(METRICS, ("volume", "digital_volume", "cost_per_transaction")):
            text = row[column]
            ours = number(ids[row["slug"]], metric, row["period_end"][:7])
            theirs = Decimal(text) if text else None
            if theirs is not None and ours != theirs:
                wrong += 1
                print(row["slug"], row["period_end"], metric, "source", theirs, "ours", ours, file=sys.stderr)
    print(f"{wrong} figures differ from the source", file=sys.stderr)
    return wrong


if __name__ == "__main__":
    if "--annual" in sys.argv:
        sys.exit(compare_with_source(sys.argv[sys.argv.index("--annual") + 1]) > 0)
    golden = {
        "windows": WINDOWS,
        "all": sums(asked, None),
        "today": departments(None, False),
        "then": departments(None, True),
        "year_to_march_2014_today": departments("2014-04", False),
        "year_to_march_2014_then": departments("2014-04", True),
        "high_volume": sum(1 for s in asked if services[s]["chosen"] == "yes" or (volumes(s) and volumes(s)[-1][1] > 750_000)),
        "values": sum(1 for key in now if key[2] in (3, 12)),
        "revised": sum(len(values) > 1 for values in said.values()),
        "services": [service_figures(service) for service in chosen()],
    }
    json.dump(golden, sys.stdout, indent=1, sort_keys=True)
    print()
