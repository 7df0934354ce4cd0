#!/usr/bin/env bash
# ziglang==0.17.1 from PyPI (zig cc), on x86-64 Linux
#
# __builtin_cpu_supports("avx2") in a shared library that zig cc linked says 0 on a processor that has AVX2, after
# __builtin_cpu_init() as well. CPUID asked by <cpuid.h> tells the truth in the
# same library. gcc's and clang's own runtimes fill the table behind the builtin.
#
# Surprising because everything compiles and links without a word, and a library that chooses its
# fastest code by this builtin runs, always on the slowest.
set -euo pipefail
[ "$(uname -sm)" = "Linux x86_64" ] && grep -qw avx2 /proc/cpuinfo || { echo "needs x86-64 Linux with AVX2"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ziglang==0.17.1
cat > "$folder/look.c" <<'C'
#include <cpuid.h>
int builtin(void) {
    __builtin_cpu_init();
    return !!__builtin_cpu_supports("avx2");
}
int cpuid(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}
C
"$folder/venv/bin/python" -m ziglang cc -shared -fPIC -O1 -o "$folder/look.so" "$folder/look.c"
"$folder/venv/bin/python" - "$folder/look.so" <<'PY'
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
builtin, cpuid = library.builtin(), bool(library.cpuid())
print(f"__builtin_cpu_supports(avx2): {builtin}, cpuid: {cpuid}")
assert cpuid and not builtin
PY
