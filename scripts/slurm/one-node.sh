#!/usr/bin/env bash
# Runs a command with a private Slurm: one node, this machine, everything in a temporary folder.
#
#   scripts/slurm/one-node.sh [--install] COMMAND [ARGUMENT...]
#
# Needs root, and Debian's packages slurm-wlm and munge; --install installs them. Where that is impossible, it prints
# SKIPPED with the reason and exits with code 77. At the end, the daemons are stopped by the process ids in their PID files.
set -eu

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

install=0
if [ "${1:-}" = --install ]; then
    install=1
    shift
fi
[ "$#" -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }

[ "$(id -u)" = 0 ] || skip "starting Slurm needs root"
export PATH=$PATH:/usr/sbin:/sbin
have() { command -v slurmctld && command -v slurmd && command -v munged && command -v sbatch; } >/dev/null
if ! have && [ "$install" = 1 ]; then
    command -v apt-get >/dev/null || skip "no apt-get to install slurm-wlm and munge"
    { timeout 120 apt-get update -qq \
        && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -qq -y --no-install-recommends slurm-wlm munge; } \
        >/dev/null 2>&1 || skip "slurm-wlm and munge cannot be installed here"
fi
have || skip "Slurm is not installed (slurm-wlm, munge); --install installs it on Debian"

dir=$(mktemp -d /tmp/mbn-slurm.XXXXXX)
chmod 755 "$dir"
mkdir -p "$dir/state" "$dir/spool"

# Stops the daemon whose process id is in a file, and waits for it.
stop() {
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}
finish() {
    stop "$dir/slurmd.pid"
    stop "$dir/slurmctld.pid"
    stop "$dir/munged.pid"
    rm -rf "$dir"
}
trap finish EXIT

# munge authenticates messages: a private key, socket and daemon.
head -c 128 /dev/urandom >"$dir/munge.key"
chmod 400 "$dir/munge.key"
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" 2>"$dir/munged.err" \
    || skip "munged does not start: $(tail -n 1 "$dir/munged.err")"

host=$(hostname -s)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])' 2>/dev/null || echo "$1"; }
cat >"$dir/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port 6817)
SlurmdPort=$(free_port 6818)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MinJobAge=300
KillWait=10
SchedulerParameters=batch_sched_delay=0,sched_interval=2
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$dir/slurm.conf

slurmctld >"$dir/start.log" 2>&1 || skip "slurmctld does not start: $(tail -n 1 "$dir/start.log")"
slurmd >"$dir/start.log" 2>&1 || skip "slurmd does not start: $(tail -n 1 "$dir/start.log")"
for _ in $(seq 150); do
    if sinfo -h -o %T 2>/dev/null | grep -q idle; then
        "$@"
        exit
    fi
    sleep 0.2
done
tail -n 3 "$dir/slurmctld.log" "$dir/slurmd.log" >&2 || true
skip "the node does not come up"
