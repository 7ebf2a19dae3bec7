"""Measurements of `bench.py`: each in a process of its own, each written to disk before the next one starts."""
import csv, os, pathlib, shlex, subprocess, sys, time

from bench_plan import Cell

HERE = pathlib.Path(__file__).resolve().parent
# How often peak memory and start-up time are measured.
REPEATS, STARTS = 3, 30


class Log:
    """Rows of a CSV file by key; after every row, the file is written under another name and renamed."""

    def __init__(self, path, key):
        self.path, self.key, self.rows = path, key, {}
        if path.exists():
            with path.open(newline="") as f:
                self.rows = {key(row): row for row in csv.DictReader(f)}

    def put(self, row):
        self.rows[self.key(row)] = row
        new = self.path.with_suffix(".new")
        with new.open("w", newline="") as f:
            writer = csv.DictWriter(f, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows.values())
        new.replace(self.path)


def rates_log(path):
    return Log(path, lambda row: (int(row["round"]), Cell.of(row)))


def processes_log(path):
    return Log(path, lambda row: (row["what"], row["program"], int(row["batch_size"] or 0), int(row["repeat"])))


def command(cell, mbn, seconds):
    program = [mbn, "bench"] if cell.program == "mbn" else [sys.executable, str(HERE / "torch_baseline.py")]
    flags = {"models": cell.model, "norms": cell.norm, "batch-sizes": cell.batch_size, "threads": cell.threads, "seconds": seconds}
    flags = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    return program + flags + ["--eval"] * (cell.work == "eval")


def check(command, code, message):
    """Exits with the message of a command that failed."""
    if code:
        sys.exit(f"error: {shlex.join(command)}: exit code {code}\n{message.strip()}")


def output(command, stderr=subprocess.PIPE):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    check(command, done.returncode, done.stderr or done.stdout)
    return done.stdout


def measured(cell, mbn, seconds):
    """The row that a program prints for a cell."""
    (row,) = csv.DictReader(output(command(cell, mbn, seconds)).splitlines())
    return row


def measure_rates(log, part, mbn, progress):
    """Measures the rounds of a part that are not in `log` yet. An interrupted chain is measured again as a whole."""
    for turn in range(part.rounds):
        for chain in part.chains:
            if all((turn, cell) in log.rows for cell in chain):
                progress.skip()
                continue
            for cell in chain if turn % 2 == 0 else reversed(chain):
                log.put({"round": turn, **measured(cell, mbn, part.seconds), "pass": cell.work})
            norms = ", ".join(dict.fromkeys(cell.norm for cell in chain))
            name = f"{chain[0].model}, {norms}, batch size {chain[0].batch_size}"
            progress.show(f"{part.file} round {turn + 1}/{part.rounds}: {name}")


def peak_mib(command):
    """Peak resident set size of a process. It starts at that of its parent (some 13 MiB), so this script must stay small."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    check(command, process.returncode, message)
    return usage.ru_maxrss / 1024


def wall_ms(command):
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return 1e3 * (time.perf_counter() - begun)


def measure_processes(log, cells, mbn, progress):
    """Peak memory of processes that measure `cells`, and the time of `mbn --help` (`true`: that of starting any process)."""
    def put(what, program, batch_size, repeat, unit, value):
        row = {"what": what, "program": program, "batch_size": batch_size, "repeat": repeat, "unit": unit}
        if log.key(row) not in log.rows:
            log.put({**row, "value": f"{value():.3f}"})

    for repeat in range(STARTS):
        put("start", "mbn --help", "", repeat, "ms", lambda: wall_ms([mbn, "--help"]))
        put("start", "true", "", repeat, "ms", lambda: wall_ms(["true"]))
    for repeat in range(REPEATS):
        for cell in cells:
            put("peak memory", cell.program, cell.batch_size, repeat, "MiB", lambda: peak_mib(command(cell, mbn, 0.5)))
        progress.show(f"{log.path.name} repeat {repeat + 1}/{REPEATS}")


def measure_profiles(path, mbn, flags, seconds):
    """The time of a step by operation, as `mbn bench --profile` prints it."""
    with path.open("w") as f:
        for line in flags:
            call = f"bench --profile {line} --seconds {seconds:g}".split()
            print(f"$ mbn {shlex.join(call)}\n{output([mbn, *call], stderr=subprocess.STDOUT)}", file=f, flush=True)
