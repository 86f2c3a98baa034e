"""`make bench`: measures this machine, and compares each figure with another one from the same run."""

import argparse

from app.runtime.memory import spare_collections
from bench import audit, concurrent, country, month_close, reads, rules


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("assessment", "month-close", "rebuild", "audit", "country", "reads", "concurrent")
    parser.add_argument("names", nargs="*", choices=[*names, []], help="default: all")
    parser.add_argument(
        "--enterprises", type=int, default=100_000, help="enterprises of month-close, rebuild and audit"
    )
    parser.add_argument("--country", type=int, default=600_000, help="enterprises of country and reads")
    parser.add_argument("--concurrent", type=int, default=20_000, help="enterprises of concurrent")
    parser.add_argument(
        "--database", help="the URL of a PostgreSQL database that already holds the months for reads"
    )
    given = parser.parse_args()
    spare_collections()
    for name in given.names or names:
        match name:
            case "assessment":
                rules.assessment()
            case "month-close":
                month_close.run(given.enterprises)
            case "rebuild":
                rules.rebuilding(given.enterprises)
            case "audit":
                audit.run(given.enterprises)
            case "country":
                country.run(given.country)
            case "concurrent":
                concurrent.run(given.concurrent)
            case _:
                reads.run(given.country, given.database)


if __name__ == "__main__":
    main()
