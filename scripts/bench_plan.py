"""What `bench.py` measures and compares, and the targets."""
from dataclasses import dataclass, replace

# Images per second of mbn over PyTorch's, one thread: {(model, norm): {batch size: at least}}.
AGAINST_PYTORCH = {
    ("resnet20", "bn"): {1: 2.2, 2: 1.9, 8: 1.3, 32: 1.1, 128: 1.1},
    ("resnet20", "mbn"): {2: 3, 32: 1.7},
    ("resnet20", "mbn-df"): {2: 3, 32: 1.7},
    ("lenet", "bn"): {2: 4, 8: 2.5, 32: 1.5, 128: 1.5},
    ("lenet", "mbn-df"): {2: 6},
}

# Batch sizes of mbn against itself (bn refuses one image in lenet's fully connected layer).
BATCH_SIZES = {"resnet20": (1, 2, 8, 32, 128), "lenet": (2, 8, 32, 128)}
COST_OF_MBN, COST_OF_DOUBLE_FORWARD, TWO_THREADS, EVALUATION = 1.05, 1.34, 1.8, 3.0

# `mbn --help`, in milliseconds.
HELP = 10

# Flags of `mbn bench --profile`.
PROFILES = [
    "--models resnet20 --norms bn mbn mbn-df --batch-sizes 2 32 128",
    "--models lenet --norms bn mbn mbn-df --batch-sizes 2 32 128",
    "--models resnet20 --norms bn mbn-df --batch-sizes 2 128 --threads 2",
    "--models resnet20 lenet --norms bn --batch-sizes 2 128 --eval",
]


@dataclass(frozen=True)
class Cell:
    """One measurement: a row of either program's output."""
    program: str  # mbn or torch
    model: str
    norm: str
    batch_size: int
    threads: int = 1
    work: str = "train"  # or eval

    @classmethod
    def of(cls, row):
        """The cell of a CSV row; `impl` is the program and its version."""
        program = row["impl"].split("-")[0]
        return cls(program, row["model"], row["norm"], int(row["batch_size"]), int(row["threads"]), row["pass"])


# Peak memory; the smaller batch shows what the process takes in any case (PyTorch's: an interpreter and its libraries).
SMALL, LARGE = 1, 128
MEMORY = [Cell(program, "resnet20", "bn", size) for size in (SMALL, LARGE) for program in ("torch", "mbn")]


@dataclass(frozen=True)
class Comparison:
    """The ratio of two cells' images per second; where it is a cost, `over` is the cheaper one."""
    title: str
    over: Cell
    under: Cell
    at_least: float | None = None
    at_most: float | None = None

    def target(self):
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def reached(self, ratio):
        """Whether the target is reached, by the two digits that are shown; None without a target."""
        ratio = round(ratio, 2)
        if self.at_least is not None:
            return ratio >= self.at_least
        return None if self.at_most is None else ratio <= self.at_most


@dataclass(frozen=True)
class Part:
    """Chains of cells, each measured as a whole, in alternating order (A B, B A); every comparison is within a chain."""
    file: str
    chains: list
    comparisons: list
    rounds: int
    seconds: float


def against_pytorch(models, norms, batch_sizes, rounds, seconds):
    """The cells asked for, by default those with a target."""
    targets = {(m, n, b): t for (m, n), sizes in AGAINST_PYTORCH.items() for b, t in sizes.items()}
    wanted = list(targets)
    if models or norms or batch_sizes:
        models, norms = models or ["resnet20", "lenet"], norms or ["bn", "mbn", "mbn-df"]
        wanted = [(m, n, b) for m in models for n in norms for b in batch_sizes or (1, 2, 8, 32, 128)]
    chains, comparisons = [], []
    for cell in wanted:
        theirs, ours = Cell("torch", *cell), Cell("mbn", *cell)
        chains.append([theirs, ours])
        comparisons.append(Comparison("mbn / PyTorch", ours, theirs, at_least=targets.get(cell)))
    return Part("runs.csv", chains, comparisons, rounds, seconds)


def within(models, batch_sizes, rounds, seconds):
    """mbn against itself: the cost of MBN and Double-Forward, the gain of a second thread, evaluation against training."""
    chains, by_title = [], {}
    known = BATCH_SIZES["resnet20"]
    cells = [(m, b) for m in models or BATCH_SIZES for b in batch_sizes or BATCH_SIZES.get(m, known)]
    for model, size in cells:
        bn, mbn, df = (Cell("mbn", model, norm, size) for norm in ("bn", "mbn", "mbn-df"))
        bn2, df2 = replace(bn, threads=2), replace(df, threads=2)
        evaluated = replace(bn, work="eval")
        chains.append([df2, df, mbn, bn, bn2, evaluated])
        at_two = TWO_THREADS if (model, size) == ("resnet20", 128) else 1.0 if 2 <= size <= 8 else None
        for comparison in (
            Comparison("mbn's time / bn's", bn, mbn, at_most=COST_OF_MBN),
            Comparison("mbn-df's time / mbn's", mbn, df, at_most=COST_OF_DOUBLE_FORWARD),
            Comparison("two threads / one", bn2, bn, at_least=at_two),
            Comparison("two threads / one, Double-Forward", df2, df, at_least=1.0 if 2 <= size <= 8 else None),
            Comparison("evaluation / training", evaluated, bn, at_least=EVALUATION),
        ):
            by_title.setdefault(comparison.title, []).append(comparison)
    return Part("self.csv", chains, sum(by_title.values(), []), rounds, seconds)
