"""Makes numpy's wheel for Windows load under Wine, whose C runtime lacks C99's complex functions.

Builds a library with these functions, from mingw-w64's libm, and has numpy import that
one: its name has as many characters as the name of Windows' library. For tests only.
Usage: numpy_shim.py SITE_PACKAGES DIRECTORY_OF_LIBRARIES
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

OLD, NEW = "api-ms-win-crt-math-l1-1-0.dll", "npy-ms-win-crt-math-l1-1-0.dll"
MINGW = "x86_64-w64-mingw32-"
PARTS = {
    "real": "a.x[0]",
    "imag": "a.x[1]",
    "arg": "atan2{s}(a.x[1], a.x[0])",
    "abs": "hypot{s}(a.x[0], a.x[1])",
}
COMPLEX = {
    "exp", "pow", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "log", "asin", "acos",
    "atan", "asinh", "acosh", "atanh", "proj", "conj", *PARTS,
}  # fmt: skip
REAL = {"cos", "cosh", "cosf", "coshf"}  # not complex, though they begin with a c
HEAD = """
#include <complex.h>
#include <math.h>
typedef struct {double x[2];} D;
typedef struct {float x[2];} F;
static double _Complex d(D a) {double _Complex z; __real__ z=a.x[0]; __imag__ z=a.x[1]; return z;}
static float _Complex f(F a) {float _Complex z; __real__ z=a.x[0]; __imag__ z=a.x[1]; return z;}
static D to_d(double _Complex z) {D a={{__real__ z,__imag__ z}}; return a;}
static F to_f(float _Complex z) {F a={{__real__ z,__imag__ z}}; return a;}
"""


def imported(module: Path) -> set[str]:
    """Return the names that an extension module imports from the library."""
    listed = subprocess.run(
        [f"{MINGW}objdump", "-p", module], capture_output=True, text=True, check=True
    ).stdout
    found: set[str] = set()
    inside = False
    for line in listed.splitlines():
        if "DLL Name:" in line:
            inside = OLD in line.lower()
        elif inside and re.match(r"\t[0-9a-f]+\s+(\d+|<none>)\s+\S+", line):
            found.add(line.split()[-1])
        elif inside and not line.strip():
            inside = False
    return found


def definition(name: str) -> str:
    """Return the C code of a complex function; nothing for another one."""
    # The last letter of the type: f is float, l is long double, which Microsoft has as double.
    kind = name[-1] if name[-1] in "fl" and name[1:-1] in COMPLEX else ""
    what = name[1:].removesuffix(kind) if kind else name[1:]
    if name[0] != "c" or what not in COMPLEX or name in REAL:
        return ""
    kind_of_c, lower, s, scalar = (
        ("F", "f", "f", "float") if kind == "f" else ("D", "d", "", "double")
    )
    if what in PARTS:
        return f"{scalar} my_{name}({kind_of_c} a) {{return {PARTS[what].format(s=s)};}}"
    arguments = f"{lower}(a), {lower}(b)" if what == "pow" else f"{lower}(a)"
    parameters = f"{kind_of_c} a, {kind_of_c} b" if what == "pow" else f"{kind_of_c} a"
    return f"{kind_of_c} my_{name}({parameters}) {{return to_{lower}(c{what}{s}({arguments}));}}"


def main(site: Path, libraries: Path) -> None:
    """Build the library, and have numpy import it."""
    modules = [each for each in site.glob("numpy/**/*.pyd") if OLD.encode() in each.read_bytes()]
    code = {name: definition(name) for each in modules for name in imported(each)}
    exports = [f"  {name} = {f'my_{name}' if code[name] else f'ucrtbase.{name}'}" for name in code]
    with tempfile.TemporaryDirectory() as directory:
        source, names = Path(directory, "a.c"), Path(directory, "a.def")
        source.write_text("\n".join([HEAD, *filter(None, code.values())]))
        names.write_text("\n".join([f"LIBRARY {NEW}", "EXPORTS", *sorted(exports), ""]))
        flags = ["-w", "-O1", "-fno-builtin", "-static-libgcc", "-shared", "-s"]
        command = [f"{MINGW}gcc", *flags, "-o", libraries / NEW, source, names]
        subprocess.run(command, check=True)
    for each in modules:
        each.write_bytes(each.read_bytes().replace(OLD.encode(), NEW.encode()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
