"""Who may decide, and when enough have: seats, votes and the decision rule."""

from include.approvals.board import Board, Seat, load_board
from include.approvals.rule import Rule, Tally, Vote, tally

__all__ = ["Board", "Rule", "Seat", "Tally", "Vote", "load_board", "tally"]
