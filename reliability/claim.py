"""What is promised, what was measured, and whether the one bears out the other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One row of a table: `promised` and `measured` are words for a reader, a run
    fails unless all `holds`. None is what could not be measured here."""

    what: str
    promised: str
    measured: str
    holds: bool | None

    def row(self):
        verdict = {True: "holds", False: "**broken**", None: "not measured"}[self.holds]
        return f"| {self.what} | {self.promised} | {self.measured} | {verdict} |"


def table(claims, note=""):
    lines = ["| what | promised | measured | |", "|---|---|---|---|", *(claim.row() for claim in claims)]
    return "\n".join(lines + (["", note] if note else []))


def percentile(values, share):
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def slope(points):
    """Growth of the second by the first, as a least-squares line has it."""
    count = len(points)
    middle_x, middle_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
