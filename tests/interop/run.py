#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Interoperability: what pare writes the real libraries load, what they write pare reads, with the same values.

    tests/interop/run.py --pare build/pare [--only REGEX] [--keep DIR] [--verbose]

Runs itself inside the environment that setup.sh makes. One line a check: ok, FAIL or skip (reason); the last line is
"N passed, N failed, N skipped"; exit status 1 when something failed. PARE_MODELS names the folder of trained models
(default ../shared/models beside the source tree).
"""
import argparse
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def enter_environment():
    if os.environ.get("PARE_INTEROP_INSIDE") or "-h" in sys.argv or "--help" in sys.argv:
        return
    made = subprocess.run([str(HERE / "setup.sh")], stdout=subprocess.PIPE, text=True)
    if made.returncode != 0:
        sys.exit("run.py: setup.sh failed")
    os.environ["PARE_INTEROP_INSIDE"] = made.stdout.strip().splitlines()[-1]
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    python = os.environ["PARE_INTEROP_INSIDE"] + "/bin/python"
    os.execv(python, [python, str(HERE / "run.py"), *sys.argv[1:]])


def main():
    enter_environment()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pare", required=True, help="the pare command")
    parser.add_argument("--only", default="", help="run the checks whose line matches this regular expression")
    parser.add_argument("--keep", help="folder for everything that is made, kept afterwards (default: a temporary one, removed)")
    parser.add_argument("--verbose", action="store_true", help="also print pare's command lines and tracebacks")
    options = parser.parse_args()

    sys.path.insert(0, str(HERE))
    from report import Report
    report = Report(options)
    import check_archs
    import check_files
    import check_methods
    import check_read
    import check_run
    import check_run_quantized
    import check_static
    import check_tokenizers
    import check_write
    with report:
        check_write.run(report)
        check_read.run(report)
        check_files.run(report)
        check_tokenizers.run(report)
        check_archs.run(report)
        check_run.run(report)
        check_run_quantized.run(report)
        check_static.run(report)
        check_methods.run(report)
    sys.exit(report.finish())


if __name__ == "__main__":
    main()
