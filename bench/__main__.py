"""`make bench`: figures of this machine, each beside something measured in the same run."""

import argparse

from app.memory import spare_collections
from bench import month_close


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--enterprises", type=int, default=20_000)
    parser.add_argument("--months", type=int, default=3, help="the last of them is measured")
    given = parser.parse_args()
    spare_collections()
    month_close.run(given.enterprises, given.months)


if __name__ == "__main__":
    main()
