"""The routes. A view only translates an HTTP request to a use case and its result to a response."""
