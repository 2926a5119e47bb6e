"""The points of the comparison, one file each."""

from __future__ import annotations

from loadtest.bench.point import Point
from loadtest.bench.points import p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12

POINTS: dict[str, Point] = {
    module.POINT.name: module.POINT for module in (p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12)
}
