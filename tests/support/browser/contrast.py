"""How well what a page shows can be read: contrast by WCAG 2.2, and the ring around what has the focus."""

from typing import Any

from playwright.sync_api import Page

# A colour on the screen follows from all elements above: each has a background, which may be transparent.
_COLOURS = """
    const pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const parsed = colour => {  // red, green, blue and alpha, each from 0 to 1
        pixel.clearRect(0, 0, 1, 1);
        pixel.fillStyle = colour;
        pixel.fillRect(0, 0, 1, 1);
        return [...pixel.getImageData(0, 0, 1, 1).data].map(value => value / 255);
    };
    const mixed = (top, below, share) => top.slice(0, 3).map((value, at) => value * share + below[at] * (1 - share));
    const over = (top, below) => mixed(top, below, top[3]);
    const linear = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
    const contrast = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    const canvas = document.createElement('div');
    canvas.style.background = 'Canvas';
    document.body.append(canvas);
    const bare = parsed(getComputedStyle(canvas).backgroundColor);
    canvas.remove();
    const above = element => element.parentElement ? [...above(element.parentElement), element] : [element];
    // A colour on an element and what lies below it, as they are on the screen.
    const shown = (path, colour, below = bare) => {
        const [first, ...rest] = path;
        const { backgroundColor, opacity } = getComputedStyle(first);
        const own = over(parsed(backgroundColor), below);
        const both = rest.length ? shown(rest, colour, own) : [over(colour, own), own];
        return both.map(one => mixed(one, below, Number(opacity)));
    };
"""
_FAINT = f"""scope => {{
    {_COLOURS}
    const faint = [], add = (element, what, colour, path, least) => {{
        const ratio = contrast(...shown(path, parsed(colour)));
        if (ratio < least) faint.push(`${{what}}: ${{ratio.toFixed(2)}} < ${{least}}`);
    }};
    for (const element of document.querySelector(scope).querySelectorAll('*')) {{
        const isShown = element.checkVisibility({{ visibilityProperty: true }});
        if (!isShown || element.closest('script, style, title')) continue;
        const style = getComputedStyle(element), path = above(element);
        const [size, weight] = [parseFloat(style.fontSize), Number(style.fontWeight)];
        const least = size >= 24 || (size >= 18.66 && weight >= 700) ? 3 : 4.5;
        const text = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE)
            .map(node => node.data.trim()).join('');
        if (text) add(element, text, element.closest('svg') ? style.fill : style.color, path, least);
        if (element.matches('input:not([type=range], [type=hidden])')) {{
            add(element, 'a field', style.borderTopColor, path.slice(0, -1), 3);
            const name = element.placeholder, {{ color }} = getComputedStyle(element, '::placeholder');
            add(element, name || element.value, name && !element.value ? color : style.color, path, least);
        }}
    }}
    return faint;
}}"""
_RING = f"""() => {{
    {_COLOURS}
    const element = document.activeElement;
    const {{ outlineStyle, outlineWidth, outlineColor }} = getComputedStyle(element);
    const ratio = contrast(...shown(above(element).slice(0, -1), parsed(outlineColor)));
    return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1 && ratio >= 3 ? '' :
        `${{element.textContent || element.ariaLabel}}: ${{outlineStyle}} ${{outlineWidth}} ${{ratio.toFixed(2)}}`;
}}"""
_CONTROLS = "button, a, input"


def faint(page: Page, scope: str = "body") -> list[str]:
    """What is shown within an element with less contrast than 4.5, or 3 where text is large or the part is no text."""
    return [str(line) for line in page.evaluate(_FAINT, scope)]


def without_ring(page: Page, scope: str = "body") -> list[str]:
    """The controls within an element around which no ring of contrast 3 stands when they are reached by keys."""
    found: list[Any] = []
    for control in page.locator(scope).locator(_CONTROLS).all():
        if control.is_visible() and control.is_enabled():
            page.keyboard.press("Shift")  # the browser then takes the focus for one that keys have moved
            control.focus()
            found.append(page.evaluate(_RING))
    return [line for line in found if line]
