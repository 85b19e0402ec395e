"""Better and worse replies to the same prompt: a network is moved towards the one and away from the other."""
