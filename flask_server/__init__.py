"""The HTTP gateway: classifies images by calls to a model server. Never imports tensorflow."""
