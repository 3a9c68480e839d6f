"""How much resident memory something takes at its highest (Linux)."""

from pathlib import Path


class Peak:
    """The highest resident size since ``forget``, beyond that when this was made."""

    def __init__(self) -> None:
        self._before = _bytes("VmRSS")
        self.forget()

    def forget(self) -> None:
        """Let the highest size begin anew, from what is resident now."""
        Path("/proc/self/clear_refs").write_text("5")

    def gigabytes(self) -> float:
        """Return the highest size in GB."""
        return max(0, _bytes("VmHWM") - self._before) / 1e9


def _bytes(name: str) -> int:
    """Return a line of this process's status: ``VmRSS`` is resident now, ``VmHWM`` the highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))
