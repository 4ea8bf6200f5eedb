#!/usr/bin/env bash
# A throw-away Slurm of one node on this machine, as root: two partitions (cpu, gpu), a third (urgent) whose
# jobs preempt theirs, and GPUs that are none (/dev/null, /dev/zero).
#
#   slurm_node.sh start FOLDER    munged, slurmctld and slurmd, with all that they write below FOLDER
#   slurm_node.sh stop FOLDER     ends them, and removes the links in /etc/slurm
# Everybody must be allowed to enter FOLDER (munge wants it).
#
# For tests and for trying profiles/slurm; not how a cluster is set up. It claims more cores and memory than there may
# be, because the rules ask for what the full scale takes and the sample uses little of it. Debian: apt-get install
# slurm-wlm munge.
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }

[ $# -eq 2 ] || usage
folder=$(realpath -m "$2")
daemons="slurmd slurmctld munged"    # in the order in which they end

configure() {
  local host port
  host=$(hostname -s)
  # Ports that nothing listens on: several tests may run on one machine, but not two Slurms (/etc/slurm is one).
  read -r -a port < <(python3 - <<'PY'
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PY
)
  head -c 1024 /dev/urandom > "$folder/etc/munge.key"
  chmod 400 "$folder/etc/munge.key"
  cat > "$folder/etc/slurm.conf" <<CONF
ClusterName=throwaway
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
SlurmUser=root
SlurmdUser=root
SlurmctldPort=${port[0]}
SlurmdPort=${port[1]}
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobs.txt
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
GresTypes=gpu
ReturnToService=2
MinJobAge=3600
NodeName=$host NodeAddr=127.0.0.1 CPUs=${SLURM_NODE_CPUS:-32} RealMemory=${SLURM_NODE_MEMORY_MB:-256000} Gres=gpu:${SLURM_NODE_GPUS:-1} State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=cpu Nodes=$host Default=YES MaxTime=3-00:00:00 PriorityTier=1 State=UP
PartitionName=gpu Nodes=$host Default=NO MaxTime=3-00:00:00 PriorityTier=1 State=UP
PartitionName=urgent Nodes=$host Default=NO MaxTime=3-00:00:00 PriorityTier=2 PreemptMode=OFF State=UP
CONF
  : > "$folder/etc/gres.conf"
  local file
  for file in $(printf '%s\n' /dev/null /dev/zero | head -n "${SLURM_NODE_GPUS:-1}"); do
    echo "NodeName=$host Name=gpu File=$file" >> "$folder/etc/gres.conf"
  done
}

# Job steps drop SLURM_CONF, so that Slurm's own place must lead to the files.
link() {
  local name
  install -d /etc/slurm
  for name in slurm.conf gres.conf; do
    if [ -e "/etc/slurm/$name" ]; then
      echo "/etc/slurm/$name exists: this machine has a Slurm, which a throw-away one must not replace." >&2
      exit 1
    fi
    ln -sfn "$folder/etc/$name" "/etc/slurm/$name"
  done
}

unlink_ours() {
  local name
  for name in slurm.conf gres.conf; do
    [ "$(readlink "/etc/slurm/$name" || true)" != "$folder/etc/$name" ] || rm "/etc/slurm/$name"
  done
}

stop() {
  local daemon pid
  # Jobs first: they are children of their own step daemons and would outlive slurmd.
  if [ -e "$folder/run/slurmd.pid" ]; then
    export SLURM_CONF="$folder/etc/slurm.conf"    # these commands, and no other Slurm's
    timeout 60 scancel --user=root 2> /dev/null || true
    for _ in $(seq 240); do
      [ -n "$(timeout 60 squeue -h 2> /dev/null || true)" ] || break
      sleep 0.5
    done
  fi
  for daemon in $daemons; do
    pid=$(cat "$folder/run/$daemon.pid" 2> /dev/null) || continue
    # A number may belong to another process by now.
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = "$daemon" ] || continue
    kill "$pid"
    for _ in $(seq 300); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    ! kill -0 "$pid" 2> /dev/null || kill -9 "$pid"
  done
  unlink_ours
}

start() {
  [ "$(id -u)" -eq 0 ] || { echo "A throw-away Slurm is started as root." >&2; exit 1; }
  install -d -m 755 "$folder" "$folder"/{etc,run,log,state,spool}
  install -d -m 700 "$folder/munge"
  rm -f "$folder/etc/munge.key"
  configure
  link
  trap stop EXIT    # whatever fails from here on leaves nothing behind
  munged --key-file="$folder/etc/munge.key" --socket="$folder/run/munge.socket" \
    --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed"
  slurmctld -c
  slurmd -c
  for _ in $(seq 600); do
    if sinfo -h -o %t 2> /dev/null | grep -qx idle; then
      sinfo -o "%P %t %G %c %m"
      trap - EXIT
      return
    fi
    sleep 0.5
  done
  echo "The node did not get ready; see $folder/log/." >&2
  tail -n 20 "$folder"/log/*.log >&2
  exit 1
}

case $1 in
  start) start ;;
  stop) stop ;;
  *) usage ;;
esac
