"""The fields of EPICS records, as EPICS base 7.0 serves them: DBR types, sizes, menus, values.

Pure. Made from the dbd files of base and held against its record engine by a test; VAL is no
business of this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from bgrscrpt_ioc.ca.records import Kind, Record
from bgrscrpt_ioc.events import Severity

# The types of Channel Access, which has no unsigned and no 64-bit numbers: what base serves for
# DBF_USHORT (LONG), DBF_ULONG, DBF_INT64 and DBF_UINT64 (DOUBLE), menus (ENUM), links (STRING).
Type = Literal["STRING", "INT", "FLOAT", "ENUM", "CHAR", "LONG", "DOUBLE"]
Value = str | int | float


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `size` in bytes is of a STRING, `choices` are of an ENUM."""

    type: Type
    value: Value
    size: int = 40
    choices: tuple[str, ...] = ()


LINK = 1024  # bytes of a link that is read as a long string: base's PVLINK_STRINGSZ

# Base serves the first 16 choices of a menu: a DBR_ENUM has no room for more.
_MENUS: Mapping[str, str] = {
    "convert": "NO CONVERSION|SLOPE|LINEAR|typeKdegF|typeKdegC|typeJdegF|typeJdegC"
    "|typeEdegF(ixe only)|typeEdegC(ixe only)|typeTdegF|typeTdegC|typeRdegF|typeRdegC"
    "|typeSdegF|typeSdegC",
    "device": "Soft Channel",
    "ftype": "STRING|CHAR|UCHAR|SHORT|USHORT|LONG|ULONG|INT64|UINT64|FLOAT|DOUBLE|ENUM",
    "ivoa": "Continue normally|Don't drive outputs|Set output to IVOV",
    "omsl": "supervisory|closed_loop",
    "pini": "NO|YES|RUN|RUNNING|PAUSE|PAUSED",
    "post": "On Change|Always",
    "priority": "LOW|MEDIUM|HIGH",
    "scan": "Passive|Event|I/O Intr|10 second|5 second|2 second|1 second|.5 second|.2 second"
    "|.1 second",
    "severity": "|".join(severity.name for severity in Severity),
    "simm": "NO|YES|RAW",
    "status": "NO_ALARM|READ|WRITE|HIHI|HIGH|LOLO|LOW|STATE|COS|COMM|TIMEOUT|HWLIMIT|CALC|SCAN"
    "|LINK|SOFT",
    "wavepost": "Always|On Change",
    "yesno": "NO|YES",
}

# One line for each type or menu: its fields, and their values where those are not 0 or "".
_COMMON = """
    STRING40: RTYP EVNT AMSG NAMSG
    STRING61: NAME
    STRING41: DESC
    STRING29: ASG
    LINK: TSEL SDIS FLNK SIML
    CHAR: DISP PROC LCNT PACT PUTF RPRO TPRO UDF
    INT: PHAS TSE DISV=1 DISA
    DOUBLE: UTAG SDLY=-1
    device: DTYP
    pini: PINI
    priority: PRIO
    scan: SCAN SSCN=65535
    severity: SEVR NSEV ACKS DISS UDFS=3 SIMS
    simm: OLDSIMM
    status: STAT NSTA
    yesno: ACKT=1
"""
_LIMITED = """
    STRING16: EGU
    LINK: INP SIOL
    severity: HHSV LLSV HSV LSV
"""
_BINARY = """
    STRING26: ZNAM ONAM
    LONG: LALM MLST
    severity: ZSV OSV COSV
    simm: SIMM
"""
_OWN: Mapping[Kind, str] = {
    "ai": f"""{_LIMITED}
        INT: PREC INIT=1 LBRK
        LONG: RVAL ORAW
        DOUBLE: EGUF EGUL HOPR LOPR AOFF ASLO=1 SMOO HIHI LOLO HIGH LOW HYST AFTC ADEL MDEL
        DOUBLE: LALM AFVL ALST MLST ESLO=1 EOFF ROFF SVAL
        convert: LINR
        simm: SIMM
    """,
    "bi": f"""{_BINARY}
        LINK: INP SIOL
        DOUBLE: RVAL ORAW MASK SVAL
    """,
    "bo": f"""{_BINARY}
        LINK: DOL OUT SIOL
        LONG: IVOV
        DOUBLE: HIGH RVAL ORAW MASK RBV ORBV
        ivoa: IVOA
        omsl: OMSL
    """,
    "int64in": f"""{_LIMITED}
        DOUBLE: HOPR LOPR HIHI LOLO HIGH LOW HYST AFTC AFVL ADEL MDEL LALM ALST MLST SVAL
        yesno: SIMM
    """,
    "longin": f"""{_LIMITED}
        LONG: HOPR LOPR HIHI LOLO HIGH LOW HYST ADEL MDEL LALM ALST MLST SVAL
        DOUBLE: AFTC AFVL
        yesno: SIMM
    """,
    "mbbi": """
        STRING26: ZRST ONST TWST THST FRST FVST SXST SVST EIST NIST TEST ELST TVST TTST FTST FFST
        LINK: INP SIOL
        INT: SDEF
        LONG: NOBT MLST LALM SHFT
        DOUBLE: ZRVL ONVL TWVL THVL FRVL FVVL SXVL SVVL EIVL NIVL TEVL ELVL TVVL TTVL FTVL FFVL
        DOUBLE: AFTC AFVL RVAL ORAW MASK SVAL
        severity: ZRSV ONSV TWSV THSV FRSV FVSV SXSV SVSV EISV NISV TESV ELSV TVSV TTSV FTSV FFSV
        severity: UNSV COSV
        simm: SIMM
    """,
    "stringin": """
        STRING40: OVAL SVAL
        LINK: INP SIOL
        post: MPST APST
        yesno: SIMM
    """,
    "waveform": """
        STRING16: EGU
        LINK: INP SIOL
        INT: RARM PREC BUSY
        DOUBLE: HOPR LOPR NELM NORD HASH
        ftype: FTVL
        wavepost: MPST APST
        yesno: SIMM
    """,
}

