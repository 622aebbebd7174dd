/* python.exe for the tests under Wine: Python's own main, and nothing else. */
#include <windows.h>

extern int Py_Main(int, wchar_t **);

int wmain(int argc, wchar_t **argv)
{
    return Py_Main(argc, argv);
}
