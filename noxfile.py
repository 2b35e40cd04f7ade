"""`nox` runs the tests on every interpreter found; `nox -l` lists the other sessions.

What follows `--` goes to the tool of the session: `nox -s tests-3.12 -- -k sctp -x`, `nox -s fuzz -- 30`.
Nothing is ever downloaded to be an interpreter.
"""

from __future__ import annotations

import atexit
import os
import pathlib
import shutil
import subprocess
import sys

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"  # uv when present; virtualenv brings its own pip, so no ensurepip
nox.options.download_python = "never"
nox.options.sessions = ["tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
ROOT = pathlib.Path(__file__).parent
RELEASED = ("3.11", "3.12", "3.13", "3.14", "3.15")  # of those that are not found the last line of a run tells

NODE_DATACHANNEL = "node-datachannel@0.33"

# --- interpreters ------------------------------------------------------------------------------------------------

_PROBE = (
    "import sys; v = sys.version_info; print(sys.implementation.name, v.releaselevel, f'{v.major}.{v.minor}',"
    "bool(getattr(sys, 'abiflags', '').count('t')))"
)


def _answers(executable: str, version: str) -> bool:
    """Whether this is a released CPython of that version that really runs: a pyenv shim may exist and exit with 127."""
    try:
        done = subprocess.run([executable, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.split() == ["cpython", "final", version, "False"]


def _find_interpreters() -> list[str]:
    """The versions from 3.11 on that run here, oldest first; PATH is extended so that nox finds the same ones."""
    home = pathlib.Path.home()
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    uv = pathlib.Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python"))
    folders = [*sorted(pyenv.glob("versions/3.*/bin"), reverse=True), *sorted(uv.glob("cpython-3.*/bin"), reverse=True)]
    os.environ["PATH"] = os.pathsep.join(
        [*map(str, folders), os.environ["PATH"], str(pathlib.Path(sys.executable).parent)]
    )
    found = []
    for minor in range(11, 30):
        version = f"3.{minor}"
        executable = shutil.which(f"python{version}")
        if executable is not None and _answers(executable, version):
            found.append(version)
    return found


PYTHONS = _find_interpreters()
if not PYTHONS:
    raise SystemExit("xp2p_trio needs CPython 3.11 or newer, and none was found in PATH, pyenv or uv")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
MAIN = RUNNING if RUNNING in PYTHONS else PYTHONS[0]  # the interpreter of every session but `tests`
EXTENSIONS = [version for version in PYTHONS if version in ("3.11", "3.12", "3.13", "3.14")]  # wheels of atheris and av
NATIVE = MAIN if MAIN in EXTENSIONS or not EXTENSIONS else EXTENSIONS[0]

_results: dict[str, str] = {}


def _summarise() -> None:
    """The last line of a run that had tests in it: what really ran."""
    if not _results:
        return
    versions = [version for version in {**dict.fromkeys(RELEASED), **dict.fromkeys(PYTHONS)} if version not in _results]
    parts = [
        f"{title}: {', '.join(names)}"
        for title, names in (
            ("tests ran on", [version for version, result in _results.items() if result == "passed"]),
            ("failed on", [version for version, result in _results.items() if result == "failed"]),
            ("found, not asked for", [version for version in versions if version in PYTHONS]),
            ("not found", [version for version in versions if version not in PYTHONS]),
        )
        if names
    ]
    sys.stderr.flush()
    print("; ".join(parts), flush=True)


atexit.register(_summarise)


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


# --- tests -------------------------------------------------------------------------------------------------------


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run pytest on every interpreter found."""
    version = str(session.python)
    _results[version] = "failed"
    session.install("-e", ".[cli]", *_group("test"))
    session.run("pytest", *session.posargs)
    _results[version] = "passed"


@nox.session(python=MAIN)
def slow(session: nox.Session) -> None:
    """Run the tests that take minutes."""
    session.install("-e", ".[cli]", *_group("test"))
    session.run("pytest", "-m", "slow", "--timeout=1800", *session.posargs, success_codes=[0, 5])


@nox.session(python=MAIN)
def coverage(session: nox.Session) -> None:
    """Measure which lines and branches the tests reach."""
    session.install("-e", ".[cli]", *_group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


# --- static ------------------------------------------------------------------------------------------------------

# ASYNC910 to 914 demand a checkpoint on every path of every async function; where that holds it is tested at run time
# (assert_checkpoints). ASYNC114 wants a list of every startable function. ASYNC124 wants a function without `await` to
# be sync, which a test need not be, and ASYNC128 does not see a task status that is passed on; a test's groups and its
# ends are plain enough without ASYNC102 and 401.
NOT_ASYNC_RULES = {
    "xp2p_trio": "ASYNC91,ASYNC114",
    "docs": "ASYNC91,ASYNC114",
    "tests": "ASYNC91,ASYNC102,ASYNC114,ASYNC124,ASYNC128,ASYNC401",
}
SAFE_GENERATORS = "asynccontextmanager,contextlib.asynccontextmanager,trio.as_safe_channel,pytest.fixture"


@nox.session(python=MAIN)
def lint(session: nox.Session) -> None:
    """Run ruff, its formatter, and flake8-async, which has three times as many async rules."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    for folder, disabled in NOT_ASYNC_RULES.items():
        names = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(f"{folder}/**/*.py"))
        session.log(f"flake8-async over {len(names)} files of {folder}")
        session.run(
            "flake8-async", "--enable=ASYNC", f"--disable={disabled}",
            f"--transform-async-generator-decorators={SAFE_GENERATORS}", *names, log=False,
        )  # fmt: skip


@nox.session(python=MAIN)
def types(session: nox.Session) -> None:
    """Run mypy --strict over the package, the typing tests and the example programs."""
    session.install("-e", ".[cli]", *_group("types"))
    session.run("mypy", "--strict", "--python-version", "3.11", "-p", "xp2p_trio")
    for folder in ("tests/typing", "docs/examples"):
        if files := sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(f"{folder}/*.py")):
            session.run("mypy", "--strict", "--python-version", "3.11", *files)


@nox.session(python=MAIN)
def architecture(session: nox.Session) -> None:
    """Check the floors: who may import whom, and that nothing below the driver has a clock, randomness or trio."""
    session.install("-e", ".[cli]", *_group("architecture"))
    session.run("lint-imports", "--no-cache")
    session.run("ruff", "check", "--select", "TID251", "xp2p_trio")
    session.run("pytest", "tests/architecture")


# --- long runs ---------------------------------------------------------------------------------------------------


@nox.session(python=NATIVE)
def fuzz(session: nox.Session) -> None:
    """Run every fuzz target for a while: `-- 30` is 30 seconds each (10 when not said), `-- 30 stun sdp` only those."""
    seconds, *wanted = session.posargs or ["10"]
    targets = sorted(ROOT.glob("fuzz/fuzz_*.py"))
    if wanted:
        targets = [target for target in targets if any(name in target.stem for name in wanted)]
    if not targets:
        session.error(f"no fuzz target in fuzz/ matches {wanted}")
    if not sys.platform.startswith("linux"):
        session.skip("atheris has wheels for Linux only")
    session.install("-e", ".[cli]", *_group("fuzz"), *_group("test"))
    work = pathlib.Path(session.create_tmp()).resolve()
    for target in targets:
        name = target.stem.removeprefix("fuzz_")
        found = work / name  # new inputs go here; the corpus beside the targets is only read
        found.mkdir(exist_ok=True)
        corpus = ROOT / "fuzz/corpus" / name
        session.run(
            "python", "-m", f"fuzz.{target.stem}", f"-max_total_time={seconds}", f"-artifact_prefix={work}/{name}-",
            "-print_final_stats=1", "-verbosity=0", str(found), *([str(corpus)] if corpus.is_dir() else []),
        )  # fmt: skip
    session.log(f"fuzzed {len(targets)} targets, {seconds} s each: {', '.join(target.stem for target in targets)}")


@nox.session(python=NATIVE)
def bench(session: nox.Session) -> None:
    """Measure goodput, message rate, round trip and time to open, beside aiortc in the same run."""
    session.install("-e", ".[cli]", *_group("bench"))
    if not _has_turnserver():
        _install_coturn(session)
    stun = ["--stun"] if _has_turnserver() else []
    if not stun:
        session.warn("coturn is missing: the time to open with STUN servers is not measured")
    session.run("python", "-m", "tests.benchmarks.run", *stun, *session.posargs)


@nox.session(python=NATIVE)
def interop(session: nox.Session) -> None:
    """Talk to aiortc, node-datachannel, Chromium, OpenSSL and coturn, and through real NATs where the machine has them.

    `-- --allow-missing` forgives an absent peer.
    """
    arguments = list(session.posargs)
    allow_missing = "--allow-missing" in arguments
    if allow_missing:
        arguments.remove("--allow-missing")
    session.install("-e", ".[cli]", *_group("test"))
    missing = []
    try:
        session.install(*_group("interop"))
    except nox.command.CommandFailed:
        missing.append("aiortc")
    environment = {}
    if node_modules := _install_node_datachannel(session):
        environment["XP2P_NODE_MODULES"] = node_modules
    else:
        missing.append("node-datachannel")
    if _find_chromium() is None:
        _apt_install(session, "chromium")
    if chromium := _find_chromium():
        environment["XP2P_CHROMIUM"] = chromium
    else:
        missing.append("Chromium")
    if not _has_turnserver():
        _install_coturn(session)
    if not _has_turnserver():
        missing.append("coturn")
    if not all(map(shutil.which, ("ip", "nft"))):
        _apt_install(session, "iproute2", "nftables")
    why_not = "from tests.interop.namespaces import missing; print(missing())"
    if reason := str(session.run("python", "-c", why_not, silent=True)).strip():
        session.warn(f"real NATs are skipped: {reason}")
    if missing:
        session.warn(f"peers that could not be installed: {', '.join(missing)}")
    session.run("pytest", "-m", "interop", "--timeout=300", *arguments, env=environment)
    if missing and not allow_missing:
        session.error(f"not every peer was there: {', '.join(missing)} missing")


def _find_chromium() -> str | None:
    candidates = (os.environ.get("XP2P_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


def _has_turnserver() -> bool:
    return shutil.which("turnserver", path=os.pathsep.join([os.environ["PATH"], "/usr/bin"])) is not None


def _install_coturn(session: nox.Session) -> None:
    """Debian starts what it installs, a TURN server for everyone; the tests start their own on ports of their own."""
    _apt_install(session, "coturn")
    if not _has_turnserver() or not pathlib.Path("/run/systemd/system").is_dir():
        return
    try:
        session.run("systemctl", "disable", "--now", "coturn", external=True, silent=True)
    except nox.command.CommandFailed:
        session.warn("coturn is installed, and its service could not be stopped")


def _install_node_datachannel(session: nox.Session) -> str | None:
    """The folder `node_modules` that holds it. Its binary is a package of the registry, so no install script is run."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _apt_install(session, "nodejs", "npm")
    npm = shutil.which("npm")
    if npm is None:
        return None
    folder = pathlib.Path(session.create_tmp()).resolve() / "npm"
    folder.mkdir(exist_ok=True)
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
    try:
        session.run(npm, "install", *options, NODE_DATACHANNEL, external=True, silent=True)
    except nox.command.CommandFailed:
        return None
    return str(folder / "node_modules")


def _apt_install(session: nox.Session, *packages: str) -> None:
    """Install Debian packages if we may; whoever needs them finds out whether it worked."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    try:
        session.run("apt-get", "update", "-q", external=True, silent=True)
        session.run(
            "apt-get", "install", "-q", "-y", "--no-install-recommends", *packages,
            external=True, silent=True, env={"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
    except nox.command.CommandFailed:
        session.warn(f"apt-get could not install {' '.join(packages)}")


# --- what is handed out ------------------------------------------------------------------------------------------


@nox.session(python=MAIN)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error. Needs no network."""
    session.install("-e", ".[cli]", *_group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session(python=MAIN)
def fresh(session: nox.Session) -> None:
    """Build sdist and wheel, install the wheel in an empty environment, and run the demo from there."""
    session.install("build", *PROJECT["build-system"]["requires"], "virtualenv")
    work = pathlib.Path(session.create_tmp()).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    session.run("python", "-m", "build", "--no-isolation", "--outdir", str(work / "dist"), str(ROOT))
    (wheel,) = (work / "dist").glob("*.whl")
    session.run("python", "-m", "virtualenv", "-q", str(work / "venv"))
    session.run(
        str(work / "venv/bin/python"), "-m", "pip", "install", "-q", f"xp2p-trio[cli] @ {wheel.as_uri()}", external=True
    )
    session.chdir(work)
    session.run(str(work / "venv/bin/xp2p-trio"), "demo", external=True)
