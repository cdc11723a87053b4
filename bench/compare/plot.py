"""Small charts as SVG: bars with their spread, and lines over a logarithmic pair of axes."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 680, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 40, 50
COLOURS = ("#6c757d", "#b08968", "#2a9d8f", "#1d3557")
STYLE = "text{font:12px sans-serif;fill:#222} .title{font-size:14px;font-weight:bold} .grid{stroke:#ddd} .axis{stroke:#222}"


def document(title, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        f"<style>{STYLE}</style>", f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(LEFT, 22, title, "start", "title"), *parts, "</svg>", ""])


def text(x, y, words, anchor="middle", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(str(words))}</text>'


def line(x1, y1, x2, y2, kind="axis"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def short(value):
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def bars(title, unit, rows):
    """`rows`: (label, median, lowest, highest, marked), one bar each; a marked one is hatched."""
    top = max((row[3] for row in rows), default=0) or 1
    step = 10 ** math.floor(math.log10(top))
    step = next(s for s in (step / 2, step, 2 * step, 5 * step) if top / s <= 6)
    scale = (HEIGHT - TOP - BOTTOM) / (math.ceil(top / step) * step)
    floor, right = HEIGHT - BOTTOM, WIDTH - 30
    parts = ['<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
             '<rect width="3" height="6" fill="white" opacity="0.6"/></pattern></defs>']
    for tick in range(math.ceil(top / step) + 1):
        y = floor - tick * step * scale
        parts += [line(LEFT, y, right, y, "grid"), text(LEFT - 6, y + 4, short(tick * step), "end")]
    width = (right - LEFT) / max(len(rows), 1)
    for i, (label, median, lowest, highest, marked) in enumerate(rows):
        x, y = LEFT + (i + 0.5) * width, floor - median * scale
        bar = f'x="{x - width / 4:.1f}" y="{y:.1f}" width="{width / 2:.1f}" height="{median * scale:.1f}"'
        parts.append(f'<rect {bar} fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts += [f'<rect {bar} fill="url(#hatch)"/>'] if marked else []
        parts += [line(x, floor - lowest * scale, x, floor - highest * scale), text(x, floor + 18, label),
                  text(x, min(y, floor - highest * scale) - 5, short(median))]
    parts += [line(LEFT, floor, right, floor), text(LEFT, HEIGHT - 8, unit + "; hatched: only the generator was at its limit", "start")]
    return document(title, parts)


def lines(title, x_unit, y_unit, series):
    """`series`: (label, dashed, colour's number, [(x, y)]) over logarithmic axes."""
    points = [point for *_, points in series for point in points if point[0] > 0 and point[1] > 0]
    if not points:
        return document(title, [text(WIDTH / 2, HEIGHT / 2, "nothing measured")])
    axes = []
    for values, begin, end in (([x for x, _ in points], LEFT, WIDTH - RIGHT), ([y for _, y in points], HEIGHT - BOTTOM, TOP)):
        low, high = math.log10(min(values)), math.log10(max(values))
        low, high = math.floor(low * 2) / 2, max(math.ceil(high * 2) / 2, math.floor(low * 2) / 2 + 0.5)
        axes.append((low, high, begin, end))

    def place(axis, value):
        low, high, begin, end = axes[axis]
        return begin + (math.log10(value) - low) / (high - low) * (end - begin)

    parts = []
    for axis in (0, 1):
        low, high, *_ = axes[axis]
        for decade in range(math.floor(low), math.ceil(high) + 1):
            for value in (10 ** decade, 3 * 10 ** decade):
                if not 10 ** (low - 1e-9) <= value <= 10 ** (high + 1e-9):
                    continue
                at = place(axis, value)
                parts += [line(at, TOP, at, HEIGHT - BOTTOM, "grid"), text(at, HEIGHT - BOTTOM + 18, short(value))] if axis == 0 \
                    else [line(LEFT, at, WIDTH - RIGHT, at, "grid"), text(LEFT - 6, at + 4, short(value), "end")]
    for i, (label, dashed, colour, points) in enumerate(series):
        path = " ".join(f"{place(0, x):.1f},{place(1, y):.1f}" for x, y in points if x > 0 and y > 0)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        look = f'stroke="{COLOURS[colour % len(COLOURS)]}" stroke-width="2" fill="none"{dashes}'
        y = TOP + 10 + 18 * i
        parts += [f'<polyline points="{path}" {look}/>',
                  f'<polyline points="{WIDTH - RIGHT + 10},{y - 4} {WIDTH - RIGHT + 32},{y - 4}" {look}/>',
                  text(WIDTH - RIGHT + 38, y, label, "start")]
    parts += [line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM), line(LEFT, TOP, LEFT, HEIGHT - BOTTOM),
              text(LEFT, HEIGHT - 8, f"{y_unit} over {x_unit}", "start")]
    return document(title, parts)
