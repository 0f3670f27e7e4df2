#!/bin/sh
# check-events.sh - every sentence of the log is a row of mech/report/events.def, and every row is told
# somewhere: fails on a kb_log() elsewhere, and on a row that nothing calls.
set -u

# check DIR: prints what is wrong below DIR.
check() {
    (cd "$1" && {
        grep -rn 'kb_log(' mech cli --include='*.[ch]' | grep -v '^mech/report/events\.[ch]:' |
            sed 's/:.*//; s/$/: a sentence that is not in events.def/'
        sed -n 's/^KB_EVENT\(_PLAIN\)\{0,1\}(\([a-z_0-9]*\),.*/\2/p' mech/report/events.def |
            while read -r row; do
                grep -rqw "kb_event_$row" mech cli --include='*.c' ||
                    echo "events.def: nothing tells $row"
            done
    })
}

# The check is itself checked.
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/mech/report" "$dir/cli"
printf 'KB_EVENT(used, INFO, LOG, "x %%d",\n    (int x), x)\nKB_EVENT_PLAIN(unused, INFO, LOG, "y")\n' \
    >"$dir/mech/report/events.def"
printf 'kb_event_used(events, 1);\n' >"$dir/cli/good.c"
printf 'kb_log(events, 1, "z");\n' >"$dir/mech/bad.c"
if [ "$(check "$dir" | wc -l)" != 2 ]; then
    echo "the check does not find what it must:"
    check "$dir"
    exit 99
fi

wrong=$(check "${1:-${KB_SRCDIR:-.}}")
if [ -n "$wrong" ]; then
    printf '%s\n' "$wrong"
    exit 1
fi