_STATES = (
    "ZR", "ON", "TW", "TH", "FR", "FV", "SX", "SV", "EI", "NI", "TE", "EL", "TV", "TT", "FT", "FF",
)  # fmt: skip
_CHAR_FTYPE = 1


@cache
def fields(kind: Kind) -> Mapping[str, Field]:
    """The fields of a record of this kind, as they are when nothing sets them."""
    return dict(_parse(_COMMON + _OWN[kind]))


def field_of(record: Record, full_name: str, field: str) -> Field | None:
    """The field of this record, None when there is none; STAT, SEVR and NORD change as it runs."""
    plain = fields(record.kind).get(field)
    if plain is None:
        return None
    value = _settings(record, full_name).get(field, plain.value)
    return Field(plain.type, value, plain.size, plain.choices)


def settings(record: Record) -> Mapping[str, Value]:
    """The fields that a database file has to set for this record: name -> value."""
    values: dict[str, Value] = {"DESC": record.desc}
    if record.egu:
        values["EGU"] = record.egu
    if record.kind == "ai":
        values["PREC"] = record.prec
    if record.high:
        values["HOPR"] = record.high
    if record.kind in ("bi", "bo"):
        values |= zip(("ZNAM", "ONAM"), record.choices, strict=True)
    elif record.kind == "mbbi":
        values |= {f"{state}ST": text for state, text in zip(_STATES, record.choices, strict=False)}
        values |= {f"{_STATES[at]}SV": int(record.severities[at]) for at in record.severities}
    elif record.kind == "waveform":
        values |= {"FTVL": _CHAR_FTYPE, "NELM": record.size}
    return values


def menu_text(record: Record, field: str, value: Value) -> str:
    """The value as a database file has it: a menu's choice by its name."""
    choices = fields(record.kind)[field].choices
    return (
        choices[int(value)] if choices else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _settings(record: Record, full_name: str) -> Mapping[str, Value]:
    values: dict[str, Value] = {**settings(record), "NAME": full_name, "RTYP": record.kind}
    if record.kind == "mbbi":
        values["SDEF"] = 1  # states are defined
    return values


def _parse(table: str) -> Iterator[tuple[str, Field]]:
    for line in table.strip().splitlines():
        if not line.strip():
            continue
        kind, _, names = line.strip().partition(": ")
        for entry in names.split():
            name, _, value = entry.partition("=")
            yield name, _field(kind, int(value or 0))


def _field(kind: str, value: int) -> Field:
    if kind in _MENUS:
        return Field("ENUM", value, choices=tuple(_MENUS[kind].split("|")))
    if kind.startswith("STRING"):
        return Field("STRING", "", int(kind.removeprefix("STRING")))
    if kind == "LINK":
        return Field("STRING", "", LINK)
    return Field(cast(Type, kind), float(value) if kind == "DOUBLE" else value)
