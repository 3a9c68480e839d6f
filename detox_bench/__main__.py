"""``python -m detox_bench``: the command line, for launchers that take a module."""

from detox_bench.cli import main

if __name__ == "__main__":
    main()
