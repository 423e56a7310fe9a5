"""What has to be done again and again: reconciling, reclaiming slots, drilling backups."""
