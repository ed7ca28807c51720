"""Names that would do something on a page, in a spreadsheet, a figure or a log if they were taken at their word."""

RTL, ISOLATE = "\u202e", "\u2066"
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "</title></style></pre><b>",
    "{{ 7 * 7 }}{% raw %}",
    "`<b>`",
    f"liver{RTL}gpj.exe",
    f"{ISOLATE}a\u200bb\ufeff",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    "$\\frac{$ $x_$",
    "a\nb\r\n2026-01-01 ERROR forged",
    "\x1b[31mred\x00",
    "&amp;&lt;",
    "🫀" * 300,
]
