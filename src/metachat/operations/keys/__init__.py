"""Keys replaced while everything runs: handed out, taken into use, moved to, and the old ones retired."""
