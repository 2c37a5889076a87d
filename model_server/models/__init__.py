"""Model versions: find, load, warm up, serve and unload them; read the model config file."""
