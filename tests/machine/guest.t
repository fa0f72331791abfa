#!/bin/bash
# SPDX-License-Identifier: MIT
# Guests from birth to death: xl-lite creates them, xl-dmd keeps their consoles, and nothing of them stays.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] || skip_all 'needs a hypervisor'
need_tools
image=$("$src_dir/scripts/build-image")

# What the guest does is a word of its command line.
"$tests_dir/guest-initrd" "$tmp/initrd" '
case " $(cat /proc/cmdline) " in
*" do=echo "*) while read -r line; do echo "GOT:$line"; done; sleep 600 ;;
*" do=reboot "*) reboot -f; sleep 600 ;;
*" do=crash "*) echo c >/proc/sysrq-trigger; sleep 600 ;;
esac' || skip_all 'cannot make an initrd for the guest'

# Native TSC: Xen, which then traps no RDTSCP, otherwise stumbles over the emulator (see scripts/vm).
cat >"$tmp/guest.cfg" <<'CFG'
name = "one"
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
memory = 256
vcpus = 1
tsc_mode = "native"
cmdline = "console=hvc0 panic=1 do=echo"
CFG

configs='debian small pinned'
[ "$(cpus_or 2)" -ge 2 ] || configs='debian small' # the third wants CPU 1

{ script_helpers; echo "configs='$configs'"; cat <<'SCRIPT'; } >"$tmp/script"
cd /root
free_kb() { xl-lite info --json | sed -n 's/.*"free_memory_kb": *\([0-9]*\).*/\1/p'; }
up() { cut -d ' ' -f 1 /proc/uptime; }
no_guests() { [ "$(xl-lite list | wc -l)" -eq 2 ]; }
free_again() { [ "$(free_kb)" -ge "$before" ]; }
all_gone() { no_guests && free_again; }
report_gone()
{
    local status=0 free
    section "$1 leaves nothing"
    within 40 all_gone || status=$?
    free=$(free_kb)
    echo "$status guests=$(($(xl-lite list | wc -l) - 2)) lost=$((before - ${free:-0})) files=$(ls /run/xen-lite/domains | wc -l)"
}

xl-dmd >/var/log/dmd.log 2>&1 &
echo nothing >/tmp/nothing; run xl-lite kernel-prepare /tmp/nothing
run xl-lite kernel-prepare /boot/vmlinuz; section again; xl-lite kernel-prepare /boot/vmlinuz
# The first guest lets tables of the control domain grow (event channels): what is free counts from after it.
if xl-lite create -p -q guest.cfg 2>&1 | grep 'does not have this call'; then exit 0; fi
within 20 test -s /run/xen-lite/domains/1.json; sleep 1
xl-lite destroy one; within 40 no_guests; sleep 2
before=$(free_kb)
ln -s guest.initrd /boot/initrd.img
for file in $configs; do run xl-lite create -q -n "$file.cfg"; done
run xl-lite create -n guest.cfg
run xl-lite create -p -q guest.cfg
run xl-lite list
run xl-lite list --json
run xl-lite create -q guest.cfg
run xl-lite load one -s 'some text' -a 0x8000000
run xl-lite unpause one
section first; within 300 grep -q GUEST-UP /var/log/xen-lite/one.log; echo "$?"
grep GUEST-UP /var/log/xen-lite/one.log
run xl-lite load one -s 'some text' -a 0x8000000
run xl-lite pause one
xl-lite vcpu-list one --json >a; sleep 1; xl-lite vcpu-list one --json >b
section paused; xl-lite list one | tail -n 1; grep cpu_time a b | awk '{ print $NF }' | uniq | wc -l
run xl-lite unpause one
section console; (sleep 2; echo hello; sleep 20) | timeout 15 xl-lite console one | tr -d '\r'; echo
run xl-lite rename one two
run xl-lite domid two
run xl-lite domname "$(xl-lite domid two)"
run xl-lite vcpu-list
run xl-lite vcpu-pin two 0 0
run xl-lite uptime two
run xl-lite top -b -n 1
run xl-lite destroy 0
run xl-lite destroy two
report_gone destroy

