"""Figure of self-binarisation: values and weights of a network, and their quantisation (Walking Noise v1, figure 4)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from analysis.figures.layout.style import INK, SMALLEST, WIDTH, Plot, color_and_marker, legend_columns, save_figure
from analysis.labels import label
from analysis.midpoints.study import Study
from analysis.runs.binarization_findings import Findings, NetworkPair, density, findings_table
from analysis.runs.run_frame import distinct_runs, rows

ROW = 0.76
"""Height of a row in inches."""
CUT = 2.0
"""The peak at zero is cut off at this multiple of the highest density beyond the threshold."""
HEADINGS = ("without noise", "with noise", "|value|, log axis", "quantised, accuracy", "weights, accuracy")
NAMED = ("data.name", "model.name", "model.batch_norm", "noise.kind", "noise.std", "noise.point", "noise.in_training")
QUIET, NOISY, AFTER = "#767676", color_and_marker(0)[0], color_and_marker(1)[0]
"""Colours of the noise-free network, of the noisy network, and of its values after the injection of noise."""
FILL = 0.65
"""Opacity of filled areas."""


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure per run with findings of ``walking-noise binarize``, the most accurate run first."""
    probed = study.runs[study.runs["binarization"].notna() & (study.runs["state"] == "completed")]
    best_first = distinct_runs(probed).sort_values("accuracy", ascending=False, kind="stable")
    return [_draw(run, folder) for run in rows(best_first)]


def _draw(run: dict[str, Any], folder: Path) -> Plot:
    networks = NetworkPair(run["binarization"]["noise_free"], run["binarization"]["noisy"])
    layers = {layer["layer"]: place for place, layer in enumerate(networks.noisy["layers"])}
    count = len(networks.noisy["points"])
    figure = Figure(figsize=(WIDTH, ROW * count + 0.6))
    grid = figure.subplots(count, len(HEADINGS), squeeze=False, width_ratios=(1, 1, 1.3, 1.45, 1))
    for place, row in enumerate(grid):
        point = networks.at("points", place)
        name, is_noisy = point.noisy["name"], point.noisy["leaving"] is not None
        _draw_linear(row[0], point.noise_free["arriving"], QUIET)
        _draw_linear(row[1], point.noisy["arriving"], NOISY)
        _draw_logarithmic(row[2], point)
        _draw_quantised(row[3], point)
        row[4].set_axis_off()
        if name in layers:
            row[4].set_axis_on()
            _draw_weights(row[4], networks.at("layers", layers[name], "weights"))
        row[0].set_ylabel(
            f"{place} {name}", rotation=0, ha="right", va="center",
            color=AFTER if is_noisy else INK, fontweight="bold" if is_noisy else "normal",
        )  # fmt: skip
    for axes, heading in zip(grid[0], HEADINGS, strict=True):
        axes.set_title(heading, fontsize=7.5)
    handles = _handles(networks)
    columns = legend_columns([str(handle.get_label()) for handle in handles])
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=1.2)
    title = f"{label(run, NAMED)}: inside the network of run {run['id']}"
    return save_figure(
        figure, findings_table(networks), folder, f"binarization-{run['collection']}-{run['id']}", title, _caption(run)
    )


def _handles(networks: NetworkPair) -> list[Patch]:
    noise_free, noisy = networks
    texts = {
        f"trained without noise: accuracy {noise_free['noise_off']:.3f}": QUIET,
        f"with noise: {noisy['noise_on']:.3f} (noise on), {noisy['noise_off']:.3f} (off)": NOISY,
        "network with noise: values after the injection": AFTER,
    }
    return [Patch(color=color, label=text) for text, color in texts.items()]


def _draw_linear(axes: Axes, values: Findings, color: str) -> None:
    """Draw the density of values, the thresholds (dashed), and the values after quantisation (triangles)."""
    split = values["clusters"]
    edges, heights = density(values, values["distribution"]["linear"])
    axes.stairs(heights, edges, fill=True, color=color, alpha=FILL)
    beyond = heights[abs((edges[1:] + edges[:-1]) / 2) > split["threshold"]]
    top = float(heights.max())
    axes.set_ylim(0, 1.06 * (min(top, CUT * float(beyond.max())) if beyond.any() else top))
    axes.set_xlim(edges[0], edges[-1])
    for side, mean, share in ((-1, split["negative"], split["shares"][0]), (1, split["positive"], split["shares"][2])):
        if share > 0:
            axes.axvline(side * split["threshold"], color=INK, linewidth=0.6, linestyle=(0, (3, 2)))
            axes.plot(mean, 0, "^", color=INK, markersize=2.6, clip_on=False, zorder=3)
    if split["count"] > 1:
        _write(axes, 0, f"{split['count']} clusters", INK)
    _finish(axes)


