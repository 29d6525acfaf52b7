"""Tests of the TensorFlow Lite importer, against tflite-micro."""
