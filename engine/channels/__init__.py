"""Where messages leave: the protocol of a channel, the channels there are, and which name goes to which."""
