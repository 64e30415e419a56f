# SPDX-License-Identifier: Apache-2.0
"""Counting and printing of checks, scratch folders, and running the pare command."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import traceback

from libs import Missing

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


class Skip(Exception):
    """This check cannot be made here; the text says why."""


class Wrong(Exception):
    """The check did not hold; the text has the numbers."""


class Report:
    def __init__(self, options):
        self.pare_path = str(pathlib.Path(options.pare).resolve())
        if not os.access(self.pare_path, os.X_OK):
            raise SystemExit(f"run.py: {options.pare}: no such command")
        self.only = re.compile(options.only)
        self.verbose = options.verbose
        self.keep = options.keep
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}
        self.failures = []
        self.models = pathlib.Path(os.environ.get("PARE_MODELS") or SOURCE.parent / "shared" / "models")
        self.started = time.monotonic()

    def __enter__(self):
        if self.keep:
            self.folder = pathlib.Path(self.keep).resolve()
            self.folder.mkdir(parents=True, exist_ok=True)
        else:
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pare-interop-"))
        return self

    def __exit__(self, *error):
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def wanted(self, name):
        return bool(self.only.search(name))

    def line(self, state, name, text=""):
        self.counts[state] += 1
        tail = f" ({text})" if state == "skip" else f": {text}" if text else ""
        print(f"{state:4}  {name}{tail}", flush=True)
        if state == "FAIL":
            self.failures.append(name)

    def check(self, name, function, *args):
        """Runs one check; its return value (or None when it did not hold). A string result is printed after an "ok"."""
        if not self.wanted(name):
            return None
        try:
            result = function(*args)
        except (Skip, Missing) as why:
            self.line("skip", name, one_line(why))
        except Wrong as why:
            self.line("FAIL", name, one_line(why))
        except Exception as error:  # whatever a library throws is a result
            self.line("FAIL", name, f"{type(error).__name__}: {one_line(error)}")
            if self.verbose:
                traceback.print_exc()
        else:
            self.line("ok", name, result if isinstance(result, str) else "")
            return result
        return None

    def scratch(self, name):
        path = self.folder / re.sub(r"[^\w.-]+", "_", name)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def pare(self, *args, status=0, limit=120):
        """Runs pare; its standard output. Another exit status than the one expected is Wrong."""
        command = [self.pare_path, *map(str, args)]
        if self.verbose:
            print("    $", " ".join(command), flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit, errors="replace")
        if done.returncode != status:
            raise Wrong(f"pare {args[0]} exits with {done.returncode}, not {status}: {one_line(done.stderr or done.stdout)}")
        return done.stdout if status == 0 else done.stderr

    def pare_json(self, *args):
        text = self.pare(*args, "--json")
        try:
            return json.loads(text)
        except ValueError as error:
            raise Wrong(f"pare {args[0]} --json: not one JSON document: {error}") from None

    def finish(self):
        if self.failures:
            print("\nfailed:\n  " + "\n  ".join(self.failures))
        print(f"\n{time.monotonic() - self.started:.0f} s")
        print(f"{self.counts['ok']} passed, {self.counts['FAIL']} failed, {self.counts['skip']} skipped", flush=True)
        return 1 if self.counts["FAIL"] else 0


def one_line(text, limit=400):
    text = " ".join(str(text).split())
    return text if len(text) <= limit else text[:limit] + " ..."
