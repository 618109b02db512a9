"""The DET plot: FNMR against FMR on normal-deviate axes. Needs Matplotlib, which a kiosk never does."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from statistics import NormalDist
from typing import Final

import numpy as np

from edge.errors import FixtureError
from scripts.evaluate.rates import Curve, Floats

TICKS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8)
LEAST_RATE: Final = 5e-7
"""Rates below are drawn as this one: the normal deviate of 0 is infinite."""
FMR_SHOWN: Final = (5e-7, 0.2)
FNMR_SHOWN: Final = (1e-4, 0.8)
SIZE_INCHES: Final = (7.0, 6.0)
DOTS_PER_INCH: Final = 120


def require_matplotlib() -> None:
    """Raises `FixtureError` with what to install; asked before an evaluation begins, not after it."""
    try:
        import_module("matplotlib")
    except ImportError as error:
        raise FixtureError(
            "--plot needs Matplotlib, which is not installed: install it beside Stile "
            "(pip install -r requirements/plot.txt, or pip install matplotlib), or leave --plot out"
        ) from error


def require_writable(path: Path) -> None:
    """Raises `FixtureError` when the plot could not be saved there."""
    # By name, not by import: type checkers and other tools need not have Matplotlib either.
    canvas = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg
    known: dict[str, str] = canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        raise FixtureError(f"--plot {path}: give a file name that ends in one of {', '.join(sorted(known))}")
    if not path.absolute().parent.is_dir():
        raise FixtureError(f"--plot {path}: there is no folder {path.absolute().parent}; make it first")


def save_det(curves: dict[str, Curve], title: str, path: Path) -> None:
    """One line for each curve, by its label; raises `FixtureError` when the file cannot be written."""
    figure = import_module("matplotlib.figure").Figure(
        figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained"
    )
    axes = figure.add_subplot()
    for label, curve in curves.items():
        fmr, fnmr = det_line(curve)
        axes.plot(fmr, fnmr, label=label)
    for axis, name in ((axes.xaxis, "false match rate"), (axes.yaxis, "false non-match rate")):
        axis.set_ticks(deviates(np.array(TICKS)), labels=[f"{tick:g}" for tick in TICKS])
        axis.set_label_text(name)
    # After the ticks, which would widen the axes to the last of them.
    axes.set_xlim(*deviates(np.array(FMR_SHOWN)))
    axes.set_ylim(*deviates(np.array(FNMR_SHOWN)))
    axes.grid(visible=True, alpha=0.3)
    axes.set_title(title)
    if curves:
        axes.legend()
    try:
        figure.savefig(path)
    except OSError as error:
        raise FixtureError(
            f"--plot {path}: cannot be written ({error.strerror}); choose another place"
        ) from error


def det_line(curve: Curve) -> tuple[Floats, Floats]:
    """Normal deviates of FMR and FNMR wherever one of them changes."""
    fmr, fnmr = curve.rates()
    changes = np.flatnonzero((np.diff(fmr, append=0) != 0) | (np.diff(fnmr, append=1) != 0))
    line = np.append(changes, len(fmr) - 1)  # and above every score
    return deviates(fmr[line]), deviates(fnmr[line])


def deviates(rates: Floats) -> Floats:
    """Probit of each rate, kept within what the axes show."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(min(max(float(rate), LEAST_RATE), 1 - LEAST_RATE)) for rate in rates])
