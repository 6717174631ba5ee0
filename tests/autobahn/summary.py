"""Judges an Autobahn report: prints how many cases ended how, exits 1 on a failure.

Allowed: OK, NON-STRICT, INFORMATIONAL, UNIMPLEMENTED (compression is not offered), and a clean
close with 1009 in group 9 beyond the frame limit.
"""

import collections
import json
import pathlib
import sys

GOOD = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


def too_big(folder: pathlib.Path, case: str, result: dict) -> bool:
    """A large message that was refused by name."""
    if not case.startswith("9."):
        return False
    report = json.loads((folder / result["reportfile"]).read_text())
    return report.get("remoteCloseCode") == 1009 and report.get("wasClean") is True


def main() -> int:
    folder = pathlib.Path(sys.argv[1])
    (results,) = json.loads((folder / "index.json").read_text()).values()
    counts: collections.Counter[str] = collections.Counter()
    failed = []
    for case, result in sorted(results.items()):
        behaviour = result["behavior"]
        close = result["behaviorClose"]
        if behaviour in GOOD and close in GOOD:
            counts[behaviour] += 1
        elif too_big(folder, case, result):
            counts["CLOSED-1009"] += 1
        else:
            counts["FAILED"] += 1
            failed.append({"case": case, "behaviour": behaviour, "close": close})
    print(json.dumps({"cases": sum(counts.values()), **counts, "failed": failed}))
    return 1 if failed or not counts else 0


sys.exit(main())
