"""What the facts amount to: one family of metrics per file, formulas as itsm §2.7 has them.

No metric here is a goal, none compares teams, and each is about one service at a time where a
service is asked about (DORA's own warnings).
"""
