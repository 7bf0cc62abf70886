# shellcheck shell=sh
# For the other scripts: which of a tool's versions to use. Debian has clang-14 (12) or clang-19 (13), and
# `clang` where somebody installed the unversioned package.

# tool NAME: the command for NAME, unversioned if it is installed, else its newest NAME-N; fails if neither is.
tool() {
    if command -v "$1" 2>/dev/null; then
        return 0
    fi
    for version in 24 23 22 21 20 19 18 17 16 15 14; do
        if command -v "$1-$version" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}
