"""The early phase of training, in which neurons move while the loss weights stay put."""
