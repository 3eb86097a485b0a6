"""What reproduces the papers: settings, runs, claims and figures."""
