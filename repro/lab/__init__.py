"""What every reproduction needs and none is about: runs that stop and go on, ranks, records, claims."""
