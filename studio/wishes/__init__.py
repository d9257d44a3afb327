"""What people wish of designs: what was asked for and how long that takes here, which picture they keep."""
