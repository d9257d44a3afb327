"""The queue: who holds a job, who works on it, how it is submitted, watched, stopped and taken up again."""
