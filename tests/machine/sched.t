#!/bin/bash
# SPDX-License-Identifier: MIT
# Sharing CPUs by weight, and having CPUs to oneself: three guests with CPU-bound loops beside the control domain.
. "$(dirname -- "$0")/lib.sh"
# Processors that share one thread of the emulator share no time fairly. With a thread for each, stock QEMU needs its first
# one to stay out of guests (docs/emulators.md): the control domain has one vCPU until it has been told to keep away, too.
export XEN_LITE_TCG_THREAD=multi

[ -z "$hypervisor" ] || skip_all "checks xen-lite's own scheduling"
full_form || skip_all 'not in the quick form: two minutes'
need_tools
image=$("$src_dir/scripts/build-image")
"$tests_dir/guest-initrd" "$tmp/initrd" '
echo GUEST-READY; read -r go; echo GUEST-GO
for i in $(seq $(nproc)); do (while :; do :; done) & done
sleep 1000000' || skip_all 'cannot make an initrd for the guest'

seconds=10
cat >"$tmp/guest.cfg" <<CFG
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
memory = 512
vcpus = 2
cmdline = "console=hvc0 quiet"
CFG

# The guests a and b and the control domain share two CPUs; where there are more, the guest own has the others.
cat >"$tmp/main" <<'SCRIPT'
cd /root
xl-lite vcpu-pin 0 all "$shared"
within() { local left=$1; shift; until "$@" >/dev/null 2>&1; do left=$((left - 1)); [ "$left" -gt 0 ] || return 1; sleep 1; done; }
cpu_ns() { xl-lite vcpu-list "$1" --json | sed -n 's/.*"cpu_time_ns":\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { printf "%d\n", n / 1000 }'; }
# What each guest got in the seconds that follow, in microseconds.
share()
{
    local a b
    a=$(cpu_ns a) b=$(cpu_ns b); sleep "$seconds"
    echo "SHARE $1 $(($(cpu_ns a) - a)) $(($(cpu_ns b) - b))"
}
counters() { xl-lite vcpu-list own --json | sed "s/^/$1 /"; }
mkdir -p /var/log/xen /var/lib/xen /run/xen /var/lock
start-xenstored >/dev/null
xl-dmd >/var/log/dmd.log 2>&1 &
within 60 test -S /run/xen-lite/control.sock
start="a b"; [ "$shared" = 1-2 ] || start="own a b"
for g in $start; do
    cpus="$shared"; [ $g != own ] || cpus=2-3
    xl-lite create -q "$g.cfg" "name=\"$g\"" "cpus=\"$cpus\"" || echo "FAILED $g"; within 300 grep -q GUEST-READY "/var/log/xen-lite/$g.log" || echo "TIMEOUT $g"
done
# On a busy host a second may be too short for the console: then again, until the guest has it.
go() { echo | timeout 2 xl-lite console "$1" >/dev/null; grep -q GUEST-GO "/var/log/xen-lite/$1.log"; }
for g in $start; do within 20 go "$g" || echo "TIMEOUT $g does not go"; done
sleep 1
if [ "$start" != "a b" ]; then
    xl-lite create -q a.cfg 'name="c"' 'cpus="3"' 'memory=128' 2>&1 | sed 's/^/PIN /'
    xl-lite create -q own.cfg 'name="c"' 'memory=128' 2>&1 | sed 's/^/TWICE /'
    counters BEFORE
fi
share equal
if [ "$start" != "a b" ]; then counters AFTER; xl-lite vcpu-list | sed 's/^/LIST /'; fi
xl sched-credit2 -d "$(xl-lite domid b)" -w 512; echo "WEIGHT $?"
xl sched-credit2 | sed 's/^/CREDIT2 /'
xl info | grep xen_scheduler
sleep 1
share double
if [ "$start" != "a b" ]; then
    xl-lite destroy own; sleep 1
    xl-lite create -p -q a.cfg 'name="c"' 'cpus="3"' 'memory=128' 2>&1; echo "FREED $?"; xl-lite destroy c
fi
xl-lite destroy a; xl-lite destroy b; echo "LEFT $(xl-lite list | wc -l)"
SCRIPT

# run_on CPUS SHARED
run_on()
{
    { echo "seconds=$seconds shared=$2"; cat "$tmp/main"; } >"$tmp/script"
    vm_timeout=900 vm --cpus "$1" --hv-args control_vcpus=1 --memory 3G --script "$tmp/script" --add "$image/vmlinuz:/boot/vmlinuz" \
        --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/a.cfg" --add "$tmp/guest.cfg:/root/b.cfg" \
        --add "$src_dir/configs/dedicated.cfg:/root/own.cfg" --add "$(realpath "$(gcc -print-file-name=libgcc_s.so.1)"):/lib/x86_64-linux-gnu/libgcc_s.so.1"
    is "$status" 0 "the script runs to its end on $1 CPUs"
    unlike "$out" '^(FAILED|TIMEOUT)' 'all guests start'
}

# fair WHICH TIMES NAME: b got TIMES of what a got, within a tenth; and together the two got most of two CPUs.
fair()
{
    local a b
    read -r a b < <(awk -v w="$1" '$1 == "SHARE" && $2 == w { print $3, $4 }' <<<"$out")
    note "$1: a ${a:-?} us, b ${b:-?} us"
    ok "$3" awk -v a="${a:-0}" -v b="${b:-0}" -v t="$2" -v s="$seconds" 'BEGIN {
        want = (a + b) * t / (1 + t); exit !(a + b > 1.4e6 * s && b > want * 0.9 && b < want * 1.1 && a > (a + b - want) * 0.9) }'
}
shared()
{
    fair equal 1 'equal weights: each gets half of the time, within a tenth'
    like "$out" '^WEIGHT 0' "Debian's xl sets a weight"
    fair double 2 'weights 256 and 512: a third and two thirds, within a tenth'
    like "$out" '^LEFT 2' 'the guests go'
}

run_on 5 1,4
shared
like "$out" '^CREDIT2 Cpupool Pool-0: .*ratelimit=0us' "Debian's xl shows the scheduler"
like "$out" '^CREDIT2 .* 512 ' 'and the weights'
like "$out" '^xen_scheduler +: credit2' 'and its name'
like "$out" '^PIN .*cannot bind vCPU 0' 'a CPU that is dedicated takes no other guest'
like "$out" '^TWICE .*another domain has one of these CPUs' 'nor is it dedicated twice'
like "$out" '^FREED 0' 'until its owner has gone'
# counter WHEN KEY: its values of all vCPUs.
counter() { sed -n "s/^$1 .*\"$2\":\([a-z0-9]*\).*/\1/p" <<<"$out" | tr '\n' ' '; }
is "$(counter AFTER dedicated)" 'true true ' 'each vCPU runs on its own CPU'
is "$(counter AFTER interruptions)" "$(counter BEFORE interruptions)" "no scheduling exit of the dedicated guest in $seconds s"
is "$(counter AFTER slices)" "$(counter BEFORE slices)" 'no end of a slice'
ok 'while it ran all the time' awk -v b="$(counter BEFORE cpu_time_ns)" -v a="$(counter AFTER cpu_time_ns)" -v s="$seconds" 'BEGIN {
    split(a, x); split(b, y); exit !(x[1] - y[1] > 0.95e9 * s && x[2] - y[2] > 0.95e9 * s) }'
unlike "$(grep '^LIST ' <<<"$out" | grep -v ' own ')" '^LIST .* [0-9]+ +[0-9]+ +[23] ' 'nobody else is on its CPUs'
if full_form; then
    run_on 3 1-2
    shared
fi
done_testing
