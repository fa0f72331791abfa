#!/bin/bash
# SPDX-License-Identifier: MIT
# xl-dmd with a real guest: its console on socket, pty and log, through restarts of the daemon and the guest's death;
# and the control socket. Guests are made with xl-lite, on Debian's Xen with its own xl.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] || skip_all 'needs a hypervisor'
need_tools
compile "$tests_dir/talk.c" "$tmp/talk"
kernel=$("$src_dir/scripts/build-image")/vmlinuz || skip_all 'no kernel for a guest'

cat >"$tmp/script" <<'SCRIPT'
tool=$1
run=/run/xen-lite console=/run/xen-lite/console
say() { echo "== $*"; }
step() { say "$1"; shift; "$@" 2>&1; say "status $?"; }
qmp() { talk $run/control.sock 10 "$1" '{"execute": "qmp_capabilities"}'"$2"; }

# The guest echoes lines, counts when asked to, and crashes when asked to.
mkdir -p /tmp/root/bin /tmp/root/dev /tmp/root/proc
cp /bin/busybox /tmp/root/bin/busybox
ln -s busybox /tmp/root/bin/sh
cat >/tmp/root/init <<'INIT'
#!/bin/sh
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
exec </dev/hvc0 >/dev/hvc0 2>&1
busybox stty -echo
# A remark of the kernel's in the middle of a line is no lost line.
echo 1 >/proc/sys/kernel/printk
echo "guest is up"
while read -r line; do
    case $line in
    count) (n=0; while [ $n -lt 400 ]; do n=$((n + 1)); echo "tick $n."; busybox usleep 5000; done; echo counted) & ;;
    crash) echo "last words"; busybox usleep 300000; echo c >/proc/sysrq-trigger ;;
    *) echo "echo:$line:" ;;
    esac
done
INIT
chmod +x /tmp/root/init
(cd /tmp/root && find . | cpio -o -H newc 2>/dev/null) >/tmp/guest.cpio
cat >/tmp/guest.cfg <<'CFG'
name = "speaker"
type = "pvh"
kernel = "/tmp/vmlinuz"
ramdisk = "/tmp/guest.cpio"
memory = 128
vcpus = 1
cmdline = "console=hvc0 panic=-1"
on_crash = "preserve"
CFG

# Xen traps RDTSCP here and mistakes the emulator's exit for RDTSC: its guests do without it.
[ "$tool" != xl ] || echo 'cpuid = "host,rdtscp=0"' >>/tmp/guest.cfg

