"""What was made, trained and measured, looked at: a batch's rows, variants, scores, the beginning of data."""
