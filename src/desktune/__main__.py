"""``python -m desktune`` is the same program as ``desktune``."""

from desktune.cli.main import main

if __name__ == "__main__":
    main()