start=$(up); run xl-lite create -q guest.cfg 'name="off"' 'cmdline="console=hvc0 do=nothing"' vcpus=2
section 'created in'; echo "$start $(up)" | awk '{ print $2 - $1 }'
within 300 grep -q GUEST-DONE /var/log/xen-lite/off.log
report_gone poweroff; grep -h GUEST /var/log/xen-lite/off.log
run xl-lite create -q guest.cfg 'name="again"' 'cmdline="console=hvc0 do=reboot"'
section rebooted; within 400 sh -c '[ $(grep -c GUEST-UP /var/log/xen-lite/again.log) -ge 2 ]'; echo $?
section 'destroyed between restarts'; within 60 xl-lite destroy again; echo $?; sleep 3
report_gone reboot
run xl-lite create -q guest.cfg 'name="bad"' 'cmdline="console=hvc0 do=crash"' 'on_crash="preserve"'
section crashed; within 300 sh -c 'xl-lite list bad | grep -q -e ---sc-'; echo $?
run xl-lite destroy bad
report_gone crash

wrong() { section "wrong: $1"; xl-lite create -q guest.cfg "$1" 2>&1; echo "== status $?"; }
dd if=/dev/urandom of=/boot/noise bs=4096 count=16 2>/dev/null
head -c 40000 /boot/vmlinuz >/boot/torn
dd if=/dev/zero of=/boot/huge bs=1M count=80 2>/dev/null
for w in 'vcpus=0' 'vcpus=10000' 'memory=1000000' 'memory=16' 'kernel="/none"' 'kernel="/boot/noise"' 'kernel="/boot/torn"' \
    'ramdisk="/boot/huge"; memory=128' 'cpus="200"' 'pci=["00:02.0"]' 'type="hvm"' 'on_crash="dance"' 'name'; do wrong "$w"; done
run xl-lite frobnicate
run xl-lite list -x
run xl-lite pause
run xl-lite pause nobody
report_gone 'all that is wrong'
for delay in 0.05 0.2 0.5 1; do
    xl-lite create -q guest.cfg 'name="killed"' >/dev/null 2>&1 &
    usleep "$(awk "BEGIN { print $delay * 1000000 }")"
    kill -9 $! 2>/dev/null; wait $! 2>/dev/null
    sleep 1; xl-lite destroy killed 2>/dev/null
done
report_gone 'killing the builder'
SCRIPT

vm_timeout=900 vm --cpus 2 --memory 4G --script "$tmp/script" --add "$image/vmlinuz:/boot/vmlinuz" \
    --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/guest.cfg" \
    --add "$src_dir/configs/debian.cfg:/root/debian.cfg" --add "$src_dir/configs/small.cfg:/root/small.cfg" \
    --add "$src_dir/configs/pinned.cfg:/root/pinned.cfg"
missing=$(grep -m 1 'does not have this call' <<<"$out" || true)
[ -z "$missing" ] || skip_all "the hypervisor cannot make guests yet: $missing"
is "$status" 0 'the script runs to its end'
succeeds() { like "$(part "$1")" '^== status 0$' "$1"; }
fails() { like "$(part "$1")" "$2" "$3"; like "$(part "$1")" "^== status ${4:-1}\$" "$1: exit status ${4:-1}"; }
gone() { is "$(part "$1 leaves nothing" | head -n 1)" '0 guests=0 lost=0 files=0' "$1 leaves nothing behind"; }

