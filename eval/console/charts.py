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
    x = {"scale": {"domain": [0, 100]}, "title": "per cent, with 95% interval"}
    y = {"field": "system", "type": "nominal", "title": None, "axis": {"labelLimit": 160}}
    return {
        "data": {"values": rows},
        "facet": {"row": {"field": "what", "sort": [found.name, SENSIBLE, SPECIFIC], "title": None}},
        "spec": {
            "width": "container", "height": {"step": 24},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 3},
                    "encoding": {
                        "x": {"field": "low", "type": "quantitative", **x}, "x2": {"field": "high"}, "y": y,
                        "color": _COLOUR,
                    },
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 90},
                    "encoding": {"x": {"field": "mean", "type": "quantitative", **x}, "y": y, "color": _COLOUR},
                },
            ],
        },
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
    """SSA of everything rated up to each day."""
    rows = [
        {"system": system, "day": day, "mean": 100 * mean, "replies": replies}
        for system, series in over_time(found.replies).items()
        for day, mean, replies in series
    ]
    return {
        "data": {"values": rows}, "height": 240,
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "day", "type": "ordinal", "title": None},
            "y": {"field": "mean", "type": "quantitative", "scale": {"domain": [0, 100]}, "title": f"{found.name} %"},
            "color": {**_COLOUR, "legend": {"orient": "top", "title": None}},
            "tooltip": [{"field": "system"}, {"field": "mean", "format": ".1f"}, {"field": "replies"}],
        },
    }  # fmt: skip
