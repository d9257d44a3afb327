"""Who starts the processes that train: this one, accelerate, or Ray."""
