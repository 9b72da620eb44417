"""What computes the networks; torch in eager mode is the reference that the others are held against."""
