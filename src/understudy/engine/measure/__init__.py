"""What is measured of a network, and of student and teacher beside each other."""
