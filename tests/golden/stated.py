#!/usr/bin/env python3
"""Golden totals of the published figures, computed from config/stated/published.csv without any code of the product.

    python3 tests/golden/stated.py > tests/golden/stated.csv

A value of a later version stands in the place of an earlier one. Sums are exact decimals.
"""
import collections
import csv
import decimal
import pathlib

root = pathlib.Path(__file__).resolve().parents[2]


def rows(name):
    with open(root / name, encoding="utf-8") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def until(month, quarters):
    year, number = map(int, month.split("-"))
    months = year * 12 + number - 1 + 3 * quarters
    return f"{months // 12:04d}-{months % 12 + 1:02d}-01"


department = {row["number"]: row["department"] for row in rows("config/catalogue/services.csv")}
said = collections.defaultdict(list)
for row in rows("config/stated/published.csv"):
    for quarter, text in enumerate(row["values"].split(" ")):
        if text:
            key = (row["service"], row["metric"], int(row["months"]), until(row["until"], quarter))
            said[key].append((row["published"], text))

total = collections.defaultdict(lambda: [0, 0, 0, decimal.Decimal(0)])
for (service, metric, months, end), versions in said.items():
    versions.sort()
    texts = [text for _, text in versions]
    changes = sum(1 for a, b in zip(texts, texts[1:]) if a != b)
    for group in ("all", department[service]):
        line = total[(metric, months, end, group)]
        if texts[-1] in "-*":
            line[1] += 1
        else:
            line[0] += 1
            line[3] += decimal.Decimal(texts[-1])
        line[2] += 1 if changes else 0

print("metric,months,end,department,figures,missing,revised,sum")
for (metric, months, end, group), (figures, missing, revised, value) in sorted(total.items()):
    print(f"{metric},{months},{end},{group},{figures},{missing},{revised},{value:f}")
