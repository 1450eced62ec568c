"""`python -m addon`: the same as `chillproxy`."""

from addon.cli import main

if __name__ == "__main__":
    main()
