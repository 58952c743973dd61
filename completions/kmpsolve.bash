# Written by tools/manual.py; do not edit.
_kmpsolve_index() {
    cat "${KMPSOLVE_SOLV_CACHE:-/var/cache/zypp/solv}"/$1/solv.idx 2>/dev/null | awk '$0 !~ /[^A-Za-z0-9._+~^:\t-]/'
}
_kmpsolve_kmps() {
    _kmpsolve_index "$1" | awk -F '\t' '$1 ~ /-kmp-/ {print $1}' | sort -u
}
_kmpsolve_kernels() {
    echo latest newest-safe
    _kmpsolve_index '*' | awk -F '\t' '$1 ~ /^kernel-[a-z0-9]+$/ && $1 !~ /^kernel-(devel|docs|firmware|macros|source|syms|vdso)$/ {print $2}' | sort -u
}
_kmpsolve_flavors() {
    _kmpsolve_index '*' | awk -F '\t' '$1 ~ /-kmp-/ {sub(/.*-kmp-/, "", $1); print $1}' | sort -u
}
_kmpsolve_unames() {
    ls /lib/modules 2>/dev/null | grep -v '[^A-Za-z0-9._+~-]'
}
_kmpsolve() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= index
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
            plan|check|explain|matrix|diff|verify|suggest|apply|guard|collect|audit|doctor) verb=${COMP_WORDS[index]}; break ;;
        esac
    done
    case $verb,$before in
        plan,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        plan,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        plan,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_kernels)" -- "$word")); return ;;
        plan,--format) COMPREPLY=($(compgen -W 'text json html dot' -- "$word")); return ;;
        plan,-o|plan,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        check,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_kernels)" -- "$word")); return ;;
        check,--against) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--certificates) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--keys) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        check,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        check,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        check,-o|check,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        check,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        explain,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_kernels)" -- "$word")); return ;;
        explain,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        explain,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        explain,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        explain,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        explain,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        explain,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        explain,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        explain,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        explain,-o|explain,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        explain,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        matrix,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        matrix,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        matrix,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        matrix,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        matrix,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        matrix,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        matrix,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        matrix,--format) COMPREPLY=($(compgen -W 'text json csv html' -- "$word")); return ;;
        matrix,-o|matrix,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        matrix,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        diff,--rules) COMPREPLY=($(compgen -f -- "$word")); return ;;
        diff,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        diff,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        diff,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        diff,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        diff,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        diff,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        diff,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        diff,--format) COMPREPLY=($(compgen -W 'text json csv html' -- "$word")); return ;;
        diff,-o|diff,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        diff,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        verify,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        verify,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        verify,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        verify,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        verify,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        verify,-o|verify,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        verify,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        suggest,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        suggest,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        suggest,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        suggest,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        suggest,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        suggest,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        suggest,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        suggest,--devices) COMPREPLY=($(compgen -f -- "$word")); return ;;
        suggest,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        suggest,-o|suggest,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        suggest,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        apply,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        apply,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        apply,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        apply,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        apply,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_kernels)" -- "$word")); return ;;
        apply,--format) COMPREPLY=($(compgen -W 'text' -- "$word")); return ;;
        apply,-o|apply,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        apply,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        guard,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        guard,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        guard,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        guard,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        guard,-o|guard,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        guard,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        collect,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        collect,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        collect,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--host) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--label) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        collect,-o|collect,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        collect,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        audit,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--installed) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--releasever) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        audit,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        audit,--config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_kernels)" -- "$word")); return ;;
        audit,--group-by) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--with-repo) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--baseline) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--fail-on) COMPREPLY=($(compgen -W 'blocked unverified never' -- "$word")); return ;;
        audit,--exit-style) COMPREPLY=($(compgen -W 'zypper nagios' -- "$word")); return ;;
        audit,--jobs) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--scheduler) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--format) COMPREPLY=($(compgen -W 'text json jsonl csv html prometheus junit' -- "$word")); return ;;
        audit,-o|audit,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        audit,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        doctor,--root) COMPREPLY=($(compgen -f -- "$word")); return ;;
        doctor,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        doctor,-o|doctor,--output) COMPREPLY=($(compgen -f -- "$word")); return ;;
        doctor,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
    esac
    case $verb in
        '') COMPREPLY=($(compgen -W 'plan check explain matrix diff verify suggest apply guard collect audit doctor --help --version' -- "$word")) ;;
        plan)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --repo --releasever --flavor --running --config --kernel --dup --schema --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
        check)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--kernel --against --certificates --keys --require-signed --root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -f -- "$word")); fi ;;
        explain)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--kernel --root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -W "$(_kmpsolve_kmps @System)" -- "$word")); fi ;;
        matrix)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -W "$(_kmpsolve_kmps '*')" -- "$word")); fi ;;
        diff)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--rules --root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -W "$(_kmpsolve_kernels)" -- "$word")); COMPREPLY+=($(compgen -f -- "$word")); fi ;;
        verify)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --running --config --booted --remember --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
        suggest)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --repo --releasever --flavor --running --config --devices --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
        apply)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --flavor --running --config --kernel --non-interactive --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
        guard)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --config --running --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -W 'on off sync status' -- "$word")); fi ;;
        collect)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --repo --releasever --flavor --running --config --host --label --hardware --schema --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
        audit)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --repo --releasever --flavor --running --config --kernel --group-by --with-repo --baseline --fail-on --exit-style --jobs --scheduler --schema --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -f -- "$word")); fi ;;
        doctor)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
    esac
}
complete -o filenames -o bashdefault -F _kmpsolve kmpsolve
