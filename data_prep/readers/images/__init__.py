"""Images: opening and headers, conversion to eight bits a channel, and scaling."""
