"""The training page: stages as forms, plans, launches, what runs and what came of it."""
