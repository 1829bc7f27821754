"""Steps of training: the loop and its tasks, the trainer of one network, optimisers, losses, checkpoints, logs."""