fails 'xl-lite kernel-prepare /tmp/nothing' 'cannot be a pvh guest' 'what is no kernel is not prepared'
like "$(part 'xl-lite kernel-prepare /boot/vmlinuz')" 'unpacked, [0-9]+ MiB' 'a kernel is'
like "$(part again)" 'was unpacked before' 'once'
for file in $configs; do succeeds "xl-lite create -q -n $file.cfg"; done
succeeds 'xl-lite create -n guest.cfg'
like "$(part 'xl-lite create -n guest.cfg')" '"kernel_end":[0-9]{8}' 'a dry run tells where the kernel lies'
succeeds 'xl-lite create -p -q guest.cfg'
like "$(part 'xl-lite list')" '^one +[0-9]+ +256 +1 +--p--- ' 'list: the new guest, paused'
like "$(part 'xl-lite list --json')" '"name":"one"' 'list --json'
fails 'xl-lite create -q guest.cfg' 'name "one" is domain [0-9]+.s already' 'a name is given once'
succeeds "xl-lite load one -s some text -a 0x8000000"
succeeds 'xl-lite unpause one'
is "$(part first | head -n 1)" 0 'the guest reaches user land, and its console is logged'
like "$(part first)" 'GUEST-UP cpus=1 memory=(19|2[0-4])[0-9]' 'it has the CPU and the memory it was given'
succeeds 'xl-lite pause one'
like "$(part paused)" '^one .* --p--- ' 'list: paused'
is "$(part paused | sed -n 2p)" 1 'a paused guest uses no CPU time'
like "$(part console)" 'GOT:hello' 'console: what is typed arrives, what is answered comes back'
succeeds 'xl-lite rename one two'
succeeds 'xl-lite domid two'
like "$(part 'xl-lite vcpu-list')" '^two +[0-9]+ +0 ' 'vcpu-list'
succeeds 'xl-lite vcpu-pin two 0 0'
like "$(part 'xl-lite uptime two')" '^two +[0-9]+ +0:0' 'uptime'
like "$(part 'xl-lite top -b -n 1')" '^two ' 'top'
fails 'xl-lite destroy 0' 'cannot destroy the control domain' 'the control domain is spared'
succeeds 'xl-lite destroy two'
gone destroy
like "$(part 'poweroff leaves nothing')" 'GUEST-UP cpus=2' 'two vCPUs'
gone poweroff
note "create of 256 MiB, kernel unpacked before: $(part 'created in' | head -n 1) s"
is "$(part rebooted | head -n 1)" 0 'on_reboot = restart: the guest comes up again'
is "$(part 'destroyed between restarts' | head -n 1)" 0 'a guest that keeps rebooting can be destroyed'
gone reboot
is "$(part crashed | head -n 1)" 0 'on_crash = preserve: the crashed guest stays'
gone crash
fails 'wrong: vcpus=0' 'vcpus = 0 is out of range' 'no vCPU'
fails 'wrong: vcpus=10000' 'vcpus = 10000 is out of range' '10,000 vCPUs'
fails 'wrong: memory=1000000' 'needs [0-9]+ MiB, and [0-9]+ MiB are free' 'more memory than there is'
fails 'wrong: memory=16' 'the kernel alone needs' 'less memory than the kernel needs'
fails 'wrong: kernel="/none"' 'kernel ./none.: No such file' 'no kernel file'
fails 'wrong: kernel="/boot/noise"' 'guest.cfg:3: error|command line: error: this kernel cannot be' 'a kernel of noise'
fails 'wrong: kernel="/boot/torn"' 'this kernel cannot be a pvh guest' 'a torn kernel'
fails 'wrong: ramdisk="/boot/huge"; memory=128' 'do not fit into memory = 128' 'a RAM disk larger than memory'
fails 'wrong: cpus="200"' "there is no CPU 200, the last is $(($(cpus_or 2) - 1))" 'a CPU that is not there'
fails 'wrong: pci=["00:02.0"]' 'there is no PCI function 0000:00:02.0' 'pci'
fails 'wrong: type="hvm"' 'type .hvm. is not supported' 'another type'
fails 'wrong: on_crash="dance"' 'on_crash = "dance" is not supported' 'an unknown action'
fails 'wrong: name' 'is no assignment' 'an argument that is no assignment'
fails 'xl-lite frobnicate' 'unknown command' 'an unknown command'
fails 'xl-lite list -x' "option '-x' is not supported" 'an unknown option' 2
fails 'xl-lite pause' 'requires at least 1 argument' 'a missing argument' 2
fails 'xl-lite pause nobody' "there is no domain 'nobody'" 'an unknown domain'
gone 'all that is wrong'
gone 'killing the builder'
unlike "$(cat "$serial")" "$kernel_complaints" 'no complaint of the control domain'"'"'s kernel'
done_testing
