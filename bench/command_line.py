"""The command line as a module, which the worker processes that it starts import again."""

from app.cli import main

if __name__ == "__main__":
    main()
