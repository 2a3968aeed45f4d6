"""Files of music to lines of melody tokens."""
