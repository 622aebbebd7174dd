"""The fields of EPICS records as EPICS base 7.0 serves them: DBR types, sizes, menus, values.

Pure. Made from base's dbd files, and compared by a test with its record engine. VAL is not here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.database import settings
from bgrscrpt_ioc.records.table import Kind, Record

# Channel Access has no unsigned and no 64-bit numbers. Base serves DBF_USHORT as LONG; DBF_ULONG,
# DBF_INT64 and DBF_UINT64 as DOUBLE; menus as ENUM; links as STRING.
Type = Literal["STRING", "INT", "FLOAT", "ENUM", "CHAR", "LONG", "DOUBLE"]
Value = str | int | float


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `size` (bytes) is for a STRING, `choices` are for an ENUM."""

    type: Type
    value: Value
    size: int = 40
    choices: tuple[str, ...] = ()


LINK = 1024  # bytes of a link that is read as a long string: base's PVLINK_STRINGSZ

# Base serves the first 16 choices of a menu, because a DBR_ENUM has no room for more.
_MENUS: Mapping[str, str] = {
    "convert": "NO CONVERSION|SLOPE|LINEAR|typeKdegF|typeKdegC|typeJdegF|typeJdegC"
    "|typeEdegF(ixe only)|typeEdegC(ixe only)|typeTdegF|typeTdegC|typeRdegF|typeRdegC"
    "|typeSdegF|typeSdegC",
    "device": "Soft Channel",
    "ftype": "STRING|CHAR|UCHAR|SHORT|USHORT|LONG|ULONG|INT64|UINT64|FLOAT|DOUBLE|ENUM",
    "ivoa": "Continue normally|Don't drive outputs|Set output to IVOV",
    "oif": "Full|Incremental",
    "omsl": "supervisory|closed_loop",
    "oopt": "Every Time|On Change|When Zero|When Non-zero|Transition To Zero"
    "|Transition To Non-zero",
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

# One line for each type or menu: its fields, and their values if these are not 0 or "".
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
    "ao": """
        STRING16: EGU
        LINK: OUT DOL SIOL
        severity: HHSV LLSV HSV LSV
        CHAR: OMOD
        INT: PREC INIT=1 LBRK
        LONG: RVAL ORAW RBV ORBV
        DOUBLE: OVAL OROC EGUF EGUL ROFF EOFF ESLO=1 DRVH DRVL HOPR LOPR AOFF ASLO HIHI LOLO HIGH
        DOUBLE: LOW HYST ADEL MDEL PVAL LALM ALST MLST IVOV
        convert: LINR
        ivoa: IVOA
        oif: OIF
        omsl: OMSL
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
    "longout": """
        STRING16: EGU
        LINK: OUT DOL SIOL
        severity: HHSV LLSV HSV LSV
        LONG: DRVH DRVL HOPR LOPR HIHI LOLO HIGH LOW HYST ADEL MDEL LALM ALST MLST IVOV PVAL
        ivoa: IVOA
        omsl: OMSL
        oopt: OOPT
        yesno: SIMM OOCH=1
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
    "mbbo": """
        STRING26: ZRST ONST TWST THST FRST FVST SXST SVST EIST NIST TEST ELST TVST TTST FTST FFST
        LINK: OUT DOL SIOL
        INT: SDEF
        LONG: NOBT MLST LALM SHFT IVOV
        DOUBLE: ZRVL ONVL TWVL THVL FRVL FVVL SXVL SVVL EIVL NIVL TEVL ELVL TVVL TTVL FTVL FFVL
        DOUBLE: RVAL ORAW RBV ORBV MASK
        severity: ZRSV ONSV TWSV THSV FRSV FVSV SXSV SVSV EISV NISV TESV ELSV TVSV TTSV FTSV FFSV
        severity: UNSV COSV
        ivoa: IVOA
        omsl: OMSL
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


@cache
def fields(kind: Kind) -> Mapping[str, Field]:
    """Return the fields of a record of this kind as they are when nothing sets them."""
    return dict(_parse(_COMMON + _OWN[kind]))


def field_of(record: Record, full_name: str, field: str) -> Field | None:
    """Return this field of a record, or None. STAT, SEVR and NORD change while it runs."""
    plain = fields(record.kind).get(field)
    if plain is None:
        return None
    value = _settings(record, full_name).get(field, plain.value)
    return Field(plain.type, value, plain.size, plain.choices)


def _settings(record: Record, full_name: str) -> Mapping[str, Value]:
    values: dict[str, Value] = {**settings(record), "NAME": full_name, "RTYP": record.kind}
    if record.kind in ("mbbi", "mbbo"):
        values["SDEF"] = 1  # the states are defined
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


# Fields that processing sets to the record's value.
_FOLLOWING: Mapping[Kind, frozenset[str]] = {
    "ai": frozenset(("ALST", "MLST")),
    "ao": frozenset(("ALST", "MLST", "OVAL", "PVAL")),
    "longin": frozenset(("ALST", "MLST")),
    "longout": frozenset(("ALST", "MLST", "PVAL")),
    "bi": frozenset(("LALM", "MLST")),
    "bo": frozenset(("LALM", "MLST", "ORAW", "RVAL")),
    "mbbi": frozenset(("LALM", "MLST")),
    "mbbo": frozenset(("LALM", "MLST")),
}


def follows(record: Record, field: str) -> bool:
    """Return whether this field changes with the value of a record that a script has made."""
    if not record.made:
        return False
    if field in _FOLLOWING.get(record.kind, ()):
        return True
    of_numbers = field == "LALM" and record.kind in ("ai", "ao", "longin", "longout")
    return of_numbers or field == "INIT" or (record.kind == "ao" and field in ("RVAL", "ORAW"))


def following(record: Record, field: str, value: float) -> Value:
    """Return such a field for a record with this value, as base's processing sets it."""
    if field in ("RVAL", "ORAW") and record.kind == "ao":
        if math.isnan(value):
            return 0
        rounded = value + 0.5 if value >= 0 else value - 0.5
        return int(max(-(2**31), min(2**31 - 1, rounded)))
    if field == "LALM" and record.kind in ("ai", "ao", "longin", "longout"):
        low, high = record.alarms
        if high is not None and value >= high:
            return high
        if low is not None and value <= low:
            return low
    return 0 if field == "INIT" else value
