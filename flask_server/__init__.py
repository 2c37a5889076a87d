"""The gateway: pictures in, labels out. Never imports tensorflow."""
