"""What a filing says of its rows."""
