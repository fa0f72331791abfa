#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots in a row, all of which must succeed: 20, not in the quick form (XEN_LITE_BOOTS sets another number).
. "$(dirname -- "$0")/lib.sh"

boots=${XEN_LITE_BOOTS:-20}
full_form || [ -n "${XEN_LITE_BOOTS:-}" ] || skip_all 'not in the quick form'
for ((i = 1; i <= boots; i++)); do
    vm -- 'nproc; dmesg | grep -c -E "BUG:|Call Trace|soft lockup"; true'
    is "$status/$(tr '\n' ' ' <<<"$out")" '0/2 0 ' "boot $i of $boots (user land after ${user_land:-?} s)"
done
done_testing
