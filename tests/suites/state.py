"""What a server holds, table by table, and how two servers differ in it."""
import subprocess
from collections import Counter

from server import BIN

DATABASES = "select datname from pg_database where datallowconn and datname <> 'template1' order by 1"

#: Tables (each partition and child for itself), materialised views and sequences of the users.
RELATIONS = r"""
select format('%s %I.%I', c.relkind, n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'm', 'S') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
 order by 1
"""

#: Starts a relation's rows in the output; no row begins like this.
MARK = "\x01"


class Table:
    """The rows of a relation: each one a tuple of its columns' texts."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows

    def without(self, columns):
        """The rows without these columns, each with how often it is there."""
        kept = [i for i, name in enumerate(self.columns) if name not in columns]
        return Counter(tuple(row[i] for i in kept) for row in self.rows)


def read(server):
    """All relations of all databases of a running server, by `database.schema.name`."""
    tables = {}
    for database in server.psql(DATABASES).split("\n"):
        relations = [line.split(" ", 1) for line in server.psql(RELATIONS, database).split("\n") if line]
        script = ["set client_min_messages = error;"]
        for kind, name in relations:
            rows = f"select last_value, is_called from {name}" if kind == "S" else \
                f"select * from {'only ' if kind == 'r' else ''}{name}"
            script += [f"\\echo '{MARK}{name}'", f"copy ({rows}) to stdout with (header);"]
        done = subprocess.run(
            [BIN / "psql", "-AtqX", "-f", "-"], input="\n".join(script), check=True, encoding="utf-8",
            errors="surrogateescape", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=server.environment(database))
        for part in done.stdout.split(MARK)[1:]:
            name, *lines = part.rstrip("\n").split("\n")
            header, *rows = (tuple(line.split("\t")) for line in lines or [""])
            tables[f"{database}.{name}"] = Table(header, rows)
    return tables


def differing_rows(source, target, ignored=()):
    """How many rows are on one side alone, with a few of them for people; `None` where all are equal."""
    if source is None or target is None:
        return (1, ["no such table on the source" if source is None else "no such table on the target"])
    if source.columns != target.columns:
        return (1, [f"columns {source.columns} on the source, {target.columns} on the target"])
    here, there = source.without(ignored), target.without(ignored)
    lost, added = here - there, there - here
    count = max(lost.total(), added.total())
    samples = [f"- {row}" for row in list(lost)[:3]] + [f"+ {row}" for row in list(added)[:3]]
    return (count, samples) if count else None
