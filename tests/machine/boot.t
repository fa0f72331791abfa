#!/bin/bash
# SPDX-License-Identifier: MIT
# The control domain boots, with all its CPUs and sane output, in every shape of machine that we promise.
. "$(dirname -- "$0")/lib.sh"

probe='uname -s; nproc; cat /sys/hypervisor/type; grep -c ^processor /proc/cpuinfo; free -m | awk "/^Mem:/ {print \$2}"'

# shape NAME CPUS OPTION...
shape()
{
    local name=$1 cpus=$2 want
    shift 2
    vm --cpus "$cpus" "$@" -- "$probe; dmesg >&2"
    is "$status" 0 "$name: boots and runs a command"
    want=$(printf 'Linux\n%s\nxen\n%s' "$cpus" "$cpus")
    is "$(head -n 4 <<<"$out")" "$want" "$name: Linux on $hypervisor_name, all $cpus vCPUs online"
    unlike "$err" "$kernel_complaints" "$name: no complaint of the kernel"
}

shape '2 CPUs, 4 GiB' 2
memory=$(tail -n 1 <<<"$out")
ok "control domain has the memory it was given (${memory:-?} of 1024 MiB)" \
    test "${memory:-0}" -ge 800 -a "${memory:-0}" -le 1024
shape '1 CPU, 2 GiB' 1 --memory 2G
shape '4 CPUs, 8 GiB, 48 address bits' 4 --memory 8G --aw-bits 48
shape 'GRUB, SeaBIOS' 2 --boot iso-bios
shape 'GRUB, OVMF' 2 --boot iso-uefi
if full_form; then
    shape '8 CPUs' 8
    shape '2 GiB for the control domain, 48 address bits' 2 --control-memory 2G --aw-bits 48
    memory=$(tail -n 1 <<<"$out")
    ok "control domain has 2 GiB (${memory:-?} MiB)" test "${memory:-0}" -ge 1700 -a "${memory:-0}" -le 2048
    shape 'GRUB, SeaBIOS, 4 CPUs, 8 GiB' 4 --boot iso-bios --memory 8G
    shape 'GRUB, OVMF, 4 CPUs, 8 GiB' 4 --boot iso-uefi --memory 8G
fi
done_testing
