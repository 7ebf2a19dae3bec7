#!/usr/bin/env bash
# Checks that mbn computes the same on a GPU as on the CPU, and how fast: one report, in at most ten minutes.
#
#   scripts/gpu/check.sh REPORT_DIR
#
# Needs no network and no data. Uses the files of scripts/gpu/build.sh if GPU_BUILD names their folder; otherwise builds
# here, from crates that are already present (`cargo vendor`, or a filled cargo home) and with the installed nvcc.
#
#   DEVICE=cuda     the device to compare with the CPU (default)
#   DEVICE=cpu      rehearsal: plain tensor operations, as on a GPU, against the fused kernels
#
# Exit code 0 only if everything agrees; REPORT_DIR/report.txt has the details.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
DEVICE=${DEVICE:-cuda}
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
report=$out/report.txt
failed=0
: > "$report"

say() { echo "$*" | tee -a "$report"; }
heading() { say ""; say "## $* (after ${SECONDS} s)"; }
verdict() { # name, exit code
    if [ "$2" -eq 0 ]; then say "ok      $1"; else say "FAILED  $1"; failed=1; fi
}

# Folders of the driver's and the toolkit's libraries, wherever they are installed.
library_path() {
    local name found
    for name in libcuda.so.1 libnvrtc.so.13 libcurand.so.10 libcublas.so.13 libcublasLt.so.13; do
        found=$(find /usr/local/cuda*/ /usr/local/nvidia /usr/lib/x86_64-linux-gnu /usr/lib64 \
            $(python3 -c 'import sys; print(*(p + "/nvidia" for p in sys.path if p))' 2> /dev/null) \
            -name "$name" -not -path '*/stubs/*' 2> /dev/null | head -1 || true)
        if [ -n "$found" ]; then dirname "$found"; else echo "not found: $name" >&2; fi
    done | sort -u | paste -sd:
}

heading "Machine"
{ date; uname -a; nproc; git log -1 --format='commit %h %s'; } >> "$report" 2>&1 || true
if [ "$DEVICE" != cpu ]; then
    { nvidia-smi || echo "no nvidia-smi"; nvcc --version | tail -2 || echo "no nvcc"; } >> "$report" 2>&1
    LD_LIBRARY_PATH=$(library_path 2>> "$report")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
fi

heading "Build"
if [ -n "${GPU_BUILD:-}" ]; then
    mbn=$GPU_BUILD/mbn
    tests=$GPU_BUILD/device-tests
    say "prebuilt: $(ls -l "$mbn" "$tests" | awk '{print $5, $NF}' | paste -sd' ')"
else
    features="--no-default-features"
    [ "$DEVICE" = cpu ] || features="$features --features cuda"
    cargo build --release --offline --locked $features --bin mbn >> "$out/build.txt" 2>&1
    # The last line that names an executable is that of the tests.
    tests=$(cargo test --release --offline --locked $features --test device --no-run 2>&1 |
        tee -a "$out/build.txt" | sed -n 's/.*Executable.*(\(.*\))/\1/p' | tail -1)
    mbn=target/release/mbn
fi
"$mbn" --version | tee -a "$report"

heading "GPU tests"
code=0
MBN_TEST_DEVICE=$DEVICE timeout 240 "$tests" --nocapture > "$out/tests.txt" 2>&1 || code=$?
verdict "device tests (tests.txt)" $code
grep -E "^test |skipped|off by" "$out/tests.txt" | cut -c1-200 >> "$report" || true

there="--device $DEVICE"
[ "$DEVICE" != cpu ] || there="--set kernels=plain"

# Twenty epochs of one step each: the loss of every step, from metrics.csv.
train() { # folder, settings...
    local folder=$1
    shift
    timeout 90 "$mbn" train --out "$folder" --batch-size 8 --epochs 20 --lr 0.0002 --set lr_scaling=none \
        --set train_limit=8 --set test_limit=10 --set gap=false -q "$@" > "$folder.txt" 2>&1
}
losses() { # folder
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["split"] == "train" { print $at["loss"] }' "$1"/*/metrics.csv
}
compare() { # name, settings...
    local name=$1 code=0 largest
    shift
    train "$out/$name-cpu" "$@" && train "$out/$name-there" "$@" $there || code=$?
    if [ "$code" -eq 0 ]; then
        largest=$(paste <(losses "$out/$name-cpu") <(losses "$out/$name-there") |
            awk '{ d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > m) m = d; n++ } END { print m + 0, n + 0 }')
        code=$(echo "$largest" | awk '{ print !($1 <= 1e-4 && $2 == 20) }')
        verdict "$name: 20 steps, largest difference of the losses ${largest% *} of the loss, ${largest#* } steps" "$code"
    else
        verdict "$name: $(tail -1 "$out/$name-cpu.txt") $(tail -1 "$out/$name-there.txt" 2> /dev/null)" "$code"
    fi
}

heading "Twenty steps on CPU and $DEVICE"
norms=$("$mbn" train --norm '?' 2>&1 | sed -n 's/.*known: //p' | tr -d , || true)
[ -n "$norms" ] || { say "FAILED  the list of normalizers"; failed=1; }
for norm in $norms; do compare "lenet-$norm" --model lenet --norm "$norm"; done
for norm in bn mbn; do
    compare "resnet20-$norm" --model resnet20 --dataset shapes --norm "$norm"
    compare "resnet20-$norm-df" --model resnet20 --dataset shapes --norm "$norm" --double-forward
done

heading "Two runs, one seed"
mkdir -p "$out/again"
code=0
train "$out/again/lenet-mbn-there" --model lenet --norm mbn $there || code=$?
[ "$code" -ne 0 ] || cmp <(losses "$out/lenet-mbn-there") <(losses "$out/again/lenet-mbn-there") || code=$?
verdict "the same losses to the last digit" $code

heading "Checkpoints there and back"
for made in cpu there; do
    rows=""
    for device in cpu "$DEVICE"; do
        rows+=$(timeout 60 "$mbn" eval "$out/lenet-mbn-$made"/*/ --device "$device" --json 2>> "$out/eval.txt" |
            sed -n 's/.*"loss": *\([0-9.e-]*\).*/\1/p')" "
    done
    code=$(echo "$rows" | awk '{ d = ($1 - $2) / $1; print !(NF == 2 && d < 1e-4 && d > -1e-4) }')
    verdict "made on $made, evaluated on cpu and $DEVICE: $rows" "$code"
done

heading "Throughput"
how="--batch-sizes 2 8 32 128"
[ "$DEVICE" != cpu ] || how="--batch-sizes 2 --kernels plain"
timeout 120 "$mbn" bench --device "$DEVICE" $how --models resnet20 lenet --norms bn mbn mbn-df gn --seconds 0.5 2>&1 | tee -a "$report" || verdict "bench" 1

say ""
say "$([ $failed -eq 0 ] && echo 'everything agrees' || echo 'NOT everything agrees') (${SECONDS} s)"
exit $failed
