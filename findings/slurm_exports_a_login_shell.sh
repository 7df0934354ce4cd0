#!/usr/bin/env bash
# Slurm 22.05.8 of Debian bookworm (slurmctld, slurmd, slurm-client, munge); run as root, for `su` needs it.
#
# `sbatch --export=NONE`, and `--export=NAME` as well, give a job more than they say: the node runs a login
# shell of the user for everything else, and what ~/.profile or ~/.bashrc exports is in the job. Only
# `--export-file=FILE`, with NAME=value and a NUL each, gives what is in the file and no more.
#
# Why it surprises: the manual says of NONE that "only SLURM_* variables from the user environment will be
# defined". Who keeps a token away from jobs that way hands over the one in ~/.bashrc, and waits for the shell.
# Pinned: slurmctld==22.05.8-4+deb12u3, slurmd and slurm-client of that version (Debian 12), by apt-get.
set -euo pipefail
work=$(mktemp -d)
chmod 711 "$work"
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
mkdir debs state spool home
version=22.05.8-4+deb12u3
(cd debs && apt-get download --quiet "slurmctld=$version" "slurmd=$version" "slurm-client=$version" \
  "slurm-wlm-basic-plugins=$version" munge libmunge2 libhwloc15 liblua5.1-0 >/dev/null 2>&1)
for deb in debs/*.deb; do dpkg-deb --extract "$deb" root; done
lib=$(echo "$work"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=$lib:$lib/slurm-wlm SLURM_CONF=$work/slurm.conf PATH=$work/root/usr/bin:$work/root/usr/sbin:$PATH
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
host=$(hostname -s)
cat > slurm.conf <<CONF
ClusterName=finding
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmUser=root
AuthInfo=socket=$work/munge.socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/ctld.pid
SlurmdPidFile=$work/d.pid
SlurmdParameters=config_overrides
PluginDir=$lib/slurm-wlm
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true
NodeName=node0 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=1 RealMemory=500
PartitionName=all Nodes=ALL Default=YES
CONF
echo "CgroupPlugin=cgroup/v1" > cgroup.conf
head -c 1024 /dev/urandom > munge.key && chmod 400 munge.key
munged --foreground --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/m.pid" \
  --seed-file="$work/m.seed" --log-file="$work/m.log" 2>/dev/null &
until [ -S munge.socket ]; do sleep 0.1; done
slurmctld-wlm -D 2>ctld.log &
slurmd-wlm -D -N node0 -d "$work/root/usr/sbin/slurmstepd-wlm" 2>d.log &
until [ "$(sinfo -ho %T 2>/dev/null)" = idle ]; do sleep 0.2; done

printf '#!/bin/sh\nenv\n' > job.sh
names() {
  env -u HOME OF_SBATCH=1 sbatch --parsable --wait "$1" --output="$work/out" job.sh >/dev/null
  sed -n 's/=.*//p' out | grep -v '^SLURM' | sort | tr '\n' ' '
}
printf 'PATH=/usr/bin:/bin\0' > file
none=$(names --export=NONE)
one=$(names --export=OF_SBATCH)
file=$(names "--export-file=$work/file")
echo "--export=NONE:      $none"
echo "--export=OF_SBATCH: $one"
echo "--export-file:      $file"
grep -q HOME <<<"$none" && grep -q LOGNAME <<<"$none"
grep -q OF_SBATCH <<<"$one" && grep -q LOGNAME <<<"$one"
! grep -Eq 'HOME|LOGNAME' <<<"$file"
