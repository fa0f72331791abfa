#!/bin/bash
# SPDX-License-Identifier: MIT
# Local APICs of guests that the CPU keeps, on the emulated Intel machine, whose CPUs can do it when asked to: with all of it,
# without posted interrupts, and with what makes it incomplete.
. "$(dirname -- "$0")/lib.sh"

[ "$test_machine" = intel ] || skip_all 'for the Intel machine (XEN_LITE_TEST_MACHINE=intel)'
[ -z "$hypervisor" ] || skip_all 'for xen-lite'
full_form || skip_all 'takes minutes: full form only'

kept=+vmx-apicv-x2apic,+vmx-apicv-register,+vmx-apicv-vid

# Two processes that wake each other, on processors that others keep busy, and code that is patched, of which all processors are
# told: interrupts for vCPUs that run.
cat >"$tmp/script" <<'SCRIPT'
xl dmesg | grep -i "local APICs\|broken\|VM entry"
for cpu in 0 1; do taskset -c $cpu sh -c 'while :; do :; done' & busy="$busy $!"; done
mkfifo /tmp/there /tmp/back
count()
{
    xl-lite traps | sed -n "s/^Exits of domain 0:.* wrmsr \([0-9]*\),.* interrupt \([0-9]*\),.*/$1: wrmsr \1 exits \2/p"
    awk '/HYP:/ { print "'$1': interrupts", $2 + $3 }' /proc/interrupts
    xl dmesg -c >/dev/null; xl debug-keys q
    xl dmesg | awk '/d0v.* posted by CPUs/ { for (i = 2; i <= NF; i++) { if ($i == "interrupts") p += $(i - 1); if ($i == "posted" && $(i + 1) == "ones") t += $(i - 1) } }
        END { print "'$1': posted", p + 0, "taken", t + 0 }'
}
count before
taskset -c 1 sh -c 'while read -r line; do echo "$line"; done </tmp/there >/tmp/back' &
taskset -c 0 sh -c 'exec >/tmp/there </tmp/back; n=0; while [ $n -lt 500 ]; do echo $n; read -r line; n=$((n + 1)); done'; echo "pairs $?"
n=0; while [ $n -lt 100 ]; do echo $((n % 2)) >/proc/sys/kernel/sched_schedstats; n=$((n + 1)); done; echo "patched $?"
count after
kill $busy
dmesg
SCRIPT

# field WHEN WHAT: a number of the script's.
field() { sed -n "s/^$1: .*$2 \([0-9]*\).*/\1/p" <<<"$out"; }
grown() { echo $(($(field after "$1") - $(field before "$1"))); }

while read -r features args apics; do
    vm_timeout=300 vm --cpus 2 --hv-args "$args" --cpu-features "$features" --script "$tmp/script" --
    is "$status" 0 "$features $args: user land"
    like "$out" "guests' local APICs: ${apics//[()]/.}\$" "local APICs: $apics"
    unlike "$out" "$kernel_complaints|broken: SDM|VM entry failed" 'nobody complains'
    like "$out" 'pairs 0' 'processes on two CPUs wake each other'
    like "$out" 'patched 0' 'and are told of new code'
    direct=$(($(grown posted) - $(grown taken)))
    diag "$(grown interrupts) interrupts: $(grown wrmsr) writes of MSRs exit, $(grown exits) exits for interrupts, $(grown posted) posted, $direct of them taken by the CPU"
    if [[ $apics == *"takes posted"* ]]; then
        ok 'interrupts for vCPUs that run do not exit' test "$direct" -gt 500
    else
        is "$(grown posted)" 0 'nothing is posted'
    fi
    if [[ $apics == emulated* ]]; then
        ok "the interrupts' ends exit" test "$(grown wrmsr)" -gt $(($(grown interrupts) * 9 / 10))
    else
        ok "the interrupts' ends do not exit" test "$(grown wrmsr)" -lt $(($(grown interrupts) / 4))
    fi
done <<LIST
$kept,+vmx-posted-intr loglvl=info the CPU keeps those in x2APIC mode and takes posted interrupts
$kept,+vmx-posted-intr apicv=no-posted the CPU keeps those in x2APIC mode (apicv=no-posted)
$kept loglvl=info the CPU keeps those in x2APIC mode
$kept,+vmx-posted-intr apicv=off emulated (apicv=off)
+vmx-apicv-x2apic,+vmx-apicv-register loglvl=info emulated
LIST
done_testing
