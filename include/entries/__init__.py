"""What people enter into the calendar while it is in force: freezes, exceptions, extensions.

They live in the ledger, each with an owner, a reason and an end. `whole_calendar` is the calendar
that is asked wherever production may be touched: the reviewed file with what was entered since.
"""
