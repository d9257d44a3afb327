"""The Studio page: a design asked for, watched, answered, branched, taken away."""
