"""What REST and gRPC share: running signatures on examples, and checking their outputs."""
