"""Channel Access: records, their channels, and the server on caproto's protocol."""
