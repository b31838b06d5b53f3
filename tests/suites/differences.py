"""Differences between a source and its replay, and which of them are known."""
import json
import re
import tomllib
from pathlib import Path

import state

KNOWN = Path(__file__).with_name("known.toml")
ERRORS = ("new_error", "fixed_error", "other_error")
LOSSES = ("skipped", "given_up", "rejected")
#: How much of a statement tells its shape, and how much is shown.
SHAPE, SHOWN = 60, 250


class Known:
    """The list of known differences of one suite in one order."""

    def __init__(self, suite, order):
        entries = tomllib.loads(KNOWN.read_text()).get("difference", [])
        self.entries = [e for e in entries if e["suite"] == suite and e.get("order", order) == order]
        self.seen = {}

    def explains(self, kind, what, count, codes=""):
        """Whether an entry explains this one; notes that it happened."""
        for index, entry in enumerate(self.entries):
            if entry["kind"] == kind and re.fullmatch(entry["what"], what, re.S) \
                    and re.fullmatch(entry.get("codes", ".*"), codes):
                self.seen[index] = self.seen.get(index, 0) + count
                return self.seen[index] <= entry.get("at_most", self.seen[index])
        return False

    def columns(self, table):
        """The columns of a table that are known to differ."""
        return {column for entry in self.entries if entry["kind"] == "rows" and re.fullmatch(entry["what"], table)
                for column in entry.get("columns", [])}

    def gone(self):
        """The entries that should have happened and did not."""
        return [f"{e['kind']} {e['what']}" for index, e in enumerate(self.entries)
                if e.get("always", True) and index not in self.seen]


def of_rows(known, source, target):
    """Differing tables: texts of the unknown ones, and how many rows differ in all."""
    unknown, total = [], 0
    for table in sorted(source.keys() | target.keys()):
        sides = source.get(table), target.get(table)
        found = state.differing_rows(*sides)
        if found is None:
            continue
        total += found[0]
        columns = known.columns(table)
        rest = state.differing_rows(*sides, columns) if columns else found
        if known.explains("rows", table, found[0]) and not (columns and rest):
            continue
        unknown.append("\n    ".join([f"rows {table}: {rest[0] if rest else found[0]}", *(rest or found)[1]]))
    return unknown, total


def of_outcomes(known, report, log):
    """Statements that ended otherwise than on the source: texts of the unknown ones, those of one shape together."""
    unknown = {}
    for line in log:
        fields = json.loads(line) if line.startswith("{") else {}
        if fields.get("message") != "differs" or fields["outcome"] not in ERRORS:
            continue
        kind, sql = fields["outcome"], " ".join(fields["sql"].split())
        codes = f"{fields['source_sqlstate']} > {fields['target_sqlstate']}"
        if not known.explains(kind, sql, 1, codes):
            shape = (kind, codes, re.sub(r"\d+|'(?:[^']|'')*'", "?", sql)[:SHAPE])
            unknown.setdefault(shape, []).append(f"{fields['place'].rpartition(', ')[2]}: {sql[:SHOWN]}")
    texts = [f"{kind} {len(found)} times, {codes} ({found[0]})" for (kind, codes, _), found in unknown.items()]
    for kind in LOSSES:
        for reason, count in report["records"][kind]["reasons"].items():
            if count and not known.explains(kind, reason, count):
                texts.append(f"{kind} {count} times: {reason}")
    return texts
