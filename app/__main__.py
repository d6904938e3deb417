"""`python -m app` is `bitdial`."""

from app.cli import main

if __name__ == "__main__":
    main()
