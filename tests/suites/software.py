"""Fetches what the suites are made of, once, into target/suites: nothing is installed on the machine."""
import os
import re
import subprocess
import sys
from pathlib import Path

from server import BIN

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/suites"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
#: Where the regression tests' binaries are, which Debian's postgresql-15 brings.
PGXS = BIN.parent / "lib/pgxs/src/test"


def succeeds(command, **more):
    """Runs something. What it says stays in target/suites/software.log."""
    with open(FOLDER / "software.log", "a") as log:
        return subprocess.run([str(word) for word in command], stdout=log, stderr=log, check=False,
                              **more).returncode == 0


def run(command, **more):
    """Runs what has to succeed."""
    if not succeeds(command, **more):
        sys.exit(f"{command[0]} failed, see {FOLDER}/software.log")


def apt(*words):
    """apt-get with lists of its own: deb-src, and nobody's configuration. Whether it succeeds."""
    apt_folder = FOLDER / "apt"
    (FOLDER / "archives").mkdir(parents=True, exist_ok=True)
    if not apt_folder.exists():
        (apt_folder / "lists/partial").mkdir(parents=True)
        (apt_folder / "archives/partial").mkdir(parents=True)
        release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
        if release is None:
            sys.exit("this is for Debian: PostgreSQL's sources and sysbench come from its archive")
        name = release.group(1)
        suites = [("debian", name), ("debian-security", f"{name}-security")]
        (apt_folder / "sources.list").write_text("".join(
            f"{kind} [signed-by={KEYRING}] http://deb.debian.org/{archive} {suite} main\n"
            for kind in ("deb", "deb-src") for archive, suite in suites))
        apt("update")
    return succeeds(
        ["apt-get", "-o", f"Dir::Etc::SourceList={apt_folder}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
         "-o", f"Dir::State::Lists={apt_folder}/lists", "-o", f"Dir::Cache={apt_folder}",
         "-o", "APT::Sandbox::User=root", "-qy", *words], cwd=FOLDER / "archives")


def fetch(command, package, version=None):
    """Fetches a package; the archive may hold another revision than the one that is wanted, or that is installed."""
    exact = version and apt(*command, f"{package}={version}")
    if not exact and not apt(*command, package):
        sys.exit(f"{package} can't be fetched, see {FOLDER}/software.log")


def unpacked(name, *packages, version=None):
    """A folder with the content of these packages."""
    folder = FOLDER / name
    if not folder.exists():
        for package in packages:
            fetch(["download"], package, version)
            file = max((FOLDER / "archives").glob(f"{package}_*.deb"), key=os.path.getmtime)
            run(["dpkg", "-x", file, folder])
    return folder


def postgres_version():
    """Of the server that is installed, as its package is called."""
    told = subprocess.run([BIN / "postgres", "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout
    found = re.search(r"\(Debian (\S+)\)", told)
    if found is None:
        sys.exit(f"not Debian's PostgreSQL: {told}")
    return found.group(1)


def postgres_tests():
    """src/test of the server's source, with regress.so built in it."""
    folder = FOLDER / "postgresql"
    tests = folder / "src/test"
    library = tests / "regress/regress.so"
    if not library.exists():
        version = postgres_version()
        fetch(["source", "--download-only"], "postgresql-15", version)
        source = max((FOLDER / "archives").glob("postgresql-15_*.orig.tar.bz2"), key=os.path.getmtime)
        folder.mkdir(exist_ok=True)
        run(["tar", "-xjf", source, "-C", folder, "--strip-components=1"])
        headers = unpacked("headers", "postgresql-server-dev-15", version=version) / "usr/include/postgresql"
        run(["cc", "-O1", "-w", "-fPIC", "-shared", f"-I{headers}/15/server", f"-I{headers}/internal",
             "-I/usr/include/postgresql", "-o", library, tests / "regress/regress.c"])
    return tests


def sysbench():
    """Its command, and the environment that it needs."""
    folder = unpacked("sysbench", "sysbench", "libaio1", "libluajit-5.1-2", "libmariadb3")
    machine = subprocess.run(["cc", "-print-multiarch"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    return ([str(folder / "usr/bin/sysbench")],
            {"LD_LIBRARY_PATH": str(folder / f"usr/lib/{machine}"),
             "LUA_PATH": f"{folder}/usr/share/sysbench/?.lua"},
            folder / "usr/share/sysbench")


def python(name, *packages):
    """The Python of an environment with these packages."""
    folder = FOLDER / f"python-{name}"
    if not (folder / "ready").exists():
        run([sys.executable, "-m", "venv", "--clear", folder])
        run([folder / "bin/pip", "install", "-q", *packages])
        (folder / "ready").touch()
    return folder / "bin/python"


def sdist(package, version):
    """The source of a Python package, unpacked."""
    folder = FOLDER / f"{package}-{version}"
    if not folder.exists():
        archives = FOLDER / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", archives,
             f"{package}=={version}"])
        run(["tar", "-xzf", archives / f"{package}-{version}.tar.gz", "-C", FOLDER])
    return folder
