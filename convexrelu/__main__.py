"""``python -m convexrelu``: the command line."""

from convexrelu.cli import main

if __name__ == "__main__":
    main()
