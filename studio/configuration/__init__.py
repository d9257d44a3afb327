"""What a person sets: settings with where they come from, servers tried, keys kept."""
