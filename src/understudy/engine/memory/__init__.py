"""Memory: how it is kept between steps, and how much of it networks and steps take."""
