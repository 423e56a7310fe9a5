"""Figures and reports, recomputed from the ledger: plan section 10.

`facts` reads what happened in a period, `metrics` says what it amounts to (one family per file),
`report` puts it into the plan's sections, and `rendering` writes it as HTML, PDF, Markdown or JSON.
Nothing here has a clock: the same period and the same `as_of` give the same bytes.
"""
