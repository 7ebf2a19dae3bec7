#!/usr/bin/env bash
# Builds mbn and its GPU tests for NVIDIA Hopper GPUs, on a machine without GPU, driver or CUDA installation.
#
#   scripts/gpu/build.sh OUT
#
# Writes OUT/mbn and OUT/device-tests, to be copied to the GPU machine for scripts/gpu/check.sh. Takes a quarter of an
# hour on one core and 300 MB for the compiler (Python wheels), and needs a network for the wheels and the crates.
#
# CUDA_COMPUTE_CAP selects another compute capability (default 90). nvcc is 13.0 and not newer: a driver accepts PTX of its
# own version and of older ones.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

if ! [ -x "$out/nv/bin/python" ]; then
    python3 -m venv "$out/nv"
    "$out/nv/bin/pip" install -q --no-deps nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
        nvidia-cuda-cccl==13.0.85 nvidia-cuda-runtime==13.0.96
fi
CUDA_HOME=$(echo "$out"/nv/lib/python3*/site-packages/nvidia/cu13)
export CUDA_HOME PATH="$CUDA_HOME/bin:$PATH" CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
export CARGO_TARGET_DIR=$out/target

# NVIDIA's shared libraries come with the driver and the toolkit; stubs with the same names suffice for linking.
stubs=$CUDA_HOME/lib/stubs
cudarc=$(cargo metadata -q --format-version 1 --features cuda | python3 -c 'import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
print(pathlib.Path(next(p["manifest_path"] for p in packages if p["name"] == "cudarc")).parent)')
mkdir -p "$stubs"
stub() { # cudarc's module, library, name at run time
    grep -oE 'pub unsafe fn [A-Za-z0-9_]+' "$cudarc/src/$1/sys/mod.rs" | awk '{print $4}' | sort -u |
        sed 's/.*/unsigned long long &(void) { return 34; }/' > "$stubs/$2.c"
    gcc -shared -fPIC -O1 -Wl,-soname,"$3" -o "$stubs/$3" "$stubs/$2.c"
    ln -sf "$3" "$stubs/lib$2.so"
    rm "$stubs/$2.c"
}
stub driver cuda libcuda.so.1
stub nvrtc nvrtc libnvrtc.so.13
stub curand curand libcurand.so.10
stub cublas cublas libcublas.so.13
stub cublaslt cublasLt libcublasLt.so.13
cp "$CUDA_HOME/lib/libcudart_static.a" "$stubs/libcudart.a"

features="--no-default-features --features cuda"
cargo build --release --locked $features --bin mbn
tests=$(cargo test --release --locked $features --test device --no-run --message-format json |
    python3 -c 'import json, sys
lines = (json.loads(line) for line in sys.stdin if line.startswith("{"))
print(next(line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == "device"))')
cp "$CARGO_TARGET_DIR/release/mbn" "$out/mbn"
cp "$tests" "$out/device-tests"
strip "$out/mbn" "$out/device-tests"
ls -l "$out/mbn" "$out/device-tests"
