# Written by tools/manual.py; do not edit.
_kmpsolve_index() {
    cat "${KMPSOLVE_SOLV_CACHE:-/var/cache/zypp/solv}"/$1/solv.idx 2>/dev/null | awk '$0 !~ /[^A-Za-z0-9._+~^:\t-]/'
}
_kmpsolve_kmps() {
    _kmpsolve_index "$1" | awk -F '\t' '$1 ~ /-kmp-[A-Za-z0-9_]+$/ {print $1}' | sort -u
}
_kmpsolve_kernels() {
    _kmpsolve_index '*' | awk -F '\t' '$1 ~ /^kernel-[a-z0-9]+$/ && $1 !~ /^kernel-(devel|docs|firmware|macros|source|syms|vdso)$/ {print $2}' | sort -u
}
_kmpsolve_targets() {
    echo latest newest-safe
    _kmpsolve_kernels
}
_kmpsolve_flavors() {
    _kmpsolve_index '*' | awk -F '\t' '$1 ~ /-kmp-[A-Za-z0-9_]+$/ {sub(/.*-kmp-/, "", $1); print $1}' | sort -u
}
_kmpsolve_unames() {
    ls /lib/modules 2>/dev/null | grep -v '[^A-Za-z0-9._+~-]'
}
_kmpsolve_files() {
    local name
    # Only here: else a verb would get a slash where a folder has its name.
    compopt -o filenames 2>/dev/null
    while IFS= read -r name; do
        COMPREPLY+=("$name")
    done < <(compgen -f -- "$word")
}
_kmpsolve() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= index
    COMPREPLY=()
    # --option=value is three words to bash, and so is ALIAS=SRC.
    if [[ $word == = || $before == = ]]; then
        if [[ $word == = ]]; then word=; else before=${COMP_WORDS[COMP_CWORD-2]}; fi
        [[ $before == -* ]] || before=--repo
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
            plan|check|explain|matrix|diff|verify|suggest|apply|guard|collect|audit|doctor) verb=${COMP_WORDS[index]}; break ;;
        esac
    done
    case $verb,$before in
        plan,--root) _kmpsolve_files; return ;;
        plan,--installed) _kmpsolve_files; return ;;
        plan,--repo) _kmpsolve_files; return ;;
        plan,--releasever) _kmpsolve_files; return ;;
        plan,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        plan,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        plan,--config) _kmpsolve_files; return ;;
        plan,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_targets)" -- "$word")); return ;;
        plan,--format) COMPREPLY=($(compgen -W 'text json html dot' -- "$word")); return ;;
        plan,-o|plan,--output) _kmpsolve_files; return ;;
        plan,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        check,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_targets)" -- "$word")); return ;;
        check,--against) _kmpsolve_files; return ;;
        check,--certificates) _kmpsolve_files; return ;;
        check,--keys) _kmpsolve_files; return ;;
        check,--root) _kmpsolve_files; return ;;
        check,--installed) _kmpsolve_files; return ;;
        check,--repo) _kmpsolve_files; return ;;
        check,--releasever) _kmpsolve_files; return ;;
        check,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        check,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        check,--config) _kmpsolve_files; return ;;
        check,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        check,-o|check,--output) _kmpsolve_files; return ;;
        check,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        explain,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_targets)" -- "$word")); return ;;
        explain,--root) _kmpsolve_files; return ;;
        explain,--installed) _kmpsolve_files; return ;;
        explain,--repo) _kmpsolve_files; return ;;
        explain,--releasever) _kmpsolve_files; return ;;
        explain,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        explain,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        explain,--config) _kmpsolve_files; return ;;
        explain,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        explain,-o|explain,--output) _kmpsolve_files; return ;;
        explain,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        matrix,--root) _kmpsolve_files; return ;;
        matrix,--installed) _kmpsolve_files; return ;;
        matrix,--repo) _kmpsolve_files; return ;;
        matrix,--releasever) _kmpsolve_files; return ;;
        matrix,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        matrix,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        matrix,--config) _kmpsolve_files; return ;;
        matrix,--format) COMPREPLY=($(compgen -W 'text json csv html' -- "$word")); return ;;
        matrix,-o|matrix,--output) _kmpsolve_files; return ;;
        matrix,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        diff,--rules) _kmpsolve_files; return ;;
        diff,--root) _kmpsolve_files; return ;;
        diff,--installed) _kmpsolve_files; return ;;
        diff,--repo) _kmpsolve_files; return ;;
        diff,--releasever) _kmpsolve_files; return ;;
        diff,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        diff,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        diff,--config) _kmpsolve_files; return ;;
        diff,--format) COMPREPLY=($(compgen -W 'text json csv html' -- "$word")); return ;;
        diff,-o|diff,--output) _kmpsolve_files; return ;;
        diff,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        verify,--root) _kmpsolve_files; return ;;
        verify,--installed) _kmpsolve_files; return ;;
        verify,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        verify,--config) _kmpsolve_files; return ;;
        verify,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        verify,-o|verify,--output) _kmpsolve_files; return ;;
        verify,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        suggest,--root) _kmpsolve_files; return ;;
        suggest,--installed) _kmpsolve_files; return ;;
        suggest,--repo) _kmpsolve_files; return ;;
        suggest,--releasever) _kmpsolve_files; return ;;
        suggest,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        suggest,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        suggest,--config) _kmpsolve_files; return ;;
        suggest,--devices) _kmpsolve_files; return ;;
        suggest,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        suggest,-o|suggest,--output) _kmpsolve_files; return ;;
        suggest,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        apply,--root) _kmpsolve_files; return ;;
        apply,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        apply,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        apply,--config) _kmpsolve_files; return ;;
        apply,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_targets)" -- "$word")); return ;;
        apply,--format) COMPREPLY=($(compgen -W 'text' -- "$word")); return ;;
        apply,-o|apply,--output) _kmpsolve_files; return ;;
        apply,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        guard,--root) _kmpsolve_files; return ;;
        guard,--config) _kmpsolve_files; return ;;
        guard,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        guard,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        guard,-o|guard,--output) _kmpsolve_files; return ;;
        guard,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        collect,--root) _kmpsolve_files; return ;;
        collect,--installed) _kmpsolve_files; return ;;
        collect,--repo) _kmpsolve_files; return ;;
        collect,--releasever) _kmpsolve_files; return ;;
        collect,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        collect,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        collect,--config) _kmpsolve_files; return ;;
        collect,--host) _kmpsolve_files; return ;;
        collect,--label) _kmpsolve_files; return ;;
        collect,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        collect,-o|collect,--output) _kmpsolve_files; return ;;
        collect,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        audit,--root) _kmpsolve_files; return ;;
        audit,--installed) _kmpsolve_files; return ;;
        audit,--repo) _kmpsolve_files; return ;;
        audit,--releasever) _kmpsolve_files; return ;;
        audit,--flavor) COMPREPLY=($(compgen -W "$(_kmpsolve_flavors)" -- "$word")); return ;;
        audit,--running) COMPREPLY=($(compgen -W "$(_kmpsolve_unames)" -- "$word")); return ;;
        audit,--config) _kmpsolve_files; return ;;
        audit,--kernel) COMPREPLY=($(compgen -W "$(_kmpsolve_targets)" -- "$word")); return ;;
        audit,--group-by) _kmpsolve_files; return ;;
        audit,--with-repo) _kmpsolve_files; return ;;
        audit,--baseline) _kmpsolve_files; return ;;
        audit,--fail-on) COMPREPLY=($(compgen -W 'blocked unverified never' -- "$word")); return ;;
        audit,--exit-style) COMPREPLY=($(compgen -W 'zypper nagios' -- "$word")); return ;;
        audit,--jobs) _kmpsolve_files; return ;;
        audit,--scheduler) _kmpsolve_files; return ;;
        audit,--format) COMPREPLY=($(compgen -W 'text json jsonl csv html prometheus junit' -- "$word")); return ;;
        audit,-o|audit,--output) _kmpsolve_files; return ;;
        audit,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
        doctor,--root) _kmpsolve_files; return ;;
        doctor,--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        doctor,-o|doctor,--output) _kmpsolve_files; return ;;
        doctor,--color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
    esac
    case $verb in
        '') COMPREPLY=($(compgen -W 'plan check explain matrix diff verify suggest apply guard collect audit doctor --help --version' -- "$word")) ;;
        plan)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --repo --releasever --flavor --running --config --kernel --dup --schema --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
        check)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--kernel --against --certificates --keys --require-signed --root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else _kmpsolve_files; fi ;;
        explain)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--kernel --root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -W "$(_kmpsolve_kmps @System)" -- "$word")); fi ;;
        matrix)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -W "$(_kmpsolve_kmps '*')" -- "$word")); fi ;;
        diff)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--rules --root --installed --repo --releasever --flavor --running --config --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else COMPREPLY=($(compgen -W "$(_kmpsolve_kernels)" -- "$word")); _kmpsolve_files; fi ;;
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
            else _kmpsolve_files; fi ;;
        doctor)
            if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--root --format --output --color --strict --verbose --quiet --help' -- "$word"))
            else :; fi ;;
    esac
}
complete -o bashdefault -F _kmpsolve kmpsolve
