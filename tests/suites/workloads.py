"""The suites: what each one needs on the server before it begins, and what it runs."""
import os
import subprocess
from pathlib import Path

import software
from server import BIN

#: What pg_regress gives its sessions by the environment. The log does not tell, so kreplay needs it too.
REGRESS_OPTIONS = r"-c timezone=America/Los_Angeles -c datestyle=Postgres,MDY -c intervalstyle=postgres_verbose"


class Load:
    """Runs a suite's commands against a source, one after the other."""

    def __init__(self, server, folder):
        self.server, self.folder = server, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def run(self, command, database="app", may_fail=False, cwd=None, **environment):
        """Runs one to its end. What it prints goes to load.log of the suite's folder."""
        with open(self.folder / "load.log", "a") as log:
            done = subprocess.run(
                [str(word) for word in command], stdout=log, stderr=log, check=False, cwd=cwd or self.folder,
                env=self.server.environment(database, **environment))
        if done.returncode and not may_fail:
            raise SystemExit(f"{command[0]} failed, see {self.folder}/load.log")


class Regress:
    """PostgreSQL's own regression tests; their database is made in the log."""

    name, about = "regress", "PostgreSQL's regression tests"
    kreplay_environment = {"PGOPTIONS": REGRESS_OPTIONS}

    def prepare(self, load):
        software.postgres_tests()

    def load(self, load):
        tests = software.postgres_tests() / "regress"
        output = load.folder / "output"
        output.mkdir(exist_ok=True)
        output.chmod(0o777)
        # The server writes files there too.
        before = os.umask(0)
        load.run([software.PGXS / "regress/pg_regress", f"--inputdir={tests}", f"--outputdir={output}",
                  f"--dlpath={tests}", f"--bindir={BIN}", "--host=127.0.0.1", f"--port={load.server.port}",
                  "--user=postgres", "--max-concurrent-tests=20", f"--schedule={tests}/parallel_schedule"],
                 may_fail=True)
        os.umask(before)


class Isolation:
    """PostgreSQL's isolation tests: sessions that wait for each other."""

    name, about = "isolation", "PostgreSQL's isolation tests"
    kreplay_environment = {"PGOPTIONS": REGRESS_OPTIONS}

    def prepare(self, load):
        software.postgres_tests()

    def load(self, load):
        tests = software.postgres_tests() / "isolation"
        load.run([software.PGXS / "isolation/pg_isolation_regress", f"--inputdir={tests}",
                  f"--outputdir={load.folder}", f"--bindir={BIN}", "--host=127.0.0.1",
                  f"--port={load.server.port}", "--user=postgres", f"--schedule={tests}/isolation_schedule"],
                 may_fail=True)


class Sysbench:
    """sysbench's write mixes: sessions that delete and insert the same keys."""

    kreplay_environment = {}
    TABLES, ROWS = 4, 10_000

    def __init__(self, name, about, *runs):
        self.name, self.about, self.runs = name, about, runs

    def prepare(self, load):
        load.server.psql("create database app")
        self.sysbench(load, "oltp_read_write", "prepare")

    def load(self, load):
        for script, threads, events in self.runs:
            self.sysbench(load, script, "run", f"--threads={threads}", f"--events={events}", "--time=0")

    def sysbench(self, load, script, command, *options):
        program, environment, scripts = software.sysbench()
        load.run([*program, scripts / f"{script}.lua", "--db-driver=pgsql", "--pgsql-host=127.0.0.1",
                  f"--pgsql-port={load.server.port}", "--pgsql-user=postgres", "--pgsql-db=app",
                  f"--tables={self.TABLES}", f"--table-size={self.ROWS}", "--rand-seed=7", *options, command],
                 **environment)


class Pgbench:
    """pgbench's TPC-B in its modes, over partitions and foreign keys."""

    name, about = "pgbench", "pgbench: all modes, partitions, foreign keys, reconnecting"
    kreplay_environment = {}

    def prepare(self, load):
        load.server.psql("create database app")
        load.run([BIN / "pgbench", "-i", "-q", "-s", "4", "--partitions=4", "--foreign-keys"])

    def load(self, load):
        for mode in ("simple", "extended", "prepared"):
            load.run([BIN / "pgbench", "-n", "-M", mode, "-c", "8", "-t", "600"])
        load.run([BIN / "pgbench", "-n", "-S", "-M", "prepared", "-c", "8", "-t", "2000"])
        load.run([BIN / "pgbench", "-n", "-C", "-c", "4", "-t", "60"])