def _draw_logarithmic(axes: Axes, here: NetworkPair) -> None:
    """Draw the density of log10|value|: upwards for positive values, downwards for negative ones."""
    _draw_both_signs(axes, here.noise_free["arriving"], fill=True, color=QUIET, alpha=FILL)
    _draw_both_signs(axes, here.noisy["arriving"], color=NOISY, linewidth=1.0)
    if here.noisy["leaving"] is not None:
        _draw_both_signs(axes, here.noisy["leaving"], color=AFTER, linewidth=1.0)
        level = max(here.noisy["std_mul"], here.noisy["std_add"])
        axes.axvline(math.log10(level), color=AFTER, linewidth=0.7, linestyle=(0, (1, 1.2)))
    axes.axhline(0, color=INK, linewidth=0.5)
    _finish(axes)
    low, high = (math.floor(end) for end in axes.get_xlim())
    stride = max(1, math.ceil((high - low) / 5))
    powers = [power for power in range(low, high + 2) if power % stride == 0]
    axes.xaxis.set_major_locator(FixedLocator(powers))
    axes.xaxis.set_major_formatter(FixedFormatter([f"$10^{{{power}}}$" for power in powers]))


def _draw_both_signs(axes: Axes, values: Findings, **style: Any) -> None:
    for side, sign in (("negative", -1), ("positive", 1)):
        if values["distribution"][side] is not None:
            edges, heights = density(values, values["distribution"][side])
            axes.stairs(sign * heights, edges, baseline=0, **style)


def _draw_quantised(axes: Axes, here: NetworkPair) -> None:
    """Draw the shares of the values after quantisation, and write the accuracies with quantisation."""
    noise_free, noisy = here.at("arriving")
    for offset, values, color in ((-0.2, noise_free, QUIET), (0.2, noisy, NOISY)):
        axes.bar([place + offset for place in range(3)], values["clusters"]["shares"], 0.36, color=color, alpha=FILL)
    _write(axes, 0, f"{noise_free['noise_off']:.3f}", QUIET)
    _write(axes, 1, f"{noisy['noise_on']:.3f} on, {noisy['noise_off']:.3f} off", NOISY)
    if here.noisy["leaving"] is not None:
        _write(axes, 2, f"{here.noisy['leaving']['noise_on']:.3f} on", AFTER)
    _finish(axes)
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.5, 6.2)
    axes.spines["bottom"].set_bounds(-0.5, 2.5)
    axes.set_xticks(range(3), ["−", "0", "+"])


def _draw_weights(axes: Axes, weights: NetworkPair) -> None:
    """Draw the density of a layer's weights, and write the accuracies with quantised weights."""
    tops = []
    for values, filled, color in ((weights.noise_free, True, QUIET), (weights.noisy, False, NOISY)):
        edges, heights = density(values, values["distribution"]["linear"])
        axes.stairs(heights, edges, fill=filled, color=color, alpha=FILL if filled else 1)
        tops.append(float(heights.max()))
    axes.set_ylim(0, 1.7 * max(tops))
    split = weights.noisy["clusters"]
    clusters = f", {split['count']} clusters" if split["count"] > 1 else ""
    _write(axes, 0, f"{weights.noise_free['noise_off']:.3f}", QUIET)
    _write(axes, 1, f"{weights.noisy['noise_on']:.3f} on{clusters}", NOISY)
    _finish(axes)


def _write(axes: Axes, line: int, text: str, color: str) -> None:
    """Write a short text in the upper right corner, in the given line."""
    height = 1.04 - 0.26 * line
    axes.text(1, height, text, transform=axes.transAxes, ha="right", va="top", fontsize=SMALLEST, color=color)


def _finish(axes: Axes) -> None:
    axes.grid(visible=False)
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 3, 4, 5, 10]))
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=SMALLEST, length=2, pad=1.5)


def _caption(run: dict[str, Any]) -> str:
    findings = run["binarization"]
    samples, all_samples = f"{findings['samples']:,}", f"{findings['validation_samples']:,}"
    return (
        f"Run {run['id']} of {run['collection']}, seed {run['seed']}, compared with the same network trained without "
        "noise. A row per noise point; noisy points are bold. Densities: values that arrive at the point, for the "
        f"first {samples} of {all_samples} validation samples, noise on. Logarithmic axis: positive values upwards, "
        "negative values downwards; dotted: standard deviation of the noise. Dashed: thresholds of quantisation. "
        "Triangles: means that replace the values beyond the thresholds; all other values become 0. Bars: "
        f"shares of the values replaced by each mean and by 0. Numbers: accuracy on all {all_samples} samples, with "
        "noise on or off, when only this point is quantised (orange: after the injection; right column: when only the "
        "weights of the layer are quantised). The number of clusters is given if there are several. The peak at zero "
        f"is cut off at {CUT:g} times the highest density beyond the thresholds."
    )
