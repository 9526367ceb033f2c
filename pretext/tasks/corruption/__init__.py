"""What tasks corrupt with: masks, changes of clouds, sampling noise."""
