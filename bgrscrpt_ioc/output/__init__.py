"""Where output goes: whole lines, the tail for LOG, daily files, echo. Nothing here blocks."""
