"""Large numbers in three digits and a unit."""


def in_bytes(count: int) -> str:
    """Bytes of memory or disk: `3.2 GiB`."""
    return _scaled(count, 1024, ("bytes", "KiB", "MiB", "GiB", "TiB"))


def in_operations(count: int) -> str:
    """Floating-point operations: `1.7 PFLOP`."""
    return _scaled(count, 1000, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"))


def in_tokens(count: int) -> str:
    """Tokens: `2.4 M`."""
    return _scaled(count, 1000, ("", "k", "M", "G", "T")).rstrip()


def _scaled(count: float, step: int, units: tuple[str, ...]) -> str:
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / step, power + 1
    return f"{count:.3g} {units[power]}"
