"""All that touches a torch model."""
