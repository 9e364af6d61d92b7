"""``python -m brenier``: the command line."""

from brenier.cli import entry

if __name__ == "__main__":
    raise SystemExit(entry())
