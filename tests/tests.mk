# Test programs that belong to no single room.
