#!/bin/bash
# SPDX-License-Identifier: MIT
# The hypervisor's side of guests: domains through libxenctrl (domcycle.c), and Linux guests made by Debian's own xl.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all "checks xen-lite's own bounds and answers"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -D__XEN_TOOLS__ -o "$tmp/domcycle" "$tests_dir/domcycle.c" \
    -lxenguest -lxenctrl -lxencall -lxenforeignmemory || skip_all 'needs libxen-dev'

cycles=20 hostile=20000
! long_form || { cycles=200 hostile=1000000; }

# What domcycle says becomes a result each.
results()
{
    local line n=0
    while IFS= read -r line; do
        case $line in
        ok\ *) result 0 "${line#ok }" ;;
        not\ ok\ *) result 1 "${line#not ok }" ;;
        '# '*) note "${line#\# }" ;;
        *) continue ;;
        esac
        n=$((n + 1))
    done <<<"$out"
    ok 'there were results' test "$n" -ge "$1"
}

cat >"$tmp/script" <<SCRIPT
for part in guests states refused foreign many 'cycles $cycles' 'hostile $hostile'; do domcycle \$part || echo "not ok \$part ended with \$?"; done
SCRIPT
vm_timeout=600 vm --cpus 2 --memory 2G --add "$tmp/domcycle:/bin/domcycle" --script "$tmp/script"
is "$status" 0 'domcycle runs'
results 62

# ---- Linux guests under Debian's xl, which need most of the time ----

full_form || done_testing
image=$("$src_dir/scripts/build-image")
# Written by a shell in the guest: what it finds, and how it is to end.
"$tests_dir/guest-initrd" "$tmp/guest-initrd" '
echo "GUEST-ARG $(cat /proc/cmdline)"
dmesg | grep -E "BUG:|WARNING: CPU|Call Trace|unchecked MSR" | sed "s/^/GUEST-COMPLAINT /"
case "$(cat /proc/cmdline)" in
*act=reboot*) sleep 1; reboot -f ;; # xenconsoled would lose the last words
*act=crash*) echo c >/proc/sysrq-trigger ;;
esac'

guest()
{
    cat <<CFG
name = "$1"
type = "pvh"
kernel = "/guest/vmlinuz"
ramdisk = "/guest/initrd"
memory = $3
vcpus = $2
cmdline = "console=hvc0 earlyprintk=xen panic=-1 act=$4"
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "$5"
CFG
}
guest one 1 128 off destroy >"$tmp/one.cfg"
guest two 2 256 reboot destroy >"$tmp/two.cfg"
guest four 4 512 off destroy >"$tmp/four.cfg"
guest crash 1 256 crash preserve >"$tmp/crash.cfg"
cat >"$tmp/script" <<'SCRIPT'
mkdir -p /var/log/xen /var/lib/xen /run/xen /var/lock /tmp/con
start-xenstored >/dev/null
xenconsoled --log=guest --log-dir=/tmp/con
free() { xl info | awk '/^free_memory/ { print $3 }'; }
wait_for() { for i in $(seq 60); do eval "$1" && return; sleep 1; done; echo "TIMEOUT $1"; }
alone() { [ "$(xl list | wc -l)" -eq 2 ]; }
echo "FREE-BEFORE $(free)"
for g in one two four; do xl create "/guest/$g.cfg" >/dev/null; echo "CREATE $g $?"; done
wait_for alone
xl create /guest/crash.cfg >/dev/null; echo "CREATE crash $?"
wait_for 'xl list | grep -q -- "---sc-\|---s-c\|c-"'
echo "LIST $(xl list | grep ^crash)"
xenctx "$(xl domid crash)" 2>&1 | grep -i '^[cr]ip\|^rip' | sed 's/^/CTX /'
xl destroy crash; echo "DESTROY $?"
wait_for alone
sleep 1
echo "FREE-AFTER $(free)"
for g in one two four crash; do [ ! -e "/tmp/con/guest-$g.log" ] || sed "s/^/$g: /" "/tmp/con/guest-$g.log"; done
exit 0
SCRIPT
chmod +x "$tmp/script"
libgcc=$(gcc -print-file-name=libgcc_s.so.1)
vm_timeout=400 vm --cpus 2 --memory 3G --add "$image/vmlinuz:/guest/vmlinuz" --add "$tmp/guest-initrd:/guest/initrd" \
    --add "$tmp/one.cfg:/guest/one.cfg" --add "$tmp/two.cfg:/guest/two.cfg" --add "$tmp/four.cfg:/guest/four.cfg" \
    --add "$tmp/crash.cfg:/guest/crash.cfg" --add "$(realpath "$libgcc"):/lib/x86_64-linux-gnu/libgcc_s.so.1" \
    --script "$tmp/script"
is "$status" 0 'the guests run'
for g in one two four crash; do like "$out" "^CREATE $g 0" "xl create $g"; done
like "$out" '^one: .*GUEST-UP cpus=1 ' 'a guest of 128 MiB with 1 vCPU reaches user land'
like "$out" '^two: .*GUEST-UP cpus=2 ' 'a guest with 2 vCPUs'
like "$out" '^four: .*GUEST-UP cpus=4 ' 'a guest with 4 vCPUs'
unlike "$out" 'GUEST-COMPLAINT' 'no complaints of the guests'"'"' kernels'
unlike "$out" '^TIMEOUT' 'power-off and reboot end the guests, all in time'
like "$out" '^LIST crash .* ---s?-?c' 'a crashed guest is kept, and shown so'
like "$out" '^DESTROY 0' 'and destroyed'
is "$(awk '/^FREE-AFTER/ { print $2 }' <<<"$out")" "$(awk '/^FREE-BEFORE/ { print $2 }' <<<"$out")" 'free memory is as before'
done_testing