step 'start daemon' xl-dmd --pidfile /run/xl-dmd.pid
step 'second daemon' xl-dmd -F
first=$(cat /run/xl-dmd.pid)
say "capabilities $(grep CapEff /proc/$first/status)"
say "files $(awk '/Max open files/ { print $4 == $5 ? "hard" : "soft" }' /proc/$first/limits)"
step 'version' qmp hypervisor '{"execute": "query-version"}'
[ "$tool" != xl ] || start-xenstored
# xl goes on only when it finds in xenstore which pty the console has; Xen's own daemon would write that.
tell_xl()
{
    # More than once: libxl writes an empty value when it comes to that device.
    until [ -e /tmp/created ]; do
        [ ! -L $console/1.pty ] || xenstore-write /local/domain/1/console/tty "$(readlink $console/1.pty)"
        usleep 500000
    done
}
case $tool in
xl) tell_xl & step 'create' xl create -e -q /tmp/guest.cfg ;;
*) step 'create' xl-lite create -q /tmp/guest.cfg ;;
esac
: >/tmp/created
[ -n "$(ls $console)" ] || { say 'messages'; cat /var/log/xen-lite/xl-dmd.log; exit 0; }
tries=0
until [ -S $console/*.sock ] || [ $tries -gt 50 ]; do tries=$((tries + 1)); usleep 100000; done
domid=$(basename $console/*.sock .sock)
sock=$console/$domid.sock pty=$console/$domid.pty
# What came before the socket was opened is in the log.
tries=0
until grep -q 'guest is up' /var/log/xen-lite/*.log || [ $tries -gt 600 ]; do tries=$((tries + 1)); usleep 100000; done
log=$(grep -l 'guest is up' /var/log/xen-lite/*.log)
say "log $log"
head -n 3 $log
step 'socket' talk $sock 20 'echo:hello:' 'hello
'
step 'pty' talk $pty 20 'echo:by pty:' 'by pty
'
step 'consoles' qmp log-lost '{"execute": "query-consoles"}'
step 'domains' qmp '"return": [' '{"execute": "query-domains"}'

# The daemon is killed and started again while the guest counts: no line is lost, none doubled.
talk $sock 1 'tick 3.' 'count
'
echo
for round in 1 2 3; do
    kill -9 "$(cat $run/xl-dmd.lock)"
    usleep 300000
    xl-dmd --pidfile /run/xl-dmd.pid || say 'restart failed'
    usleep 300000
done
tries=0
until grep -q '^counted' $log || [ $tries -gt 300 ]; do tries=$((tries + 1)); usleep 100000; done
say "ticks $(grep -c '^tick [0-9]*\.' $log) $(grep '^tick [0-9]*\.' $log | sort -u | wc -l)"

# The guest dies; the domain is looked at, then destroyed: its last text is kept, and nothing of it stays.
(talk $run/control.sock 90 DOMAIN_REMOVED '{"execute": "qmp_capabilities"}' | tr '\r' '\n' >/tmp/events; echo "status $?" >>/tmp/events) &
talk $sock 60 'Kernel panic' 'crash
' >/tmp/panic
(talk $sock 30 '' >/tmp/end; echo "status $?" >>/tmp/end) &
usleep 500000
tries=0
until qmp '"return": [' '{"execute": "query-domains"}' | grep -q '"crash"' || [ $tries -gt 30 ]; do
    tries=$((tries + 1)); usleep 200000
done
say "crash seen after $tries"
case $tool in
xl) xl destroy $domid ;;
*) xl-lite destroy $domid ;;
esac
usleep 1500000
wait
say 'events'; cat /tmp/events
say 'end'; tail -n 1 /tmp/end
say 'last'; grep -E 'last words|sysrq: Trigger a crash|Kernel panic' $log
say "left $(ls $console | wc -l)"
step 'domains' qmp '"return": [' '{"execute": "query-domains"}'
pid=$(cat $run/xl-dmd.lock)
step 'quit' qmp '"DAEMON_STOP"' '{"execute": "quit"}'
usleep 500000
kill -0 $pid 2>/dev/null && say 'still running'
say "left $(ls /run/xen-lite/control.sock /run/xl-dmd.pid 2>/dev/null | wc -l)"
say 'messages'; cat /var/log/xen-lite/xl-dmd.log
say 'end of the log'; tail -n 40 "$log"
say 'torn lines'; grep -n -B1 -A1 tick $log | grep -v '^[0-9]*[:-]tick [0-9]*\.$'
say 'hypervisor'; [ "$tool" = xl ] || xl-lite dmesg | tail -n 40
SCRIPT

tool=xl-lite
libraries=()
if [ "$hypervisor" = xen ]; then
    tool=xl
    # xl ends its threads with pthread_cancel(), which loads this library when it is called.
    libraries=(--add "$(gcc -print-file-name=libgcc_s.so.1):/lib/x86_64-linux-gnu/libgcc_s.so.1")
fi
vm_timeout=420
vm --cpus 2 --memory 4G --kernel-args vm_drivers=off --add "$build_dir/dm/xl-dmd:/usr/bin/xl-dmd" --add "$tmp/talk:/usr/bin/talk" \
    --add "$kernel:/tmp/vmlinuz" ${libraries[@]+"${libraries[@]}"} --script "$tmp/script" -- "$tool"
part() { awk -v head="== $1" 'index($0, head) == 1 { on = 1; print; next } /^== / && on { print; exit } on' <<<"$out"; }

is "$status" 0 'the script runs to its end'
like "$(part 'start daemon')" '== status 0' 'xl-dmd starts in the background'
like "$(part 'second daemon')" 'another xl-dmd uses /run/xen-lite \(process [0-9]+\)' 'a second one is refused, with the number'
like "$(part 'second daemon')" '== status 1' 'and with a status'
like "$(part capabilities)" 'CapEff:[[:space:]]*0+$' 'it runs without capabilities'
like "$(part files)" 'hard$' 'it may open as many files as it was allowed'
like "$(part version)" '"hypervisor": "4\.17' 'query-version tells the hypervisor'"'"'s version'
create=$(part create)
if [ "$hypervisor" != xen ] && grep -q -i -E 'not implemented|not supported' <<<"$create"; then
    note "guests are not possible here yet: $create"
    done_testing
fi
like "$create" '== status 0' 'a guest is created'
like "$(part log)" 'domain [0-9]+, [0-9a-f-]{36}\]' 'its log begins with which domain it is'
like "$(part log)" 'Linux version' 'and has the first line of its kernel'
like "$(part socket)" '== status 0' 'the socket carries text both ways'
like "$(part pty)" '== status 0' 'so does the pty'
like "$(part consoles)" '"state": "attached"' 'query-consoles: attached'
like "$(part domains)" '"state": "(running|blocked)".*"vcpus": 1' 'query-domains lists the guest'
like "$(part ticks)" '== ticks 400 400' 'three killed daemons: no line lost, none doubled'
like "$(part 'crash seen')" 'after [0-9] *$|after [12][0-9]$' 'the crash shows in query-domains'
like "$(part events)" 'DOMAIN_SHUTDOWN.*"reason": "crash"' 'DOMAIN_SHUTDOWN came, with the reason'
like "$(part events)" 'DOMAIN_REMOVED' 'DOMAIN_REMOVED came'
like "$(part events)" '^status 0' 'in their order'
like "$(part end)" 'status 0' 'clients see the end of file when the guest is gone'
like "$(part last)" 'last words' 'the log has the guest'"'"'s last words'
like "$(part last)" 'Kernel panic' 'and its panic'
is "$(part left | head -n 1)" '== left 0' 'no socket and no pty stays'
like "$(part quit)" '== status 0' 'quit answers'
unlike "$out" '== still running' 'and ends the daemon'
like "$(sed -n '/^== quit/,$p' <<<"$out")" '== left 0' 'which takes its socket and pid file with it'
[ "$tests_failed" -eq 0 ] || diag "$out"
done_testing
