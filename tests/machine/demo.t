#!/bin/bash
# SPDX-License-Identifier: MIT
# scripts/demo from beginning to end, as a user calls it, and that it says which step failed when one does. Long form only.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all 'needs xen-lite'
full_form || skip_all 'not in the quick form'
begin=$SECONDS
XEN_LITE_BUILD=$build_dir "$src_dir/scripts/demo" --machine "$test_machine" >"$tmp/demo" 2>&1
is "$?" 0 'the demo succeeds'
like "$(cat "$tmp/demo")" 'All 15 steps passed' 'and says so'
unlike "$(cat "$tmp/demo")" 'FAILED|@result|@wrote' 'no line of failure, none that is not for people'
at_most $((SECONDS - begin)) 240 'seconds it takes when everything is built'
[ "$tests_failed" -eq 0 ] || diag "$(cat "$tmp/demo")"

# A machine without an IOMMU cannot be asked for here: it ends before it boots.
XEN_LITE_BUILD=$build_dir "$src_dir/scripts/demo" --machine bochs >"$tmp/demo" 2>&1
is "$?" 1 'the demo fails where it cannot run'
like "$(cat "$tmp/demo")" 'The demo failed in: "Boot"' 'and names the step'
done_testing
