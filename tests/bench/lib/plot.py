"""Line plots as SVG: no more than a figure of the bench needs."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 74, 20, 40, 52
COLOURS = ("#1b6ca8", "#c1440e", "#3d7a3d", "#7b4fa3")


def short(value):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def ticks(low, high, log):
    if log:
        return [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    step = 10 ** math.floor(math.log10((high - low) / 4 or 1))
    while (high - low) / step > 6:
        step *= 2 if (high - low) / step < 12 else 5
    first = math.floor(low / step)
    return [step * n for n in range(first, math.ceil(high / step) + 1)]


def line_plot(title, x_name, y_name, series, log_x=False):
    """`series`: {name: [(x, y, y_min, y_max), ...]}. The y axis begins at 0; bars show the spread. Gives the SVG text."""
    xs = [p[0] for points in series.values() for p in points]
    ys = [p[3] for points in series.values() for p in points]
    if not xs:
        raise ValueError(f"nothing to plot: {title}")
    x_ticks, y_ticks = ticks(min(xs), max(xs), log_x), ticks(0, max(ys) or 1, False)
    x_low, x_high = (x_ticks[0], x_ticks[-1]) if log_x else (min(xs), max(xs))
    place = math.log10 if log_x else float

    def at_x(value):
        span = place(x_high) - place(x_low) or 1
        return LEFT + (place(value) - place(x_low)) / span * (WIDTH - LEFT - RIGHT)

    def at_y(value):
        return HEIGHT - BOTTOM - value / (y_ticks[-1] or 1) * (HEIGHT - TOP - BOTTOM)

    def text(x, y, words, anchor="middle", more=""):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        text(LEFT, 20, title, "start", 'font-size="14" font-weight="bold"'),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name),
        text(16, (TOP + HEIGHT - BOTTOM) / 2, y_name, more=f'transform="rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2})"'),
    ]
    for value in y_ticks:
        out.append(f'<path d="M{LEFT} {at_y(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(text(LEFT - 6, at_y(value) + 4, short(value), "end"))
    for value in sorted(set(xs)) if not log_x else x_ticks:
        out.append(text(at_x(value), HEIGHT - BOTTOM + 18, short(value)))
    for number, (name, points) in enumerate(series.items()):
        colour, points = COLOURS[number % len(COLOURS)], sorted(points)
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y, _, _ in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, low, high in points:
            out.append(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.5" fill="{colour}"/>')
            if high > low:
                out.append(f'<path d="M{at_x(x):.1f} {at_y(low):.1f}V{at_y(high):.1f}" stroke="{colour}"/>')
        if len(series) > 1:
            out.append(text(WIDTH - RIGHT - 4, TOP + 14 * (number + 1), name, "end", f'fill="{colour}"'))
    return "\n".join([*out, "</svg>", ""])
