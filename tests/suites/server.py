"""A private PostgreSQL 15 on loopback: made once, copied for the source and for each target."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(os.environ.get("KREPLAY_PG_BIN", "/usr/lib/postgresql/15/bin"))
#: Outgoing connections have their ports above these.
PORTS = range(21000, 32000)

SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "'4GB'",
    "shared_buffers": "'256MB'",
    "max_connections": 200,
    "max_prepared_transactions": 20,
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
}

#: What a source needs for a log that can be replayed.
LOGGING = {
    "logging_collector": "on",
    "log_destination": "csvlog",
    "log_directory": "log",
    "log_filename": "source.log",
    "log_rotation_size": 0,
    "log_rotation_age": 0,
    "log_min_duration_statement": 0,
    "log_connections": "on",
    "log_disconnections": "on",
    "log_parameter_max_length_on_error": -1,
}

#: Settings of whoever runs this must not reach the suites.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "KREPLAY_"))}


def free_port():
    """A port that nothing listens on."""
    start = os.getpid() % len(PORTS)
    for port in [*PORTS[start:], *PORTS[:start]]:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    sys.exit("no free port")


def as_server(command):
    """A server does not run as root, and ends with its starter."""
    account = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
    return ["setpriv", *account, "--pdeathsig", "QUIT", *map(str, command)]


class Server:
    """A data folder, and the server that runs on it."""

    def __init__(self, folder):
        self.folder, self.port, self.process = Path(folder), None, None

    @classmethod
    def make(cls, folder):
        """A new cluster, not started."""
        server = cls(folder)
        server.delete()
        server.folder.mkdir(parents=True)
        if os.getuid() == 0:
            shutil.chown(server.folder, "postgres", "postgres")
        subprocess.run(
            as_server([BIN / "initdb", "-D", server.folder, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                       "--no-locale", "-N"]),
            check=True, stdout=subprocess.DEVNULL)
        with open(server.folder / "postgresql.conf", "a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
        return server

    def copy(self, folder):
        """The same state once more: object ids, roles and all."""
        other = Server(folder)
        other.delete()
        subprocess.run(["cp", "-a", self.folder, other.folder], check=True)
        return other

    def start(self, **settings):
        """Starts it, and waits until it lets clients in."""
        self.port = free_port()
        options = [f"--{name}={value}" for name, value in {"port": self.port, **settings}.items()]
        with open(self.folder / "server.log", "a") as log:
            self.process = subprocess.Popen(
                as_server([BIN / "postgres", "-D", self.folder, *options]), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd="/", env=ENVIRONMENT)
        while self.process.poll() is None:
            ready = subprocess.run([BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False)
            if ready.returncode == 0:
                return self
            time.sleep(0.05)
        sys.exit(f"the server does not start, see {self.folder}/server.log")

    def stop(self):
        """Stops it so that its log is whole."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
        self.process = None

    def delete(self):
        """Stops it and removes its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, database="postgres", **more):
        """How libpq's clients find it."""
        return {**ENVIRONMENT, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres",
                "PGDATABASE": database, **more}

    def psql(self, sql, database="postgres"):
        """What `sql` answers, unaligned."""
        return subprocess.run(
            [BIN / "psql", "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", sql], check=True, text=True,
            stdout=subprocess.PIPE, env=self.environment(database)).stdout.rstrip("\n")

    def source_log(self):
        """The csvlog that it wrote."""
        return self.folder / "log" / "source.csv"
