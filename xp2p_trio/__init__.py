"""xp2p_trio."""
