"""What an auditor relies on: verification, sealing, anchors, and packs that verify offline."""
