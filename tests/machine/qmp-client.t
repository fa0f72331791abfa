#!/bin/bash
# SPDX-License-Identifier: MIT
# Clients of QMP that others wrote talk to the control socket: qmp-shell and the library qemu.qmp, both as QEMU has them. They run on the
# host, and reach the socket through the emulated network.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all 'needs xen-lite'
need_tools
# The library as it is installed, or in a tree of QEMU's sources: named, or what scripts/lib/qemu-vmx has left.
cache=${XEN_LITE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xen-lite}
for tree in "${XEN_LITE_QEMU_SOURCE:-}" "$cache"/qemu-vmx/build-tree/qemu-*/; do
    [ ! -d "$tree/python/qemu/qmp" ] || { export PYTHONPATH=$tree/python; break; }
done
python3 -c 'import readline; from qemu.qmp import QMPClient, qmp_shell' 2>/dev/null ||
    skip_all "no qemu.qmp for python3: neither installed nor in \$XEN_LITE_QEMU_SOURCE"
compile "$tests_dir/forward.c" "$tmp/forward"

cat >"$tmp/client.py" <<'PY'
# Events and answers through the library: what the control domain does shows up as records while we listen.
import asyncio, sys
from qemu.qmp import QMPClient, ExecuteError

async def main():
    client = QMPClient('test')
    await client.connect(('127.0.0.1', int(sys.argv[1])))
    print('PACKAGE', (await client.execute('query-version'))['package'])
    print('DOMAIN', (await client.execute('query-domains', {'domid': 0}))[0]['domid'])
    print('DEVICE', [f['bdf'] for f in await client.execute('query-pci') if f['bdf'] == '0000:00:05.0'][0])
    print('CLEAN', (await client.execute('audit'))['clean'])
    try:
        await client.execute('device-add', {'domid': 4242, 'bdf': '0000:00:05.0'})
    except ExecuteError as error:
        print('REFUSED', error.error_class)
    with client.listener() as events:
        await client.execute('trap-trace-start')
        event = await asyncio.wait_for(events.get(), 15)
        print('EVENT', event['event'], sorted(event['data'])[:1])
        await client.execute('trap-trace-stop')
    await client.disconnect()

asyncio.run(main())
PY
cat >"$tmp/script" <<'SCRIPT'
card=$(basename "$(ls -d /sys/bus/pci/drivers/e1000e/*/net/* | head -n 1)")
ip link set $card up
udhcpc -i $card -n -q -t 20 -T 1 -s /usr/bin/udhcpc-script >/dev/null 2>&1
xl-dmd
# Something that traps.
while usleep 100000; do dd if=/sys/bus/pci/devices/0000:00:05.0/config of=/dev/null bs=64 count=1 2>/dev/null; done &
forward 4444 /run/xen-lite/control.sock 2
kill $!
xl-lite audit | tail -n 1
SCRIPT
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport')
: >"$tmp/vm.out"
"$src_dir/scripts/vm" --timeout 100 --machine "$test_machine" --device nvme,drive=disk,serial=one,addr=5 \
    --qemu-arg -drive --qemu-arg file.driver=null-co,file.size=16M,format=raw,if=none,id=disk \
    --device e1000e,netdev=net,addr=6 --qemu-arg -netdev --qemu-arg "user,id=net,hostfwd=tcp:127.0.0.1:$port-:4444" \
    --add "$tmp/forward:/bin/forward" --script "$tmp/script" >"$tmp/vm.out" 2>"$tmp/vm.err" &
machine=$!
trap 'kill "$machine" 2>/dev/null; wait "$machine" 2>/dev/null; rm -rf "$tmp"' EXIT
for ((i = 0; i < 900; i++)); do grep -q READY "$tmp/vm.out" && break; sleep 0.1; done

shell=$(printf '%s\n' query-version 'query-domains domid=0' query-commands 'query-pci bdf=0000:00:05.0' audit 'no-such-command' |
    HOME=$tmp timeout 40 python3 -c 'from qemu.qmp import qmp_shell; qmp_shell.main()' "127.0.0.1:$port" 2>&1)
like "$shell" 'Connected to QEMU [0-9]+\.[0-9]+\.[0-9]+' 'qmp-shell connects, and reads the greeting'
like "$shell" '"package": "xen-lite' 'query-version'
like "$shell" '"domid": 0' 'query-domains with an argument'
like "$shell" '"bdf": "0000:00:05.0"' 'query-pci'
like "$shell" '"clean": true' 'audit'
like "$shell" '"class": "CommandNotFound"' 'it understands an error'

library=$(timeout 60 python3 "$tmp/client.py" "$port" 2>&1)
like "$library" '^PACKAGE xen-lite' 'the library qemu.qmp executes a command'
like "$library" '^DOMAIN 0' 'with arguments'
like "$library" '^DEVICE 0000:00:05.0' 'finds a device'
like "$library" '^CLEAN True' 'asks for an audit'
like "$library" '^REFUSED DeviceNotFound' 'gets a refusal as its own exception'
like "$library" '^EVENT TRAP' 'and receives events'
wait "$machine"
is "$?" 0 'the machine runs to its end'
like "$(cat "$tmp/vm.out")" 'No breach' 'and is sound'
[ "$tests_failed" -eq 0 ] || diag "$shell"$'\n'"$library"$'\n'"$(tail -n 20 "$tmp/vm.err")"
done_testing
