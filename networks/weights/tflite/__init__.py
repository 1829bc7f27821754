"""TensorFlow Lite files of MoViNets: the architecture and the weights, read off the graph, without TensorFlow."""

from networks.weights.tflite.reading import read_tflite

__all__ = ["read_tflite"]
