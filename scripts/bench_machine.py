"""Records what a measurement depends on besides the code: machine, versions, load."""
import hashlib, importlib.metadata, os, pathlib, platform, shlex, subprocess, sys, time


def cpu():
    info = pathlib.Path("/proc/cpuinfo")
    fields = (line.partition(":") for line in info.read_text().splitlines()) if info.exists() else ()
    return next((value.strip() for name, _, value in fields if name.strip() == "model name"), platform.processor())


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def facts(mbn):
    return {
        "cpu": cpu(),
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "system": platform.platform(),
        "mbn": f"{first_line(mbn, '--version')}, program {digest(mbn)}",
        "rustc": first_line("rustc", "-V"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }


def start_record(path, mbn):
    """Writes the facts, the program's commit among them, or checks that they equal those of earlier measurements; then adds date, load and command."""
    known = "".join(f"{name}: {value}\n" for name, value in facts(mbn).items())
    old = path.read_text() if path.exists() else ""
    if old and not old.startswith(known):
        sys.exit(f"error: {path.parent} holds measurements of another program or machine (see {path}); choose another folder")
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    begun = time.strftime("%Y-%m-%d %H:%M:%S %z")
    path.write_text(f"{old or known}begun: {begun}, load average {load}: {shlex.join(sys.argv)}\n")
