"""Where output goes: lines, the tail behind LOG, daily files, echo. Nothing here blocks."""
