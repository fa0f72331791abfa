#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's own Xen tools, unchanged, against the hypervisor: xl info, list, vcpu-list and dmesg, lsevtchn, xenstore.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] || skip_all 'needs a hypervisor'
cat >"$tmp/script" <<'SCRIPT'
run() { echo "== $*"; timeout 30 "$@" 2>&1; echo "== status $?"; }
run start-xenstored
run xl info
run xl list
run xl vcpu-list
run xl dmesg
run lsevtchn 0
run xenstore-read /local/domain/0/name
SCRIPT
vm --cpus 2 --memory 4G --script "$tmp/script"
is "$status" 0 'the tools run'
part() { awk -v head="== $1" '$0 == head { on = 1; next } /^== status/ { if (on) print; on = 0 } on' <<<"$out"; }
value() { awk -F' *: *' -v k="$1" '$1 == k { print $2; exit }' <<<"$info"; }

like "$(part start-xenstored)" '== status 0' 'xenstored starts'
info=$(part 'xl info')
note "$info"
like "$info" '== status 0' 'xl info succeeds'
is "$(value nr_cpus)" 2 'xl info: nr_cpus'
is "$(value max_cpu_id)" 1 'xl info: max_cpu_id'
ok 'xl info: threads_per_core, cores_per_socket' test "$(value threads_per_core)" -ge 1 -a "$(value cores_per_socket)" -ge 1
ok 'xl info: total_memory is about 4 GiB' test "$(value total_memory)" -ge 4000 -a "$(value total_memory)" -le 4096
ok 'xl info: free_memory is what is left' test "$(value free_memory)" -ge 2900 -a "$(value free_memory)" -le 3072
like "$(value cpu_mhz)" '^[1-9][0-9]{2,}' 'xl info: cpu_mhz'
like "$(value virt_caps)" 'hvm' 'xl info: virt_caps'
like "$(value xen_version)" '^4\.17' 'xl info: xen_version'
like "$(value xen_caps)" 'hvm-3\.0-x86_64' 'xl info: xen_caps'
is "$(value xen_pagesize)" 4096 'xl info: xen_pagesize'

list=$(part 'xl list')
note "$list"
like "$list" '^Domain-0 +0 +10[0-9]{2} +2 +r-----' 'xl list: Domain-0, its memory, its vCPUs, running'
vcpus=$(part 'xl vcpu-list')
note "$vcpus"
is "$(grep -c '^Domain-0 ' <<<"$vcpus")" 2 'xl vcpu-list: both vCPUs'
like "$(part 'xl dmesg')" '[Xx]en' 'xl dmesg shows the hypervisor'"'"'s log'
like "$(part 'xl dmesg')" '== status 0' 'xl dmesg succeeds'
channels=$(part 'lsevtchn 0')
note "$(head -n 5 <<<"$channels")"
ok 'lsevtchn 0 lists channels' test "$(grep -c 'VCPU' <<<"$channels")" -ge 5
like "$channels" 'Virtual IRQ|VIRQ' 'lsevtchn 0: virtual IRQs among them'
like "$(part 'xenstore-read /local/domain/0/name')" '^Domain-0' 'xenstore has the control domain'"'"'s name'

# What the hypervisor keeps for itself: what is neither free nor the control domain's.
if [ "$hypervisor" != xen ]; then
    control=$(awk '/^Domain-0 / { print $3 }' <<<"$list")
    at_most $((4096 - $(value free_memory) - ${control:-0})) $((8 + 4096 * 5 / 1000)) 'memory of the hypervisor, MiB'
fi
done_testing
