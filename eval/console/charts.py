"""The plots of the results page as Vega-Lite specifications: plain dictionaries, no library."""

from __future__ import annotations

from typing import Any

from eval.ssa.questions import SENSIBLE, SPECIFIC
from eval.ssa.results import Results, over_time

_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
"""Okabe and Ito's palette: told apart by colour-blind people too."""
_COLOUR = {"field": "system", "type": "nominal", "legend": None, "scale": {"range": _COLOURS}}


def average_chart(found: Results) -> dict[str, Any]:
    """SSA and its parts per system with 95% intervals."""
    rows = [
        {"system": one.system, "what": what, "mean": 100 * rate.mean, "low": 100 * rate.low, "high": 100 * rate.high}
        for one in found.systems
        for what, rate in ((found.name, one.ssa), *((k, one.parts.get(k)) for k in (SENSIBLE, SPECIFIC)))
        if rate is not None
    ]
    parts = [found.name, SENSIBLE, SPECIFIC]
    x = {"type": "quantitative", "scale": {"domain": [0, 100]}, "title": "per cent, with 95% interval"}
    places = {
        "y": {"field": "system", "type": "nominal", "title": None, "axis": {"labelLimit": 160}},
        "yOffset": {"field": "what", "sort": parts},
        "color": {
            "field": "what", "type": "nominal", "sort": parts, "scale": {"range": _COLOURS},
            "legend": {"orient": "top", "title": None},
        },
    }  # fmt: skip
    return {
        "data": {"values": rows}, "height": 80 * len(found.systems) + 110, "encoding": places,
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
            },
            {"mark": {"type": "point", "filled": True, "size": 90}, "encoding": {"x": {"field": "mean", **x}}},
        ],
    }  # fmt: skip


def scatter_chart(found: Results) -> dict[str, Any]:
    """Sensible against specific, one point a system."""
    rows = [
        {"system": one.system, "sensible": 100 * one.parts[SENSIBLE].mean, "specific": 100 * one.parts[SPECIFIC].mean}
        for one in found.systems
        if SENSIBLE in one.parts and SPECIFIC in one.parts
    ]
    axis = {"type": "quantitative", "scale": {"domain": [0, 100]}}
    encoding = {"x": {"field": "sensible", **axis}, "y": {"field": "specific", **axis}}
    return {
        "data": {"values": rows}, "height": 300, "encoding": encoding,
        "layer": [
            {"mark": {"type": "point", "filled": True, "size": 140}, "encoding": {"color": _COLOUR}},
            {
                "mark": {"type": "text", "align": "right", "dx": -10, "fontSize": 13},
                "encoding": {"text": {"field": "system"}, "color": _COLOUR},
            },
        ],
    }  # fmt: skip


def time_chart(found: Results) -> dict[str, Any]:
    """SSA of everything rated up to each moment."""
    rows = [
        {"system": system, "moment": moment, "mean": 100 * mean, "replies": replies}
        for system, series in over_time(found.replies).items()
        for moment, mean, replies in series
    ]
    return {
        "data": {"values": rows}, "height": 300,
        "mark": {"type": "line"},
        "encoding": {
            "x": {"field": "moment", "type": "temporal", "title": None},
            "y": {"field": "mean", "type": "quantitative", "scale": {"domain": [0, 100]}, "title": f"{found.name} %"},
            "color": {**_COLOUR, "legend": {"orient": "top", "title": None}},
            "tooltip": [{"field": "system"}, {"field": "mean", "format": ".1f"}, {"field": "replies"}],
        },
    }  # fmt: skip
