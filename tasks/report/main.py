"""The example of an external task: a program with an image and a role of its own, which a DAG starts and waits for.

It knows nothing of Airflow. Its packages are those of `requirements.lock` in this folder, if there is one; what it needs
to know it is told by arguments and variables, and its exit code says how it went.
"""

from __future__ import annotations

import argparse
import platform


def main() -> int:
    """Count to a number, and fail if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3, help="how many rows the report has")
    parser.add_argument("--exit-code", type=int, default=0, help="how it ends")
    wanted = parser.parse_args()
    print(f"a report on Python {platform.python_version()}")
    for row in range(1, wanted.rows + 1):
        print(f"row {row} of {wanted.rows}")
    return wanted.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
