#!/usr/bin/env python3
"""Plants the bugs of *.canary in copies of the sources that they name.

usage: plant.py REPOSITORY OUTPUT_DIRECTORY

The sources themselves know nothing of canaries. Each copy asks canary::is(NAME), which only the simulator's
canary build has, so that one program carries all bugs and SLUICE_CANARY picks one. A text that isn't found exactly
once is an error: then the source has changed, and the canary has to follow it.
"""
import collections
import pathlib
import re
import sys

HUNK = re.compile(r"^in (?P<file>\S+)\n<<<<\n(?P<old>.*?)\n====\n(?P<new>.*?)\n>>>>$", re.DOTALL | re.MULTILINE)


def read_canaries(folder):
    """{file: [(canary, old, new)]}, in the order of the names."""
    changes = collections.defaultdict(list)
    for path in sorted(folder.glob("*.canary")):
        hunks = list(HUNK.finditer(path.read_text()))
        if not hunks:
            sys.exit(f"{path}: nothing to plant")
        for hunk in hunks:
            changes[hunk["file"]].append((path, hunk["old"], hunk["new"]))
    return changes


def plant(source, changes):
    text = source.read_text()
    for path, old, new in changes:
        if text.count(old) != 1:
            sys.exit(f"{path}: what it replaces is {text.count(old)} times in {source}:\n{old}")
        text = text.replace(old, new)
    return '#include "tests/sim/canary.h"\n' + text


def main():
    repository, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for file, changes in read_canaries(pathlib.Path(__file__).parent).items():
        planted = plant(repository / file, changes)
        target = output / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != planted:
            target.write_text(planted)


main()
