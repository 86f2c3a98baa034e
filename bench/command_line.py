"""The command line as a module: processes that it starts import it anew."""

from app.cli import main

if __name__ == "__main__":
    main()
