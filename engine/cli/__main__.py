"""`python -m engine.cli` is `campaign`."""

from engine.cli import main

if __name__ == "__main__":
    main()