class Serializable:
    """TPC-B by serializable transactions, those that fail tried again."""

    name, about = "serializable", "pgbench: serializable and repeatable read transactions"
    kreplay_environment = {}

    def prepare(self, load):
        for database, level in (("app", "serializable"), ("repeatable", "repeatable read")):
            load.server.psql(f"create database {database}")
            load.server.psql(f"alter database {database} set default_transaction_isolation = '{level}'")
            load.run([BIN / "pgbench", "-i", "-q", "-s", "4"], database=database)

    def load(self, load):
        for database in ("app", "repeatable"):
            for mode in ("simple", "prepared"):
                load.run([BIN / "pgbench", "-n", "-M", mode, "-c", "8", "-t", "400", "--max-tries=20"],
                         database=database)


class Django:
    """Django's own tests: thousands of short transactions, savepoints, schema changes."""

    name, about = "django", "Django's tests of some apps"
    kreplay_environment = {}
    VERSION = "5.2.19"
    APPS = ("aggregation", "backends", "basic", "bulk_create", "constraints", "delete", "expressions", "get_or_create",
            "lookup", "many_to_many", "migrations", "postgres_tests", "prefetch_related", "queries", "schema",
            "select_for_update", "transactions", "update")

    def prepare(self, load):
        self.python()
        for database in ("dj", "dj2"):
            load.server.psql(f"create database {database}")

    def python(self):
        return software.python("django", software.sdist("django", self.VERSION), "psycopg[binary]", "jinja2", "pillow")

    def load(self, load):
        databases = {alias: {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "postgres",
                             "HOST": "127.0.0.1", "PORT": load.server.port}
                     for alias, name in (("default", "dj"), ("other", "dj2"))}
        (load.folder / "of_kreplay.py").write_text(
            f"DATABASES = {databases!r}\nSECRET_KEY = 'tests'\nUSE_TZ = False\n"
            "DEFAULT_AUTO_FIELD = 'django.db.models.AutoField'\n"
            "PASSWORD_HASHERS = ['django.contrib.auth.hashers.MD5PasswordHasher']\n")
        # Its databases are made in the log, and kept.
        tests = software.sdist("django", self.VERSION) / "tests"
        load.run([self.python(), tests / "runtests.py", "--settings=of_kreplay", "--parallel=1", "--keepdb",
                  "--noinput", *self.APPS], may_fail=True, cwd=tests, PYTHONPATH=str(load.folder), PYTHONHASHSEED="0")


class SqlAlchemy:
    """SQLAlchemy's own tests: types, prepared transactions, schema changes by the thousand."""

    name, about = "sqlalchemy", "SQLAlchemy's tests of queries, transactions and units of work"
    kreplay_environment = {}
    VERSION = "2.1.9"
    TESTS = ("test/dialect/postgresql/test_dialect.py", "test/dialect/postgresql/test_on_conflict.py",
             "test/dialect/postgresql/test_query.py", "test/engine/test_transaction.py",
             "test/sql/test_insert_exec.py", "test/sql/test_returning.py", "test/orm/test_unitofwork.py",
             "test/orm/test_versioning.py")

    def prepare(self, load):
        self.python()
        load.server.psql("create database test")
        for sql in ("create schema test_schema", "create schema test_schema_2", "create extension hstore",
                    "create extension citext", "alter database test set password_encryption = 'scram-sha-256'",
                    "alter database test set default_text_search_config = 'pg_catalog.english'"):
            load.server.psql(sql, "test")

    def python(self):
        return software.python("sqlalchemy", software.sdist("sqlalchemy", self.VERSION), "psycopg2-binary", "pytest",
                               "greenlet")

    def load(self, load):
        load.run([self.python(), "-m", "pytest", "-q", "-p", "no:cacheprovider",
                  f"--dburi=postgresql+psycopg2://postgres@127.0.0.1:{load.server.port}/test", "--backend-only",
                  *self.TESTS], database="test", may_fail=True, cwd=software.sdist("sqlalchemy", self.VERSION),
                 PYTHONHASHSEED="0")


SUITES = [
    Regress(),
    Isolation(),
    Sysbench("sysbench-8", "sysbench: read_write, write_only, update_index by 8 threads",
             ("oltp_read_write", 8, 2_000), ("oltp_write_only", 8, 4_000), ("oltp_update_index", 8, 10_000)),
    Sysbench("sysbench-16", "sysbench: read_write, write_only, update_index by 16 threads",
             ("oltp_read_write", 16, 2_000), ("oltp_write_only", 16, 4_000), ("oltp_update_index", 16, 10_000)),
    Pgbench(),
    Serializable(),
    SqlAlchemy(),
    Django(),
]
